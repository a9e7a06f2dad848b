"""The loop of one stream's publisher and what follows each kind of failure."""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Callable

import structlog

from relay.domain.envelope import StreamEnvelope
from relay.domain.report import Stream
from relay.domain.retry import equal_jitter_seconds
from relay.observe import Health, Telemetry
from relay.observe.failpoints import Point, reach
from relay.ports import (
    EventSink,
    JournalError,
    JournalFatal,
    Lease,
    LeaseLost,
    ProducerFenced,
    PublishJournal,
    RecordsRefused,
    SinkError,
    StreamBlocked,
    TransactionIndefinite,
)
from relay.stages.publish.batch import Batch, Reader
from relay.stages.publish.fencing import Fencings
from relay.stages.publish.takeover import adopt_missing, find_position

log = structlog.get_logger(__name__)

IDLE_SECONDS = 5.0
STOPPED_SECONDS = 60.0
FIRST_BACKOFF_SECONDS = 0.25
MAX_BACKOFF_SECONDS = 30.0
FENCED_CAUSES = (
    "another producer uses the same transactional id (a copy of this journal?), "
    "or this machine stands still for longer than kafka.transaction_timeout_seconds"
)
COMMIT_AGAIN_MS = 86_400_000
"""Brokers forget an offset 7 days after it was committed last."""


