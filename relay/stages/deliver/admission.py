"""What becomes of entries of the stream: a job at once, a place behind an earlier revision, or a seat in a batch."""

from collections.abc import Collection, Sequence
from typing import NamedTuple, Protocol

from relay.domain.delivery import Retry
from relay.domain.report import Entry
from relay.ports import NewDelivery
from relay.stages.deliver.job import Job, Lanes

MAX_BATCH_BYTES = 1 << 20
"""A batch is closed before it grows beyond this (one larger report goes alone)."""


class Unstored(NamedTuple):
    """A delivery to store; its job is to be posted after that, None if it waits behind another delivery."""

    delivery: NewDelivery
    job: Job | None


class Admission(Protocol):
    """How the entries of a stream become deliveries; `unstored` must be stored before more is admitted."""

    unstored: list[Unstored]

    def admit(self, entries: Sequence[Entry], pending: Collection[str], at_seconds: float) -> None:
        """Take wanted entries, ascending; `pending`: the messageIds that have a stored delivery."""

    def close_batch(self, at_seconds: float) -> float | None:
        """Close the batch that has waited long enough; else how long it may still wait, None if there is none."""

    def recorded(self, job: Job) -> None:
        """A job without a stored delivery was recorded: what waited behind it may go on."""

    def waiting_behind(self, job: Job) -> Sequence[Entry]:
        """Later revisions that wait for a job without a stored delivery; if it is stored, so must they be."""

    def stored(self, job: Job) -> None:
        """A job and what waited behind it have stored deliveries now."""

    @property
    def untried(self) -> set[int]:
        """The seqs of what was admitted and is neither begun nor stored."""

    def put_back(self, seqs: Collection[int]) -> None:
        """Forget these, the last of `untried`: they are admitted again when they are read again."""


class Singles:
    """One report, one POST. A first attempt needs no stored delivery; later revisions wait for the earlier."""

    def __init__(self, lanes: Lanes) -> None:
        self.unstored: list[Unstored] = []
        self._lanes = lanes
        self._busy: set[str] = set()
        """The messageIds of jobs that are neither stored nor recorded."""
        self._held: dict[str, list[Entry]] = {}

    def admit(self, entries: Sequence[Entry], pending: Collection[str], at_seconds: float) -> None:
        del at_seconds
        for entry in entries:
            if entry.revision > 1 and self._must_wait(entry, pending):
                continue
            self._add(entry)

    def close_batch(self, at_seconds: float) -> float | None:
        del at_seconds
        return None

    def recorded(self, job: Job) -> None:
        (entry,) = job.members
        held = self.waiting_behind(job)
        self.stored(job)
        if not held:
            return
        if isinstance(job.decision, Retry):
            self.unstored += [Unstored(NewDelivery((later.seq,), waits=True), None) for later in held]
            return
        self._add(held[0])
        if held[1:]:
            self._held[entry.message_id] = [*held[1:]]

    def waiting_behind(self, job: Job) -> Sequence[Entry]:
        return self._held.get(job.members[0].message_id, ()) if self._held else ()

    def stored(self, job: Job) -> None:
        message_id = job.members[0].message_id
        self._busy.discard(message_id)
        self._held.pop(message_id, None)

    @property
    def untried(self) -> set[int]:
        waiting = {job.seq for job in self._lanes.fresh if job.delivery_id is None}
        return waiting.union(entry.seq for held in self._held.values() for entry in held)

    def put_back(self, seqs: Collection[int]) -> None:
        for job in self._lanes.put_back(seqs):
            self._busy.discard(job.members[0].message_id)
        held = {name: [entry for entry in entries if entry.seq not in seqs] for name, entries in self._held.items()}
        self._held = {name: entries for name, entries in held.items() if entries}

    def _must_wait(self, entry: Entry, pending: Collection[str]) -> bool:
        if entry.message_id in pending:
            self.unstored.append(Unstored(NewDelivery((entry.seq,), waits=True), None))
            return True
        if entry.message_id in self._busy:
            self._held.setdefault(entry.message_id, []).append(entry)
            return True
        return False

    def _add(self, entry: Entry) -> None:
        self._busy.add(entry.message_id)
        self._lanes.add_fresh(Job((entry,)))


class Batches:
    """Several reports in one POST, filled up to `linger_seconds`; stored before the first attempt, so they stay."""

    def __init__(self, batch_size: int, linger_seconds: float) -> None:
        self.unstored: list[Unstored] = []
        self._batch_size = batch_size
        self._linger_seconds = linger_seconds
        self._gathered: list[Entry] = []
        self._gathered_bytes = 0
        self._since_seconds = 0.0

    def admit(self, entries: Sequence[Entry], pending: Collection[str], at_seconds: float) -> None:
        unstored_ids = {entry.message_id for entry in self._gathered}
        for entry in entries:
            if entry.revision > 1 and (entry.message_id in pending or entry.message_id in unstored_ids):
                self._close()
                self.unstored.append(Unstored(NewDelivery((entry.seq,), waits=True), None))
            else:
                self._gather(entry, at_seconds)
            unstored_ids.add(entry.message_id)
        self.close_batch(at_seconds)

    def close_batch(self, at_seconds: float) -> float | None:
        if not self._gathered:
            return None
        remaining_seconds = self._since_seconds + self._linger_seconds - at_seconds
        if remaining_seconds > 0:
            return remaining_seconds
        self._close()
        return None

    def recorded(self, job: Job) -> None:
        """Batches have stored deliveries: what waits behind them waits in the journal."""

    def waiting_behind(self, job: Job) -> Sequence[Entry]:
        del job
        return ()

    def stored(self, job: Job) -> None:
        """Nothing waits in memory."""

    @property
    def untried(self) -> set[int]:
        return {entry.seq for entry in self._gathered}

    def put_back(self, seqs: Collection[int]) -> None:
        self._gathered = [entry for entry in self._gathered if entry.seq not in seqs]
        self._gathered_bytes = sum([len(entry.value) for entry in self._gathered])

    def _gather(self, entry: Entry, at_seconds: float) -> None:
        size_bytes = len(entry.value)
        if self._gathered and self._gathered_bytes + size_bytes > MAX_BATCH_BYTES:
            self._close()
        if not self._gathered:
            self._since_seconds = at_seconds
        self._gathered.append(entry)
        self._gathered_bytes += size_bytes
        if len(self._gathered) >= self._batch_size:
            self._close()

    def _close(self) -> None:
        if self._gathered:
            members = tuple(self._gathered)
            self.unstored.append(Unstored(NewDelivery(tuple([entry.seq for entry in members])), Job(members)))
            self._gathered, self._gathered_bytes = [], 0
