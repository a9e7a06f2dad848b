"""The only place that wires: journal, sources, sinks and stages from a configuration; runs them and stops them."""

import asyncio
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AsyncExitStack

import structlog
from aiohttp import web

from relay.config import CallbackConfig, Config, KafkaConfig, SourceConfig
from relay.domain.envelope import StreamEnvelope
from relay.domain.figures import JournalFigures
from relay.domain.recordings import RECORDED_KIND
from relay.domain.report import Stream
from relay.journal.sqlite import SqliteJournal
from relay.observe import Health, Telemetry
from relay.ports import JournalError, Lease, Retention
from relay.sinks.callback import HttpCallback
from relay.sinks.kafka import KafkaSink, topics_of
from relay.sinks.recordings import RecordingArchive
from relay.sources.infobip import InfobipSource
from relay.sources.logs import InfobipLogs
from relay.sources.recordings import InfobipRecordings
from relay.stages.deliver import Deliver, Gate, subscribes
from relay.stages.intake import Intake
from relay.stages.publish import Publish
from relay.stages.reconcile import Comparison, ComparisonRuns, Reconcile, Recovery
from relay.stages.recordings import Recordings
from relay.stages.stage import Stage, Stages
from relay.stages.unpack import Unpack
from relay.stages.upkeep import Upkeep
from relay.web import (
    HttpService,
    Push,
    PushEndpoint,
    QuarantineRoutes,
    ReconcileRoutes,
    RecordingRoutes,
    api_token,
    make_push_web,
    make_web,
)

log = structlog.get_logger(__name__)

DRAIN_SECONDS = 10.0
DRAIN_CHECK_SECONDS = 0.1
CALLBACK_GRACE_SECONDS = 5.0
HOUR_SECONDS = 3600.0


def now_ms() -> int:
    """Unix milliseconds by the wall clock, for what is written down; waits go by the monotonic clock."""
    return time.time_ns() // 1_000_000


async def run(config: Config) -> int:
    """Run until SIGTERM or SIGINT; the exit code.

    The first signal stops polling, lets the polls in flight finish and commit, and publishes what is journaled for at
    most DRAIN_SECONDS; a second one leaves that out. Raises what ended a stage (JournalFatal), and OSError or
    JournalFatal if the relay cannot start.
    """
    stop, hurry = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    def on_signal() -> None:
        log.info("stopping", hurry=stop.is_set())
        (hurry if stop.is_set() else stop).set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal)
    relay = Relay(config)
    try:
        await relay.start()
        await relay.running_until(stop)
        await relay.stop_polling()
        await relay.drained(DRAIN_SECONDS, unless=hurry)
    finally:
        await relay.stop()
    log.info("stopped")
    return 0


