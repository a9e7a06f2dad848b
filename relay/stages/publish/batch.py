"""What goes into one transaction: as much of the stream as is there, bounded; narrowed to find a refused record."""

import asyncio
import contextlib
from collections.abc import Sequence
from typing import NamedTuple

from relay.domain.envelope import StreamEnvelope
from relay.domain.report import Entry, Stream
from relay.ports import PublishJournal, Record

BATCH_ENTRIES = 4000
BATCH_BYTES = 4 << 20
"""A transaction of this size takes far below a second, its time-out is a minute."""


class Batch(NamedTuple):
    """Entries that follow one another in the stream and the records to send; refused entries have none."""

    entries: Sequence[Entry]
    records: Sequence[Record]

    @property
    def last_seq(self) -> int:
        return self.entries[-1].seq


class Reader:
    """Reads batches in order; while one is being committed it may read and encode the next.

    `narrow` halves what is read until the position has passed the refused batch's end or the culprit was found.
    """

    def __init__(self, stream: Stream, journal: PublishJournal, envelope: StreamEnvelope) -> None:
        self._stream = stream
        self._journal = journal
        self._envelope = envelope
        self._ahead: asyncio.Task[Batch] | None = None
        self._ahead_after = -1
        self._limit = BATCH_ENTRIES
        self._narrow_until = 0

    async def next_batch(self, after_seq: int) -> Batch:
        """The entries after `after_seq`; none if the stream ends there."""
        if after_seq >= self._narrow_until:
            self._limit = BATCH_ENTRIES
        ahead, self._ahead = self._ahead, None
        if ahead is not None:
            if self._ahead_after == after_seq:
                batch = await ahead
                if batch.entries:
                    return batch
            else:
                await _discard(ahead)
        return await self._read(after_seq)

    def read_ahead(self, batch: Batch) -> None:
        """Begin with the batch after this one, if this one says that there is more and no record is being sought."""
        if self._limit == BATCH_ENTRIES and _is_full(batch):
            self._ahead_after = batch.last_seq
            self._ahead = asyncio.create_task(self._read(batch.last_seq))

    async def forget_ahead(self) -> None:
        """After an error what was read ahead may be out of date."""
        ahead, self._ahead = self._ahead, None
        if ahead is not None:
            await _discard(ahead)

    def narrow(self, refused: Batch) -> None:
        """The next batches are half of what was refused."""
        self._limit = max(1, len(refused.entries) // 2)
        self._narrow_until = max(self._narrow_until, refused.last_seq)

    def widen(self) -> None:
        """The refused record was found: the rest may be sound."""
        self._narrow_until = 0

    async def _read(self, after_seq: int) -> Batch:
        entries = await self._journal.read_stream(self._stream, after_seq, self._limit, BATCH_BYTES)
        return Batch(entries, self._envelope.records(entries))


def _is_full(batch: Batch) -> bool:
    if len(batch.entries) >= BATCH_ENTRIES:
        return True
    return sum([len(entry.value) for entry in batch.entries]) > BATCH_BYTES // 2


async def _discard(task: "asyncio.Task[Batch]") -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError, Exception):
        await task