class Publish:
    """The publisher of one stream. `reports_topic` is its kind's topic; `confirmed` is called whenever the cursor was
    read, since unpack waits for that. Without `transactional` the journal's copy is the cursor: at least once."""

    def __init__(
        self,
        stream: Stream,
        lease: Lease,
        journal: PublishJournal,
        sink: EventSink,
        envelope: StreamEnvelope,
        telemetry: Telemetry,
        health: Health,
        now_ms: Callable[[], int],
        confirmed: Callable[[], None],
        *,
        reports_topic: str,
        transactional: bool,
    ) -> None:
        self._stream = stream
        self._lease = lease
        self._journal = journal
        self._sink = sink
        self._reader = Reader(stream, journal, envelope)
        self._telemetry = telemetry
        self._health = health
        self._now_ms = now_ms
        self._confirmed = confirmed
        self._reports_topic = reports_topic
        self._transactional = transactional
        self._component = f"publish/{stream}"
        self._cluster_id: str | None = None
        self._position: int | None = None
        self._committed_at_ms = 0
        self._advancing: asyncio.Task[None] | None = None
        self._failures = 0
        self._wait_until = 0.0
        self._fencings = Fencings()
        self._left_at: int | None = None
        self._stopped = False

    async def step(self) -> float:
        """One transaction at most; seconds to wait before the next step."""
        if self._stopped:
            return STOPPED_SECONDS
        rest_seconds = self._wait_until - time.monotonic()
        if rest_seconds > 0:  # woken by new entries: they do not make the broker come back
            return rest_seconds
        try:
            return await self._publish_next()
        except SinkError as error:
            return await self._after(error, None)
        except (LeaseLost, JournalFatal):
            await self.close()
            self._left_at = None  # whoever owns the stream meanwhile moves the cursor
            raise

    async def close(self) -> None:
        """Let the producer go and finish what is being written; the stage may be stepped again and starts anew."""
        self._position = None
        await self._reader.forget_ahead()
        await self._sink.abandon()
        advancing, self._advancing = self._advancing, None
        if advancing is not None:
            await asyncio.wait([advancing])
            if not advancing.cancelled():
                advancing.exception()

    async def _publish_next(self) -> float:
        position = self._position
        if position is None:
            position = await self._take_over_counted()
        batch = await self._reader.next_batch(position)
        if not batch.entries:
            return await self._idle(position)
        try:
            await self._commit(batch, batch.last_seq)
        except SinkError as error:
            return await self._after(error, batch)
        return 0

    async def _take_over_counted(self) -> int:
        """A Kafka that is away from the start must show where one that goes away later does."""
        started = time.monotonic()
        try:
            return await self._take_over()
        except SinkError as error:
            self._telemetry.transaction_finished(_outcome(error), time.monotonic() - started)
            raise

    async def _take_over(self) -> int:
        """Open a producer and find the position; only then may seqs be given and records be sent."""
        await self._sink.open()
        self._cluster_id = await self._sink.cluster_id() or None
        local = await self._journal.local_cursor(self._stream)
        try:
            position = await find_position(
                self._stream, local, self._sink, cluster_id=self._cluster_id, transactional=self._transactional
            )
        except StreamBlocked:
            self._left_at = None  # an operator says where to begin, not whoever fenced us
            raise
        if self._left_at is not None and position != self._left_at:
            self._stop(
                f"fenced, and the cursor moved from {self._left_at} to {position}: somebody else publishes this stream"
            )
            raise ProducerFenced("another producer publishes this stream")
        if self._transactional:
            await adopt_missing(
                self._lease, self._stream, self._journal, self._sink,
                local=local, position=position, reports_topic=self._reports_topic,
            )  # fmt: skip
        await self._journal.confirm_cursor(self._lease, self._stream, position, self._cluster_id, self._now_ms())
        self._left_at = None
        self._position = position
        log.info("publishing", stream=str(self._stream), after_seq=position)
        self._committed_at_ms = 0  # nobody knows when: commit again as soon as there is nothing else to do
        self._confirmed()
        return position

    async def _idle(self, position: int) -> float:
        self._recovered()
        if self._transactional and self._now_ms() - self._committed_at_ms >= COMMIT_AGAIN_MS:
            await self._commit(Batch((), ()), position)
        return IDLE_SECONDS

    async def _commit(self, batch: Batch, position: int) -> None:
        """One transaction: committed when it returns. The next batch is read meanwhile."""
        started = time.monotonic()
        if batch.entries:
            self._reader.read_ahead(batch)
        try:
            if batch.records or self._transactional:
                await self._sink.publish(batch.records, position)
        except SinkError as error:
            self._telemetry.transaction_finished(_outcome(error), time.monotonic() - started)
            raise
        reach(Point.PUBLISH_COMMITTED)
        at_ms = self._now_ms()
        self._telemetry.transaction_finished("committed", time.monotonic() - started)
        for topic, count in Counter([record.topic for record in batch.records]).items():
            self._telemetry.records_published(topic, count)
        self._telemetry.published(self._stream, [record.timestamp_ms for record in batch.records], at_ms)
        self._position = position
        self._committed_at_ms = at_ms
        self._recovered()
        await self._keep(position, at_ms)

    async def _keep(self, position: int, at_ms: int) -> None:
        """Write the journal's copy. With transactions it may lag: it is written while the next one runs."""
        if self._advancing is not None:
            await self._settle(self._advancing)
        self._advancing = asyncio.create_task(
            self._journal.advance(self._lease, self._stream, position, self._cluster_id, at_ms)
        )
        if not self._transactional:
            await self._settle(self._advancing)
            self._advancing = None

    async def _settle(self, advancing: "asyncio.Task[None]") -> None:
        try:
            await advancing
        except LeaseLost:
            raise
        except JournalError as error:
            # A full disk must not stop what is journaled from draining; the copy follows with the next one.
            log.warning("cursor not kept in the journal", stream=str(self._stream), error=str(error))

    async def _after(self, error: SinkError, batch: Batch | None) -> float:
        """Abandon the producer, whatever happened; then by what happened."""
        left_at = self._position
        await self.close()
        if self._stopped:
            return STOPPED_SECONDS
        match error:
            case RecordsRefused() if batch is not None and batch.records:
                return await self._after_refusal(error, batch)
            case ProducerFenced() if left_at is not None:
                return await self._after_fencing(error, left_at)
            case _:
                return self._back_off(error)

    async def _after_refusal(self, error: RecordsRefused, batch: Batch) -> float:
        """Halve until one record is left; its quarantine entry is written before the cursor may pass it."""
        if len(batch.records) > 1:
            self._reader.narrow(batch)
            log.info("batch refused, halving", stream=str(self._stream), records=len(batch.records), error=str(error))
            return 0
        seq = batch.records[0].seq
        log.warning("record refused by the broker", stream=str(self._stream), seq=seq, error=str(error))
        await self._journal.refuse_record(self._lease, self._stream, seq, str(error), self._now_ms())
        self._reader.widen()
        return 0

    async def _after_fencing(self, error: ProducerFenced, left_at: int) -> float:
        """A machine that stood still goes on at once; an id that others take again and again is left to them longer and
        longer, and never given up."""
        now = time.monotonic()
        wait_seconds = self._fencings.fenced(now)
        self._wait_until = now + wait_seconds
        self._left_at = left_at
        if wait_seconds:
            self._health.degrade(self._component, self._disputed())
        log.warning("fenced", stream=str(self._stream), wait_seconds=wait_seconds, error=str(error))
        # Checks the lease: LeaseLost ends this publisher, as it should if another replica owns the stream.
        await self._journal.advance(self._lease, self._stream, left_at, self._cluster_id, self._now_ms())
        return wait_seconds

    def _stop(self, reason: str) -> None:
        self._stopped = True
        self._health.degrade(
            self._component,
            f"stopped: {reason}; end it, then restart relay: what this journal alone holds is published then",
        )
        log.error("publishing stopped", stream=str(self._stream), reason=reason)

    def _back_off(self, error: SinkError) -> float:
        self._failures += 1
        self._health.degrade(self._component, str(error))
        say = log.error if isinstance(error, StreamBlocked) else log.warning
        say("publishing failed", stream=str(self._stream), error=str(error), failures=self._failures)
        wait_seconds = equal_jitter_seconds(
            self._failures,
            initial_seconds=FIRST_BACKOFF_SECONDS,
            max_seconds=MAX_BACKOFF_SECONDS,
            random=random.random,
        )
        self._wait_until = time.monotonic() + wait_seconds
        return wait_seconds

    def _recovered(self) -> None:
        failed, self._failures = self._failures > 0, 0
        was_disputed = self._fencings.in_a_row > 1
        disputed = not self._fencings.published(time.monotonic())
        if disputed:
            self._health.degrade(self._component, self._disputed())
        elif failed or was_disputed:
            self._health.recover(self._component)
            log.info("publishing again", stream=str(self._stream))

    def _disputed(self) -> str:
        return f"fenced {self._fencings.in_a_row} times in a row: {FENCED_CAUSES}"


def _outcome(error: SinkError) -> str:
    match error:
        case RecordsRefused():
            return "refused"
        case ProducerFenced():
            return "fenced"
        case TransactionIndefinite():
            return "indefinite"
        case StreamBlocked():
            return "blocked"
        case _:
            return "unavailable"
