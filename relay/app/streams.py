"""Wires the sources: for each stream what polls, unpacks and publishes it, closes its gaps and keeps its recordings."""

from functools import partial

from relay.app.callbacks import Callbacks
from relay.app.ground import Ground, Wakes, now_ms
from relay.config import KafkaConfig, SourceConfig
from relay.domain.envelope import StreamEnvelope
from relay.domain.recordings import RECORDED_KIND
from relay.domain.report import Stream
from relay.ports import Lease
from relay.sinks.kafka import KafkaSink, topics_of
from relay.sinks.recordings import RecordingArchive
from relay.sources.infobip import InfobipSource
from relay.sources.logs import InfobipLogs
from relay.sources.recordings import InfobipRecordings
from relay.stages.intake import Intake
from relay.stages.publish import Publish
from relay.stages.reconcile import Comparison, ComparisonRuns, Reconcile, Recovery
from relay.stages.recordings import Recordings
from relay.stages.unpack import Unpack


class Streams:
    """Starts the stages of every source; they are stopped by their rooms."""

    def __init__(
        self,
        ground: Ground,
        wakes: Wakes,
        callbacks: Callbacks,
        *,
        comparisons: ComparisonRuns,
        shelves: dict[str, RecordingArchive],
    ) -> None:
        self._ground = ground
        self._wakes = wakes
        self._callbacks = callbacks
        self._comparisons = comparisons
        self._shelves = shelves

    async def start(self, source: SourceConfig) -> None:
        """Start all of one source."""
        client = InfobipSource(source, now_ms)
        self._ground.cleanup.push_async_callback(client.close)
        for endpoint in source.endpoints:
            await self._start_stream(source, client, Stream(source.name, endpoint.kind))
        await self._start_reconcile(source, client)

    async def _start_stream(self, source: SourceConfig, client: InfobipSource, stream: Stream) -> None:
        ground = self._ground
        lease = await ground.journal.acquire_lease(f"stream/{stream}")
        recorded = source.recordings.enabled and stream.kind == RECORDED_KIND
        announces = await ground.journal.want_recordings(lease, stream, wanted=recorded)
        await self._callbacks.follow(stream)
        self._start_unpack(stream)
        if ground.config.kafka is None:
            await ground.journal.confirm_without_kafka(lease, stream)
        else:
            self._start_publish(ground.config.kafka, lease, stream, recordings=announces)
        if recorded:
            self._start_recordings(client, lease, stream)
        self._start_intake(source, client, lease, stream)

    def _start_unpack(self, stream: Stream) -> None:
        ground = self._ground
        unpack = Unpack(stream, ground.journal, ground.telemetry, now_ms, partial(self._wakes.followers, stream))
        stage = ground.stages.start("unpack", f"unpack/{stream}", unpack.step)
        self._wakes.unpacks(stream, stage.wake.set)

    def _start_intake(self, source: SourceConfig, client: InfobipSource, lease: Lease, stream: Stream) -> None:
        ground = self._ground
        intake = Intake(
            stream,
            lease,
            journal=ground.journal,
            source=client,
            base_url=source.base_url,
            poll=source.poll_for(stream.kind),
            limits=ground.config.journal,
            telemetry=ground.telemetry,
            health=ground.health,
            now_ms=now_ms,
            wake_unpack=partial(self._wakes.unpack, stream),
        )
        ground.stages.start("intake", f"intake/{stream}", intake.step)

    def _start_publish(self, kafka: KafkaConfig, lease: Lease, stream: Stream, *, recordings: bool) -> None:
        ground = self._ground
        inline = ground.config.dedup.revisions == "inline"
        topics = topics_of(kafka, stream.kind)
        journal_id = ground.journal.journal_id
        publish = Publish(
            stream,
            lease,
            ground.journal,
            KafkaSink(stream, kafka, journal_id=journal_id, revisions_inline=inline, recordings=recordings),
            StreamEnvelope(stream, journal_id, topics, revisions_inline=inline),
            ground.telemetry,
            ground.health,
            now_ms,
            partial(self._wakes.unpack, stream),
            reports_topic=topics.reports,
            transactional=kafka.delivery == "transactional",
        )
        ground.cleanup.push_async_callback(publish.close)
        stage = ground.stages.start("publish", f"publish/{stream}", publish.step)
        self._wakes.follows(stream, stage.name, stage.wake.set)

    def _start_recordings(self, client: InfobipSource, lease: Lease, stream: Stream) -> None:
        ground = self._ground
        recordings = Recordings(
            stream,
            lease,
            journal=ground.journal,
            source=InfobipRecordings(client.account, now_ms),
            shelf=self._shelves[stream.source],
            telemetry=ground.telemetry,
            now_ms=now_ms,
            wake_subscribers=partial(self._wakes.followers, stream),
        )
        ground.cleanup.push_async_callback(recordings.close)
        stage = ground.stages.start("recordings", f"recordings/{stream}", recordings.step)
        recordings.wake = stage.wake.set
        self._wakes.follows(stream, stage.name, stage.wake.set)

    async def _start_reconcile(self, source: SourceConfig, client: InfobipSource) -> None:
        ground = self._ground
        pace = source.reconcile.requests_per_minute
        logs = InfobipLogs(client.account, requests_per_minute=pace, now_ms=now_ms)
        for endpoint in source.endpoints:
            stream = Stream(source.name, endpoint.kind)
            known = endpoint.known_logs_path is not None
            recovery = Recovery(
                stream=stream,
                lease=await ground.journal.acquire_lease(f"reconcile/{stream}"),
                journal=ground.journal,
                logs=logs if known else None,
                config=source.reconcile,
                limits=ground.config.journal,
                telemetry=ground.telemetry,
                health=ground.health,
                now_ms=now_ms,
                wake_subscribers=partial(self._wakes.followers, stream),
            )
            ground.stages.start("reconcile", f"reconcile/{stream}", Reconcile(recovery).step)
            if known:
                self._comparisons.add(Comparison(recovery, logs))