class Relay:
    """One relay, made from its configuration. `start`, then `stop_polling`, `drained` and `stop`, in that order."""

    def __init__(self, config: Config) -> None:
        self.telemetry = Telemetry()
        self.health = Health()
        self._config = config
        self._stages = Stages(self.health)
        self._delivers: list[Deliver] = []
        self._cleanup = AsyncExitStack()
        self._port = config.http.port
        self._push_port = config.http.push_port
        self._wake_unpack: dict[Stream, Callable[[], None]] = {}
        self._wake_subscribers: dict[Stream, Callable[[], None]] = {}
        self._comparisons = ComparisonRuns(now_ms)
        self._shelves = {
            source.name: RecordingArchive(
                config.recordings_directory(source), min_free_bytes=config.journal.min_free_bytes
            )
            for source in config.sources
        }

    @property
    def url(self) -> str:
        """Of the HTTP service, once started."""
        return self._url(self._port)

    @property
    def push_url(self) -> str:
        """Where /push is, once started."""
        return self.url if self._push_port is None else self._url(self._push_port)

    async def start(self) -> None:
        """Open the journal, then the HTTP service, then all stages. What was begun is undone by `stop`."""
        config = self._config
        self._journal = await SqliteJournal.open(config.journal.path, instance=config.instance)
        self._cleanup.push_async_callback(self._journal.close)
        await self._start_web()
        self._gates = {
            callback.name: Gate(callback.name, callback.concurrency, self.health) for callback in config.callbacks
        }
        self._senders = {callback.name: HttpCallback(callback) for callback in config.callbacks}
        for sender in self._senders.values():
            self._cleanup.push_async_callback(sender.close)
        for source in config.sources:
            client = InfobipSource(source, now_ms)
            self._cleanup.push_async_callback(client.close)
            for endpoint in source.endpoints:
                await self._start_stream(source, client, Stream(source.name, endpoint.kind))
            await self._start_reconcile(source, client)
        upkeep = Upkeep(self._journal, _retention(config), _subscriptions(config), now_ms)
        self._stages.start("upkeep", "upkeep", upkeep.step)

    async def running_until(self, stop: asyncio.Event) -> None:
        """Wait for `stop`. Raises what ended a stage, if one ends before."""
        waits = [asyncio.ensure_future(event.wait()) for event in (stop, self._stages.failed)]
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()
        self.raise_if_failed()

    def raise_if_failed(self) -> None:
        """Raise what ended a stage, if one has ended by itself."""
        self._stages.raise_if_failed()

    async def stop_polling(self) -> None:
        """No new polls and pushes; polls in flight are finished and committed when this returns."""
        self._push.stop()
        await self._stages.stop("intake")

    async def drained(self, seconds: float, *, unless: asyncio.Event | None = None, callbacks: bool = False) -> bool:
        """Whether all that is journaled came to Kafka (and to the callbacks) within `seconds`, or before `unless`."""
        deadline = time.monotonic() + seconds
        while (figures := await self._figures()) is None or not figures.drained(callbacks=callbacks):
            if time.monotonic() > deadline or self._stages.failed.is_set() or (unless is not None and unless.is_set()):
                log.warning("stopping with work left in the journal; it goes on at the next start")
                return False
            await asyncio.sleep(DRAIN_CHECK_SECONDS)
        return True

    async def stop(self) -> None:
        """Stop what still runs, in the order of the flow, and close everything; may be called twice."""
        await self._stages.stop("intake")
        await self._comparisons.cancel()
        self._stages.cancel("reconcile", "recordings")  # what they read may be read again: nobody need wait
        await self._stages.stop("unpack", "reconcile", "recordings")
        await self._stages.stop("publish", "deliver", "upkeep")
        await asyncio.gather(*(deliver.close(CALLBACK_GRACE_SECONDS) for deliver in self._delivers))
        await self._cleanup.aclose()

    # --- wiring ---

    async def _start_web(self) -> None:
        config = self._config
        self._push = push = self._make_push()
        application = make_web(
            instance=config.instance,
            token=api_token(config),
            journal=self._journal,
            health=self.health,
            telemetry=self.telemetry,
            now_ms=now_ms,
            more=[
                self._make_quarantine(),
                ReconcileRoutes(self._comparisons),
                RecordingRoutes(self._shelves),
                *([push] if config.http.push_port is None else []),
            ],
        )
        self._port = await self._serve(application, config.http.port, "http.port")
        if config.http.push_port is not None:
            self._push_port = await self._serve(make_push_web(push), config.http.push_port, "http.push_port")

    async def _serve(self, application: web.Application, port: int, port_key: str) -> int:
        """The port that it listens on now."""
        service = HttpService(application, host=self._config.http.host, port=port, port_key=port_key)
        self._cleanup.push_async_callback(service.stop)
        await service.start()
        return service.port

    def _make_push(self) -> Push:
        return Push(
            [endpoint for source in self._config.sources for endpoint in _push_endpoints(source)],
            journal=self._journal,
            limits=self._config.journal,
            now_ms=now_ms,
            wake_unpack=lambda stream: _wake(self._wake_unpack, stream),
        )

    def _make_quarantine(self) -> QuarantineRoutes:
        return QuarantineRoutes(
            self._journal,
            base_urls=_base_urls(self._config),
            telemetry=self.telemetry,
            now_ms=now_ms,
            wake_subscribers=lambda stream: _wake(self._wake_subscribers, stream),
        )

    def _url(self, port: int) -> str:
        host = self._config.http.host
        return f"http://{'127.0.0.1' if host in {'0.0.0.0', '::'} else host}:{port}"  # noqa: S104 - a comparison

    async def _start_stream(self, source: SourceConfig, client: InfobipSource, stream: Stream) -> None:
        lease = await self._journal.acquire_lease(f"stream/{stream}")
        recorded = source.recordings.enabled and stream.kind == RECORDED_KIND
        announces = await self._journal.want_recordings(lease, stream, wanted=recorded)
        followers = [
            await self._start_deliver(callback, stream)
            for callback in self._config.callbacks
            if subscribes(callback, stream)
        ]
        wake_followers = _wake_all(followers)
        unpack = Unpack(stream, self._journal, self.telemetry, now_ms, wake_followers)
        unpacking = self._stages.start("unpack", f"unpack/{stream}", unpack.step)
        self._wake_unpack[stream] = unpacking.wake.set
        self._wake_subscribers[stream] = wake_followers
        if self._config.kafka is None:
            await self._journal.confirm_without_kafka(lease, stream)
        else:
            wake_unpack = unpacking.wake.set
            publishing = self._start_publish(self._config.kafka, lease, stream, wake_unpack, recordings=announces)
            followers.append(publishing)
        if recorded:
            followers.append(self._start_recordings(client, lease, stream, wake_followers))
        self._start_intake(source, client, lease, stream, unpacking.wake.set)

    async def _start_reconcile(self, source: SourceConfig, client: InfobipSource) -> None:
        pace = source.reconcile.requests_per_minute
        logs = InfobipLogs(client.account, requests_per_minute=pace, now_ms=now_ms)
        for endpoint in source.endpoints:
            stream = Stream(source.name, endpoint.kind)
            known = endpoint.known_logs_path is not None
            recovery = Recovery(
                stream=stream,
                lease=await self._journal.acquire_lease(f"reconcile/{stream}"),
                journal=self._journal,
                logs=logs if known else None,
                config=source.reconcile,
                limits=self._config.journal,
                telemetry=self.telemetry,
                health=self.health,
                now_ms=now_ms,
                wake_subscribers=self._wake_subscribers[stream],
            )
            self._stages.start("reconcile", f"reconcile/{stream}", Reconcile(recovery).step)
            if known:
                self._comparisons.add(Comparison(recovery, logs))

    def _start_intake(
        self, source: SourceConfig, client: InfobipSource, lease: Lease, stream: Stream, wake_unpack: Callable[[], None]
    ) -> None:
        intake = Intake(
            stream,
            lease,
            journal=self._journal,
            source=client,
            base_url=source.base_url,
            poll=source.poll_for(stream.kind),
            limits=self._config.journal,
            telemetry=self.telemetry,
            health=self.health,
            now_ms=now_ms,
            wake_unpack=wake_unpack,
        )
        self._stages.start("intake", f"intake/{stream}", intake.step)

    def _start_recordings(
        self, client: InfobipSource, lease: Lease, stream: Stream, wake_subscribers: Callable[[], None]
    ) -> Stage:
        recordings = Recordings(
            stream,
            lease,
            journal=self._journal,
            source=InfobipRecordings(client.account, now_ms),
            shelf=self._shelves[stream.source],
            telemetry=self.telemetry,
            now_ms=now_ms,
            wake_subscribers=wake_subscribers,
        )
        self._cleanup.push_async_callback(recordings.close)
        stage = self._stages.start("recordings", f"recordings/{stream}", recordings.step)
        recordings.wake = stage.wake.set
        return stage

    def _start_publish(
        self, kafka: KafkaConfig, lease: Lease, stream: Stream, wake_unpack: Callable[[], None], *, recordings: bool
    ) -> Stage:
        inline = self._config.dedup.revisions == "inline"
        topics = topics_of(kafka, stream.kind)
        journal_id = self._journal.journal_id
        publish = Publish(
            stream,
            lease,
            self._journal,
            KafkaSink(stream, kafka, journal_id=journal_id, revisions_inline=inline, recordings=recordings),
            StreamEnvelope(stream, journal_id, topics, revisions_inline=inline),
            self.telemetry,
            self.health,
            now_ms,
            wake_unpack,
            reports_topic=topics.reports,
            transactional=kafka.delivery == "transactional",
        )
        self._cleanup.push_async_callback(publish.close)
        return self._stages.start("publish", f"publish/{stream}", publish.step)

    async def _start_deliver(self, callback: CallbackConfig, stream: Stream) -> Stage:
        deliver = Deliver(
            config=callback,
            stream=stream,
            lease=await self._journal.acquire_lease(f"callback/{callback.name}/{stream}"),
            journal=self._journal,
            sender=self._senders[callback.name],
            gate=self._gates[callback.name],
            telemetry=self.telemetry,
            now_ms=now_ms,
        )
        self._delivers.append(deliver)
        stage = self._stages.start("deliver", f"deliver/{callback.name}/{stream}", deliver.step)
        deliver.wake = stage.wake.set
        return stage

    async def _figures(self) -> JournalFigures | None:
        try:
            return await self._journal.figures(now_ms())
        except JournalError:
            return None


