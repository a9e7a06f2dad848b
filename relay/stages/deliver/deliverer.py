"""The deliverer of one (callback, stream)."""

import asyncio
import random
import time
from collections import deque
from collections.abc import Callable

import structlog

from relay.config import CallbackConfig
from relay.domain.delivery import (
    AFTER_RATE_LIMIT_SECONDS,
    SLOW_DOWN,
    AttemptOutcome,
    Dead,
    Decision,
    Delivered,
    Try,
    attempt_outcome,
    decide,
    failure_reason,
    is_success,
)
from relay.domain.pausing import Pause, PausedBy
from relay.domain.report import Entry, Stream
from relay.domain.retry import RetryPolicy, honoured_seconds
from relay.observe import Telemetry
from relay.observe.failpoints import Point, reach
from relay.ports import CallbackSender, DeliverJournal, JournalError, Lease, PostResult
from relay.stages.deliver.admission import Admission, Batches, Singles
from relay.stages.deliver.bounds import Bounds
from relay.stages.deliver.clock import ForwardClock
from relay.stages.deliver.gate import Gate
from relay.stages.deliver.job import Job, Lanes
from relay.stages.deliver.recorder import Recorder
from relay.stages.deliver.subscription import wanted_by

log = structlog.get_logger(__name__)

READ_ENTRIES = 500
READ_BYTES = 1 << 20
"""One read of the stream, or of what is due, brings about so much at most."""

PROBE_ENTRIES = 16
"""So many are read at least for a probe of a callback that is spared."""

FEW_FRESH = 250
"""The stream is read when fewer fresh singles than this wait for a slot."""

DUE_DELIVERIES = 64
FEW_DUE = 16
"""Stored deliveries that are due are read so many at a time, when fewer than that wait."""

PARK_SPAN = 2048
"""So far is reading ahead of the cursor when slow attempts are stored, so that the cursor can pass them."""

RECORD_DELAY_SECONDS = 0.02
"""What ends within this time is recorded in one transaction; after a crash so much is posted again. A quarter of it
would cost a fifth more for each POST."""

IDLE_SECONDS = 1.0

MAX_HOLD_SECONDS = 300.0
"""A Retry-After holds back the callback's other deliveries no longer than this; the one refused waits as asked."""

DELIVERED = Delivered()


def _nobody() -> None:
    """Until there is somebody to wake."""


