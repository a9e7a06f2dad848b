"""The journal on SQLite, for `reconcile`."""

from collections.abc import Sequence

from relay.domain.gaps import EndedGap, GapEnding, StreamGaps
from relay.domain.log_rows import FoundRow
from relay.domain.report import Report, Stream
from relay.journal import gaps
from relay.journal.tail import Tail
from relay.journal.threads import JournalThreads
from relay.ports import JournalError, Lease, LogsRecorded, NewScan, ScanProgress


class RecoveryMethods:
    """`ReconcileJournal`."""

    _threads: JournalThreads
    _tail: Tail
    _tokens: dict[str, int]
    _confirmed: dict[Stream, Lease]

    async def open_gaps(self, stream: Stream) -> StreamGaps | None:
        if not self._is_confirmed(stream):
            return None
        return await self._threads.lists.run_snapshot(lambda db: gaps.open_gaps(db, stream))

    async def arrival_delays_ms(self, stream: Stream, most: int) -> list[int]:
        return await self._threads.lists.run(lambda db: gaps.arrival_delays_ms(db, stream, most))

    async def begin_scan(self, lease: Lease, stream: Stream, scan: NewScan) -> None:
        await self._threads.write(lambda db: gaps.begin_scan(db, lease, stream, scan))

    async def record_logs(
        self,
        lease: Lease,
        stream: Stream,
        found: Sequence[FoundRow],
        earlier: Sequence[Report],
        progress: ScanProgress | None,
        at_ms: int,
    ) -> LogsRecorded:
        if not self._is_confirmed(stream):
            raise JournalError(f"the cursor of {stream} is not confirmed yet: no seq can be given")
        recorded, entries = await self._threads.take_in(
            lambda db: gaps.record_logs(db, lease, stream, found, earlier, progress, at_ms),
            sum(len(row.report.value) for row in found),
        )
        self._tail.append(stream, entries)
        return recorded

    async def unknown_reports(self, stream: Stream, reports: Sequence[Report]) -> list[bool]:
        # By the writer: what is known of an id may be in its memory alone.
        return await self._threads.write(lambda db: gaps.unknown_reports(db, stream, reports))

    async def end_gaps(
        self, lease: Lease, stream: Stream, endings: Sequence[GapEnding], scan_id: int | None, at_ms: int
    ) -> list[EndedGap]:
        return await self._threads.write(lambda db: gaps.end_gaps(db, lease, stream, endings, scan_id, at_ms))

    def _is_confirmed(self, stream: Stream) -> bool:
        """Whoever confirmed the cursor still owns the stream: seqs may be given."""
        lease = self._confirmed.get(stream)
        return lease is not None and self._tokens.get(lease.name) == lease.token
