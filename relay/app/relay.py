"""One relay, from its start to its end."""

import asyncio
import time
from collections.abc import Callable
from contextlib import AsyncExitStack

import structlog

from relay.app.callbacks import Callbacks, streams_of, subscriptions
from relay.app.ground import Ground, Wake, Wakes, now_ms
from relay.app.reloading import Reloading
from relay.app.replaying import Replaying
from relay.app.streams import Streams
from relay.app.web import Web
from relay.config import Config, ConfigFile, SourceConfig
from relay.domain.figures import JournalFigures
from relay.domain.report import Stream
from relay.journal.sqlite import SqliteJournal
from relay.observe import Health, Telemetry
from relay.ports import JournalError, Retention
from relay.sinks.recordings import RecordingArchive
from relay.stages.reconcile import ComparisonRuns
from relay.stages.stage import Stages
from relay.stages.upkeep import Upkeep

log = structlog.get_logger(__name__)

DRAIN_CHECK_SECONDS = 0.1
HOUR_SECONDS = 3600.0


class Relay:
    """Made from its configuration. `start`, then `stop_polling`, `drained` and `stop`, in that order.

    What changes in `file`, where the configuration came from, is taken up in between.
    """

    def __init__(self, config: Config, file: ConfigFile | None = None) -> None:
        self.telemetry = Telemetry()
        self.health = Health()
        self._config = config
        self._file = file
        self._stages = Stages(self.health)
        self._cleanup = AsyncExitStack()
        self._comparisons = ComparisonRuns(now_ms)
        self._journal: SqliteJournal
        self._web: Web
        self._callbacks: Callbacks | None = None
        self._reload_asked = asyncio.Event()
        self._wake_reloading: Wake | None = None

    @property
    def url(self) -> str:
        """Of the HTTP service, once started."""
        return self._web.url

    @property
    def push_url(self) -> str:
        """Where /push is, once started."""
        return self._web.push_url

    async def start(self) -> None:
        """Open the journal, then the HTTP service, then all stages. What was begun is undone by `stop`."""
        config = self._config
        self.telemetry.configured(now_ms())
        self._journal = await SqliteJournal.open(config.journal.path, instance=config.instance)
        self._cleanup.push_async_callback(self._journal.close)
        ground = Ground(
            config=config,
            journal=self._journal,
            stages=self._stages,
            telemetry=self.telemetry,
            health=self.health,
            cleanup=self._cleanup,
        )
        callbacks = await self._start_on(ground)
        upkeep = Upkeep(self._journal, _retention(config), _subscriptions(config), now_ms)
        keeping = self._stages.start("upkeep", "upkeep", upkeep.step)

        def follow(changed: Config) -> None:
            upkeep.follow(_retention(changed), _subscriptions(changed))
            keeping.wake.set()

        if self._file is not None:
            self._start_reloading(self._file, callbacks, follow)

    def reload(self) -> None:
        """Take up the file, changed or not; if the relay has not started yet, once it has."""
        self._reload_asked.set()
        if self._wake_reloading is not None:
            self._wake_reloading()

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
        self._stages.cancel("reload")
        self._web.stop_pushes()
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
        self._stages.cancel("reload")  # what it was about to change stops anyway
        await self._stages.stop("reload", "intake")
        await self._comparisons.cancel()
        self._stages.cancel("reconcile", "recordings")  # what they read may be read again: nobody need wait
        await self._stages.stop("unpack", "reconcile", "recordings")
        await self._stages.stop("publish", "replay", "deliver", "upkeep")
        if self._callbacks is not None:
            await self._callbacks.close()
        await self._cleanup.aclose()

    async def _start_on(self, ground: Ground) -> Callbacks:
        wakes = Wakes()
        shelves = {source.name: _shelf(ground.config, source) for source in ground.config.sources}
        self._callbacks = callbacks = Callbacks(ground, wakes)
        replaying = Replaying(ground, callbacks)
        self._web = Web(ground, wakes, self._comparisons, shelves, callbacks.controls, replaying.routes)
        await self._web.start()
        await callbacks.open()
        await replaying.start()
        streams = Streams(ground, wakes, callbacks, comparisons=self._comparisons, shelves=shelves)
        for source in ground.config.sources:
            await streams.start(source)
        return callbacks

    def _start_reloading(self, file: ConfigFile, callbacks: Callbacks, follow: Callable[[Config], None]) -> None:
        reloading = Reloading(
            file,
            self._config,
            asked=self._reload_asked,
            callbacks=callbacks,
            follow=follow,
            telemetry=self.telemetry,
            health=self.health,
            now_ms=now_ms,
        )
        self._wake_reloading = self._stages.start("reload", "reload", reloading.step).wake.set

    async def _figures(self) -> JournalFigures | None:
        try:
            return await self._journal.figures(now_ms())
        except JournalError:
            return None


def _shelf(config: Config, source: SourceConfig) -> RecordingArchive:
    return RecordingArchive(config.recordings_directory(source), min_free_bytes=config.journal.min_free_bytes)


def _subscriptions(config: Config) -> frozenset[tuple[str, Stream]]:
    return subscriptions(streams_of(config), config.callbacks)


def _retention(config: Config) -> Retention:
    return Retention(
        retention_seconds=config.journal.retention_hours * HOUR_SECONDS,
        window_seconds=config.dedup.window_hours * HOUR_SECONDS,
        dead_letter_seconds={callback.name: callback.dead_letter_hours * HOUR_SECONDS for callback in config.callbacks},
        min_free_bytes=config.journal.min_free_bytes,
    )
