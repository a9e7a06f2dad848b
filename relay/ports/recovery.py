"""What reconcile and recordings need of the journal, the source and the disk."""

from collections.abc import Awaitable, Callable, Collection, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

from relay.domain.figures import Recorded
from relay.domain.gaps import EndedGap, GapEnding, StreamGaps
from relay.domain.log_rows import FoundRow
from relay.domain.recordings import Failure, StoredRecording
from relay.domain.report import Decoded, Report, Stream
from relay.ports.flow import Lease, Pressure


class NewScan(NamedTuple):
    """A scan to begin for these gaps; with an id that scan begins anew, for these gaps."""

    gap_ids: Sequence[int]
    upper_ms: int
    front_ms: int
    scan_id: int | None = None


class ScanProgress(NamedTuple):
    """How far a scan has come by what is recorded with it. `hole_ms`: a millisecond that could not be had in whole."""

    scan_id: int
    position_ms: int
    hole_ms: int | None = None


class LogsRecorded(NamedTuple):
    """What became of rows from the logs. `earlier` is how many of those from before the first poll are not known."""

    recorded: Recorded
    earlier: int = 0


class ReconcileJournal(Protocol):
    """For `reconcile`. Its lease is one of its own; seqs are given as for fetches."""

    async def open_gaps(self, stream: Stream) -> StreamGaps | None:
        """The open gaps and all that is needed to decide about them; None until the stream's cursor was confirmed."""

    async def arrival_delays_ms(self, stream: Stream, most: int) -> list[int]:
        """From sending to receiving, of the newest reports by poll or push that say when they were sent."""

    async def begin_scan(self, lease: Lease, stream: Stream, scan: NewScan) -> None: ...
    async def record_logs(
        self,
        lease: Lease,
        stream: Stream,
        found: Sequence[FoundRow],
        earlier: Sequence[Report],
        progress: ScanProgress | None,
        at_ms: int,
    ) -> LogsRecorded:
        """One transaction: append what is not known by (messageId, outcome), count it to its gaps, keep the progress.

        `earlier` are only looked up. Raises JournalError while the stream's cursor is not confirmed.
        """

    async def unknown_reports(self, stream: Stream, reports: Sequence[Report]) -> list[bool]:
        """Which of them `record_logs` would append."""

    async def end_gaps(
        self, lease: Lease, stream: Stream, endings: Sequence[GapEnding], scan_id: int | None, at_ms: int
    ) -> list[EndedGap]:
        """End them, and the scan if there is one. Gaps that grew meanwhile, and others of the scan, stay open."""

    async def pressure(self, stream: Stream) -> Pressure: ...


class LogQuery(NamedTuple):
    """What is asked of a logs endpoint, each part one documented parameter; left out: not asked.

    Times are those of sending. Nobody says whether they include their bounds.
    """

    sent_since_ms: int | None = None
    sent_until_ms: int | None = None
    limit: int | None = None
    """At most so many rows, the latest; the API's default is 50."""
    sender: str | None = None
    to: str | None = None
    bulk_ids: tuple[str, ...] = ()
    message_id: str | None = None
    general_status: str | None = None
    mcc: str | None = None
    mnc: str | None = None


class LogSource(Protocol):
    """The logs of one source: reads that may be repeated."""

    async def fetch_logs(self, kind: str, query: LogQuery) -> Decoded:
        """The rows of one whole answer. Raises LogsUnavailable."""


class PendingRecording(NamedTuple):
    """A recording to be fetched; `attempts` are those that failed, `day` is the UTC day that it is kept under."""

    id: int
    message_id: str
    url: str
    day: str
    attempts: int
    created_at_ms: int


class RecordingsJournal(Protocol):
    """For `recordings`. A report that points to a recording makes it pending in the transaction that appends it."""

    async def want_recordings(self, lease: Lease, stream: Stream, *, wanted: bool) -> bool:
        """Whether reports appended from now on make recordings pending; answers whether any ever did."""

    async def due_recordings(
        self, stream: Stream, at_ms: int, limit: int, skip: Collection[int]
    ) -> list[PendingRecording]:
        """Due at `at_ms`, earliest first, without `skip`; none while the stream's cursor is not confirmed."""

    async def next_recording_at_ms(self, stream: Stream, skip: Collection[int]) -> int | None:
        """When the next one is due, without `skip`."""

    async def record_recording(
        self, lease: Lease, stream: Stream, id_: int, stored: StoredRecording, at_ms: int
    ) -> None:
        """In one transaction: append the entry that announces it and end it. Once: what ended before stays so."""

    async def postpone_recording(
        self, lease: Lease, stream: Stream, id_: int, next_attempt_at_ms: int, reason: str
    ) -> None:
        """One more failed attempt."""

    async def give_up_recording(self, lease: Lease, stream: Stream, id_: int, reason: str, at_ms: int) -> None: ...


class RecordingSource(Protocol):
    """The recordings of one source: reads that may be repeated, and cancelled."""

    async def fetch_recording(self, url: str, write: Callable[[bytes], Awaitable[None]]) -> Failure | None:
        """One GET; `write` gets the pieces of a good answer. None: all of it came. Raises what `write` raises."""


class IncomingRecording(Protocol):
    """A recording on its way to the disk: seen by nobody before it is kept."""

    async def write(self, piece: bytes) -> None: ...
    async def keep(self) -> StoredRecording:
        """Durable and in its place when this returns. Raises NotARecording: then nothing is there."""

    async def discard(self) -> None:
        """Leave nothing behind, unless it was kept."""


class RecordingShelf(Protocol):
    """Where recordings are kept. Its methods raise OSError."""

    async def receive(self, path: str) -> IncomingRecording:
        """`path` is relative. Raises ShelfFull."""

    async def find(self, source: str, message_id: str) -> Path | None:
        """The file of a kept recording, the latest if there are several."""