class Deliver:
    """Posts a stream's entries to one callback and records how each attempt ended.

    `step` belongs into a Stage; set `wake` to that stage's. Attempts run in tasks of their own between the steps, which
    record what ended, keep the lanes filled and the backlog within its bounds. After the stage has ended, `close`.
    """

    def __init__(
        self,
        *,
        config: CallbackConfig,
        stream: Stream,
        lease: Lease,
        journal: DeliverJournal,
        sender: CallbackSender,
        gate: Gate,
        telemetry: Telemetry,
        now_ms: Callable[[], int],
        uniform: Callable[[], float] = random.random,
    ) -> None:
        self.wake: Callable[[], None] = _nobody
        self._config = config
        self._name = config.name
        self._stream = stream
        self._lease = lease
        self._journal = journal
        self._sender = sender
        self._gate = gate
        self._telemetry = telemetry
        self._wall_ms = now_ms
        self._now_ms = ForwardClock(now_ms)
        self._uniform = uniform
        self._wanted = wanted_by(config)
        self._policy = RetryPolicy(config.retry.initial_seconds, config.retry.max_seconds, config.retry.max_age_seconds)
        self._lanes = Lanes(config.concurrency)
        batches = config.batch_size > 1
        self._admission: Admission = (
            Batches(config.batch_size, config.linger_seconds) if batches else Singles(self._lanes)
        )
        self._few_fresh = config.concurrency if batches else FEW_FRESH
        self._few_due = max(FEW_DUE, config.concurrency)
        self._due_deliveries = max(DUE_DELIVERIES, 2 * config.concurrency)
        self._read_entries = max(READ_ENTRIES, config.batch_size)
        self._recorder: Recorder | None = None
        self._bounds = Bounds(
            config=config,
            stream=stream,
            lease=lease,
            journal=journal,
            gate=gate,
            now_ms=self._now_ms,
            wall_ms=now_ms,
            uniform=uniform,
        )
        self._running: dict[Job, None] = {}
        """What is in flight, in the order in which it began."""
        self._workers: set[asyncio.Task[None]] = set()
        self._worker_free = False
        """Somebody in `_work` has just ended an attempt and may make another."""
        self._begun: deque[Job] = deque()
        """In flight by the books, for the next who comes by in `_work`: attempts begin in the order of the jobs."""
        self._wake_timer: asyncio.TimerHandle | None = None
        self._closing = False
        self._answered = False
        """Whether it ever took a report: who hangs from the start gets little into memory."""
        self._found_none = False
        """Whether the last entries that were read were all for others."""
        self._stored_elsewhere = False

    def entries_came(self) -> None:
        """There are new entries in the stream. A callback that hangs or is spared has no room for them: it is not
        woken for each commit, so that it costs its neighbours nothing."""
        if self._recorder is None or self._room_for_fresh():
            self.wake()

    def stored_elsewhere(self) -> None:
        """Somebody else has put deliveries into the journal that are due at once."""
        self._stored_elsewhere = True
        self.wake()

    async def step(self) -> float:
        """Record, store, fill the lanes, start attempts; seconds until there is something to do again."""
        recorder = self._recorder or await self._open()
        if self._stored_elsewhere:
            self._stored_elsewhere = False
            recorder.due_by(self._now_ms())
        await recorder.record()
        await recorder.store()
        await self._gate.keep(self._journal)
        if self._gate.held:
            await self._hold(recorder)
        await self._bounds.keep(recorder, lambda: [*self._running, *self._lanes.fresh])
        await self._take_due(recorder)
        more = await self._read(recorder)
        self._launch()
        return 0.0 if more or self._bounds.shedding else self._idle_seconds(recorder)

    async def close(self, grace_seconds: float) -> None:
        """End: no new attempts; those in flight get `grace_seconds`, then they are broken off; record what ended.

        An attempt that was broken off is not recorded: it is made again by whoever follows, with the same id. Nothing
        else is.
        """
        self._closing = True
        self._gate.withdraw(self._launch)
        if self._wake_timer is not None:
            self._wake_timer.cancel()
        jobs, workers = list(self._running), list(self._workers)
        if workers:
            await asyncio.wait(workers, timeout=grace_seconds)
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)
        for _ in range(len(self._running)):  # cancelled before they began
            self._gate.leave()
        self._running.clear()
        self._begun.clear()
        if self._recorder is not None:
            try:
                await self._recorder.leave([job for job in jobs if job.result is None])
            except JournalError as error:
                log.warning("attempts not recorded, they are repeated", callback=self._name, error=str(error))

    # --- filling the lanes ---

    async def _open(self) -> Recorder:
        position = await self._journal.open_subscription(
            self._lease,
            self._name,
            self._stream,
            earliest=self._config.start == "earliest",
            at_ms=self._now_ms(),
            wanted=self._wanted,
        )
        self._recorder = Recorder(
            journal=self._journal,
            lease=self._lease,
            callback=self._name,
            stream=self._stream,
            admission=self._admission,
            lanes=self._lanes,
            now_ms=self._now_ms,
            position=position,
        )
        return self._recorder

    async def _take_due(self, recorder: Recorder) -> None:
        at_ms = self._now_ms()
        if recorder.due_at_ms is None or recorder.due_at_ms > at_ms or not self._room_for_due():
            return
        limit = 1 if self._gate.held else self._due_deliveries
        due = await self._journal.due_deliveries(self._name, self._stream, at_ms, limit, READ_BYTES, recorder.loaded)
        for delivery in due:
            recorder.loaded.add(delivery.id)
            self._lanes.due.append(Job.of(delivery))
        recorder.due_at_ms = at_ms if due else await self._next_due_at_ms(recorder, at_ms)

    async def _next_due_at_ms(self, recorder: Recorder, at_ms: int) -> int | None:
        next_ms = await self._journal.next_due_at_ms(self._name, self._stream, recorder.loaded)
        return next_ms and max(next_ms, at_ms + 1)

    def _room_for_due(self) -> bool:
        return self._wants_a_probe() if self._gate.held else len(self._lanes.due) < self._few_due

    async def _read(self, recorder: Recorder) -> bool:
        """Admit the next entries of the stream if there is room; whether there are more to be had at once."""
        if not self._room_for_fresh():
            return False
        window = recorder.window
        if window.span > PARK_SPAN:
            await recorder.park([job for job in self._running if window.age(job.seq) > PARK_SPAN // 2])
        limit = self._read_limit()
        entries = await self._journal.read_stream(self._stream, window.read_to, limit, READ_BYTES)
        wanted = [entry for entry in entries if self._wanted.takes(entry)]
        self._found_none = not wanted
        if self._gate.held and len(wanted) > self._config.batch_size:
            wanted = wanted[: self._config.batch_size]
            entries = entries[: entries.index(wanted[-1]) + 1]
        pending = await self._pending(wanted)
        for entry in wanted:
            window.open(entry.seq)
        if entries:
            window.read_to = entries[-1].seq
        self._admission.admit(wanted, pending, time.monotonic())
        await recorder.store()
        full = len(entries) == limit or sum([len(entry.value) for entry in entries]) >= READ_BYTES // 2
        return full and self._room_for_fresh()

    def _read_limit(self) -> int:
        """For a probe little is read, as nineteen callbacks that hang are probed together; unless nobody wants it."""
        if self._gate.held and not self._found_none:
            return max(PROBE_ENTRIES, self._config.batch_size)
        return self._read_entries

    def _room_for_fresh(self) -> bool:
        if self._gate.held:
            return self._wants_a_probe()
        few_fresh = self._few_fresh if self._answered else 1
        return len(self._lanes.fresh) < few_fresh and self._lanes.fresh_bytes < READ_BYTES

    async def _pending(self, entries: list[Entry]) -> set[str]:
        """Which later revisions must queue up behind a stored delivery."""
        later = [entry.message_id for entry in entries if entry.revision > 1]
        return await self._journal.pending_message_ids(self._name, self._stream, later) if later else set()

    def _idle_seconds(self, recorder: Recorder) -> float:
        """Until the next thing to do, unless an attempt ends or somebody wakes us before."""
        wait_seconds = IDLE_SECONDS
        if self._room_for_fresh():
            linger_seconds = self._admission.close_batch(time.monotonic())
            if self._admission.unstored:
                return 0.0
            wait_seconds = wait_seconds if linger_seconds is None else min(wait_seconds, linger_seconds)
        if recorder.due_at_ms is not None and self._room_for_due():
            wait_seconds = min(wait_seconds, max(0.0, (recorder.due_at_ms - self._now_ms()) / 1000))
        return wait_seconds

    # --- a callback that is left alone ---

    def _wants_a_probe(self) -> bool:
        """Of a callback that is spared one delivery is taken into memory at a time, of one that is paused none."""
        return not (self._gate.paused or self._running or self._lanes.fresh or self._lanes.due)

    async def _hold(self, recorder: Recorder) -> None:
        """What waits goes back into the journal, all but a probe: bounds are kept and people decide there."""
        if len(self._lanes.fresh) + len(self._lanes.due) > (0 if self._gate.paused else 1):
            recorder.put_back()
            await recorder.park_all(self._lanes.fresh)
            recorder.forget(self._lanes.clear())

    # --- attempts ---

    def _launch(self) -> None:
        """Start attempts while there are jobs and slots; called again by the gate when it found no slot."""
        while self._lanes and not self._closing and self._gate.enter(self._launch):
            job = self._lanes.take()
            self._running[job] = None
            self._begun.append(job)
            if self._worker_free:
                self._worker_free = False
                continue
            worker = asyncio.create_task(self._work())
            self._workers.add(worker)
            worker.add_done_callback(self._workers.discard)

    async def _work(self) -> None:
        """One attempt after the other while there are slots and jobs: a task for each would cost a tenth more."""
        goes_on = True
        while goes_on:
            job = self._begun.popleft()
            result = await self._attempt(job)
            self._worker_free = True
            try:
                self._end(job, result)
            except Exception:  # the report comes again after a restart; what this worker was given meanwhile goes on
                log.exception("an attempt could not be ended", callback=self._name, stream=str(self._stream))
            goes_on, self._worker_free = not self._worker_free, False

    async def _attempt(self, job: Job) -> PostResult:
        job.started_at_ms = self._now_ms()
        try:
            return await self._sender.post(self._stream, job.members, self._wall_ms())
        except asyncio.CancelledError:
            del self._running[job]
            self._gate.leave()
            raise
        except Exception as error:  # a surprise of one report must not stop the others
            log.exception("attempt failed unexpectedly", callback=self._name)
            return PostResult(None, f"internal: {type(error).__name__}", None, 0.0, b"")

    def _end(self, job: Job, result: PostResult) -> None:
        reach(Point.DELIVER_POSTED)
        del self._running[job]
        if job.is_retry:
            self._lanes.retry_ended()
        success, outcome = is_success(result.status), attempt_outcome(result.status)
        job.result = result
        job.decision = DELIVERED if success else self._judge(job, result)
        if isinstance(job.decision, Dead):
            self._bounds.given_up(len(job.members), job.decision.reason)
        if self._recorder is not None:
            self._recorder.ended(job)
        self._wake_soon()
        if success:
            self._answered = True
            self._gate.succeeded()
        else:
            self._tell_gate(result, outcome)
        self._telemetry.attempt_finished(self._name, outcome, result.duration_seconds)

    def _tell_gate(self, result: PostResult, outcome: AttemptOutcome) -> None:
        """Of a failure."""
        reason = failure_reason(result.status, result.error)
        if outcome is AttemptOutcome.GONE:
            self._gate.pause(Pause(PausedBy.GONE, reason, self._wall_ms()))
        slow_down = result.status in SLOW_DOWN
        self._gate.failed(reason, hold_seconds=_hold_seconds(result) if slow_down else 0.0, slow_down=slow_down)

    def _judge(self, job: Job, result: PostResult) -> Decision:
        ended = Try(
            status=result.status,
            error=result.error,
            retry_after_seconds=result.retry_after_seconds,
            attempts=job.attempts + 1,
            created_at_ms=job.created_at_ms or job.started_at_ms,
            now_ms=self._now_ms(),
        )
        return decide(ended, self._policy, self._uniform)

    def _wake_soon(self) -> None:
        if self._wake_timer is None:
            self._wake_timer = asyncio.get_running_loop().call_later(RECORD_DELAY_SECONDS, self._wake_now)

    def _wake_now(self) -> None:
        self._wake_timer = None
        self.wake()


def _hold_seconds(result: PostResult) -> float:
    """How long the callback's other deliveries wait because this answer says that it is overloaded."""
    least_seconds = AFTER_RATE_LIMIT_SECONDS if result.status == 429 else 0.0
    asked_seconds = honoured_seconds(result.retry_after_seconds, cap_seconds=MAX_HOLD_SECONDS) or 0.0
    return max(asked_seconds, least_seconds)
