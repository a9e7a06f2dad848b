"""Everything that a deliverer writes into the journal, and what it knows of it: cursor, window, stored deliveries."""

import time
from collections.abc import Callable, Iterable, Sequence

from relay.domain.delivery import Retry
from relay.domain.report import Stream
from relay.observe.failpoints import Point, reach
from relay.ports import DeliverJournal, Lease, NewDelivery
from relay.stages.deliver.admission import Admission
from relay.stages.deliver.job import Job, Lanes
from relay.stages.deliver.window import Window

CURSOR_LAG_ENTRIES = 500
CURSOR_LAG_SECONDS = 1.0


class Recorder:
    """Groups what ended into transactions. Its methods are never run concurrently; attempts may end meanwhile.

    A JournalError leaves everything in hand: the next call tries again with whatever came in addition.
    """

    def __init__(
        self,
        *,
        journal: DeliverJournal,
        lease: Lease,
        callback: str,
        stream: Stream,
        admission: Admission,
        lanes: Lanes,
        now_ms: Callable[[], int],
        position: int,
    ) -> None:
        self.window = Window(position)
        self.due_at_ms: int | None = 0
        """When a stored delivery is due next, as far as known; None: there is none."""
        self.loaded: set[int] = set()
        """Ids of the stored deliveries that are in memory: waiting, running or ended."""
        self._journal = journal
        self._subscription = (lease, callback, stream)
        self._admission = admission
        self._lanes = lanes
        self._now_ms = now_ms
        self._ended: list[Job] = []
        self._position = position
        self._moved_at_seconds = time.monotonic()

    def ended(self, job: Job) -> None:
        """An attempt has ended; it is recorded with the next transaction."""
        self._ended.append(job)

    def due_by(self, at_ms: int) -> None:
        """Some stored delivery is due at `at_ms`."""
        if self.due_at_ms is None or at_ms < self.due_at_ms:
            self.due_at_ms = at_ms

    def moved_to(self, position: int) -> None:
        """The journal's cursor is at `position`."""
        self._position = position
        self._moved_at_seconds = time.monotonic()
        self.window.read_to = max(self.window.read_to, position)

    async def record(self) -> None:
        """One transaction for all attempts that ended since the last one, with the cursor's move."""
        ended = self._ended.copy()
        finishing = {job.seq for job in ended if job.delivery_id is None}
        position = self.window.cursor(finishing)
        if not ended and not self._cursor_lags(position):
            return
        attempts = [job.record() for job in ended]
        released = await self._journal.record_attempts(*self._subscription, attempts, position)
        reach(Point.DELIVER_RECORDED)
        del self._ended[: len(ended)]
        self.window.finish(finishing)
        self.moved_to(position)
        for job in ended:
            self._settle(job)
        if released:
            self.due_by(self._now_ms())

    async def store(self) -> None:
        """Store what was admitted to be stored before its first attempt; then its jobs may go."""
        unstored = self._admission.unstored
        if not unstored:
            return
        at_ms = self._now_ms()
        ids = await self._store([one.delivery for one in unstored], at_ms)
        for (_, job), delivery_id in zip(unstored, ids, strict=True):
            if job is None:
                self.due_by(at_ms)
            else:
                job.stored_as(delivery_id, at_ms)
                self.loaded.add(delivery_id)
                self._lanes.add_fresh(job)
        unstored.clear()

    async def park(self, jobs: Iterable[Job]) -> None:
        """Store singles that wait, are in flight or have just ended, so that the cursor can pass; they go on."""
        parked = sorted((job for job in jobs if job.delivery_id is None), key=lambda job: job.seq)
        if not parked:
            return
        deliveries: list[NewDelivery] = []
        places: list[int] = []
        for job in parked:
            places.append(len(deliveries))
            deliveries.append(NewDelivery((job.seq,)))
            deliveries += [NewDelivery((later.seq,), waits=True) for later in self._admission.waiting_behind(job)]
        at_ms = self._now_ms()
        ids = await self._store(deliveries, at_ms)
        for job, place in zip(parked, places, strict=True):
            job.stored_as(ids[place], at_ms)
            self.loaded.add(ids[place])
            self._admission.stored(job)

    async def park_all(self, jobs: Iterable[Job]) -> None:
        """Leave nothing between the cursor and what was read: `jobs` are those that wait or are in flight."""
        self._admission.close_batch(float("inf"))
        await self.store()
        await self.park([*jobs, *self._ended])

    def put_back(self) -> None:
        """What was read and not tried is read again some day: storing it for a callback that hangs would cost its
        neighbours more than all that it does."""
        self._admission.put_back(self.window.unread(self._admission.untried))

    async def leave(self, broken_off: Iterable[Job]) -> None:
        """Record what ended; what it has overtaken is stored, so that nothing that is delivered is read again."""
        await self.record()
        await self.store()
        left = [*broken_off, *self._lanes.fresh]
        while overtaken := self._overtaken(left):
            await self.park(overtaken)  # what waited behind them is stored too, and may have overtaken others

    def forget(self, jobs: Iterable[Job]) -> None:
        """Stored deliveries that wait in the journal from now on, no longer in memory."""
        self.loaded.difference_update([job.delivery_id for job in jobs if job.delivery_id is not None])
        self.due_by(self._now_ms())

    async def _store(self, deliveries: Sequence[NewDelivery], at_ms: int) -> list[int]:
        seqs = {seq for delivery in deliveries for seq in delivery.seqs}
        position = self.window.cursor(seqs)
        ids = await self._journal.store_deliveries(*self._subscription, deliveries, position, at_ms)
        self.window.finish(seqs)
        self.moved_to(position)
        return ids

    def _overtaken(self, jobs: Iterable[Job]) -> list[Job]:
        seqs = self.window.overtaken
        return [job for job in jobs if job.delivery_id is None and job.seq in seqs]

    def _settle(self, job: Job) -> None:
        if job.delivery_id is None:
            self._admission.recorded(job)
        else:
            self.loaded.discard(job.delivery_id)
        if isinstance(job.decision, Retry):
            self.due_by(job.decision.at_ms)

    def _cursor_lags(self, position: int) -> bool:
        """Entries that nobody wants move the cursor too, but not at the price of a commit for each read."""
        lag = position - self._position
        overdue = time.monotonic() - self._moved_at_seconds >= CURSOR_LAG_SECONDS
        return lag >= CURSOR_LAG_ENTRIES or (lag > 0 and overdue)