def _push_endpoints(source: SourceConfig) -> Iterator[PushEndpoint]:
    if not source.push.enabled or source.push.token is None:
        return
    for endpoint in source.endpoints:
        poll = source.poll_for(endpoint.kind)
        stream = Stream(source.name, endpoint.kind)
        yield PushEndpoint(stream, source.push.token, source.base_url, poll.max_body_bytes, poll.timeout_seconds)


def _base_urls(config: Config) -> dict[Stream, str]:
    sources = config.sources
    return {Stream(source.name, one.kind): source.base_url for source in sources for one in source.endpoints}


def _wake(wakes: Mapping[Stream, Callable[[], None]], stream: Stream) -> None:
    """A stage that has not started yet, or is not configured, looks by itself or never."""
    if stream in wakes:
        wakes[stream]()


def _wake_all(stages: list[Stage]) -> Callable[[], None]:
    def wake() -> None:
        for stage in stages:
            stage.wake.set()

    return wake


def _subscriptions(config: Config) -> frozenset[tuple[str, Stream]]:
    streams = [Stream(source.name, endpoint.kind) for source in config.sources for endpoint in source.endpoints]
    return frozenset(
        (callback.name, stream) for callback in config.callbacks for stream in streams if subscribes(callback, stream)
    )


def _retention(config: Config) -> Retention:
    return Retention(
        retention_seconds=config.journal.retention_hours * HOUR_SECONDS,
        window_seconds=config.dedup.window_hours * HOUR_SECONDS,
        dead_letter_seconds={callback.name: callback.dead_letter_hours * HOUR_SECONDS for callback in config.callbacks},
        min_free_bytes=config.journal.min_free_bytes,
    )
