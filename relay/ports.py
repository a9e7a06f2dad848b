"""What the stages need of the journal, the sources and the sinks. Stages know these protocols, never an adapter.

All times are Unix milliseconds (`*_ms`), all durations seconds (`*_seconds`). A journal method is one transaction,
named by meaning; when it returns, what it wrote is durable. Several waiting transactions may share one commit.
"""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

from relay.domain.envelope import KafkaRecord
from relay.domain.figures import JournalFigures, Recorded
from relay.domain.gaps import EndedGap, GapEnding, StreamGaps
from relay.domain.history import DeadLetter, Gap, Quarantined, QuarantineFilter, ReportLife, Retried
from relay.domain.log_rows import FoundRow
from relay.domain.recordings import Failure, StoredRecording
from relay.domain.report import Decoded, Entry, EntryType, GapCause, Origin, Report, Stream

# --- errors -----------------------------------------------------------------------------------------------------


class JournalError(Exception):
    """A journal transaction did not happen. Nothing of it was written; it may be tried again."""


class JournalFull(JournalError):
    """No room: keep what is in hand and try again later; draining goes on."""


class JournalFatal(Exception):
    """The journal can no longer be trusted (I/O or fsync error, damage): the process must end."""


class LeaseLost(JournalError):
    """The work belongs to another owner now; nothing was written."""


# --- journal ----------------------------------------------------------------------------------------------------


class Lease(NamedTuple):
    """Ownership of one piece of work (`stream/acme/sms`, `callback/billing/acme/sms`); `token` grows by owner."""

    name: str
    owner: str
    token: int


class Fetch(NamedTuple):
    """One response of a one-time endpoint as received. `body` has its content coding removed as far as it went."""

    origin: Origin
    requested_at_ms: int
    received_at_ms: int
    status: int
    content_type: str
    body: bytes
    complete: bool
    """False when the connection ended before the body did."""
    entries_estimate: int
    """About how many reports it holds: paces polling and counts as unpublished until unpacked; nothing else."""
    base_url: str = ""
    """Against which a relative recordedAudioFileUrl is resolved."""


class ClaimedFetch(NamedTuple):
    """A fetch to unpack; `claims` counts this claim too."""

    id: int
    stream: Stream
    claims: int
    fetch: Fetch


class StreamState(NamedTuple):
    """What the journal knows of a stream when it is taken over."""

    first_poll_at_ms: int | None
    last_success_at_ms: int | None
    interrupted_poll_at_ms: int | None
    """A poll mark was found: its gap has been opened in the same transaction."""
    last_seq: int
    drained_at_ms: int | None = None
    """When the queue was last known to be empty: nothing that waits unread is older."""


class Pressure(NamedTuple):
    """Why polling should wait, if it should."""

    unpublished: int
    """Entries after the slowest required cursor of the stream, plus the estimates of fetches not yet unpacked."""
    free_bytes: int


class LocalCursor(NamedTuple):
    """The journal's copy of a subscription's cursor: all entries up to `position` are passed."""

    position: int
    cluster_id: str | None
    at_ms: int


class AdoptedRecord(NamedTuple):
    """A record found in Kafka that a restored journal does not know: entered as already published."""

    seq: int
    message_id: str
    revision: int
    type: int
    origin: Origin
    received_at_ms: int
    outcome: str
    final: bool
    status_group: int | None
    value: bytes


class IntakeJournal(Protocol):
    """For `intake`."""

    async def open_stream(self, lease: Lease, stream: Stream, at_ms: int) -> StreamState: ...
    async def mark_poll(self, lease: Lease, stream: Stream, at_ms: int) -> None:
        """Durable before the request is sent."""

    async def append_fetch(self, lease: Lease | None, stream: Stream, fetch: Fetch, gap: GapCause | None) -> int:
        """Append the body whoever holds the lease by now; clear our own mark; open the gap, if any.

        Without a lease: what was pushed, which is no poll's answer and touches no mark.
        """

    async def end_poll(self, lease: Lease, stream: Stream, at_ms: int, gap: GapCause | None, *, success: bool) -> None:
        """A poll that brought no body: clear our mark, note the success (204) or open a gap."""

    async def note_unread(self, lease: Lease, stream: Stream, at_ms: int) -> None:
        """No successful poll for 47 hours: open the gap `unread` (once)."""

    async def pressure(self, stream: Stream) -> Pressure: ...


class PushJournal(Protocol):
    """For what is pushed to us, at whichever replica it arrives."""

    async def append_fetch(self, lease: Lease | None, stream: Stream, fetch: Fetch, gap: GapCause | None) -> int: ...
    async def pressure(self, stream: Stream) -> Pressure: ...


class UnpackJournal(Protocol):
    """For `unpack`. A fetch is offered only once its stream's cursor was confirmed since take-over."""

    async def claim_fetch(self, stream: Stream, at_ms: int) -> ClaimedFetch | None:
        """The oldest fetch of the stream, counted; None if there is none or the oldest is claimed elsewhere."""

    async def record_reports(self, claimed: ClaimedFetch, decoded: Decoded, gap: GapCause | None) -> Recorded:
        """One transaction: append what is new, drop duplicates, open the gap, release the fetch."""

    async def quarantine_fetch(self, claimed: ClaimedFetch, reason: str) -> Recorded:
        """The whole fetch to quarantine, after it failed three times."""


class PublishJournal(Protocol):
    """For `publish`."""

    async def local_cursor(self, stream: Stream) -> LocalCursor | None: ...
    async def confirm_cursor(
        self, lease: Lease, stream: Stream, position: int, cluster_id: str | None, at_ms: int
    ) -> None:
        """The cursor was read: seqs may be given from now on, none of them at or below `position`."""

    async def confirm_without_kafka(self, lease: Lease, stream: Stream) -> None:
        """There is no Kafka in the configuration: seqs may be given at once, and no Kafka cursor holds pruning."""

    async def adopt_published(self, lease: Lease, stream: Stream, records: Sequence[AdoptedRecord]) -> None:
        """Enter records that Kafka holds and this (restored) journal does not, and raise the next seq."""

    async def read_stream(self, stream: Stream, after_seq: int, limit: int, max_bytes: int) -> list[Entry]: ...
    async def advance(self, lease: Lease, stream: Stream, position: int, cluster_id: str | None, at_ms: int) -> None:
        """Keep the local copy of the Kafka cursor."""

    async def refuse_record(self, lease: Lease, stream: Stream, seq: int, reason: str, at_ms: int) -> None:
        """Mark one entry refused and append its quarantine entry, in one transaction."""


class Wanted(NamedTuple):
    """Which entries of a stream a callback gets; the same test in Python (`takes`) and in the journal's SQL."""

    types: frozenset[EntryType]
    status_groups: frozenset[int] | None = None
    """None: all, those without a status too. Given: only entries whose status group is among them."""

    def takes(self, entry: Entry) -> bool:
        return entry.type in self.types and (self.status_groups is None or entry.status_group in self.status_groups)


class Delivery(NamedTuple):
    """A stored delivery: one POST of one report, or of the members of a batch, with its retry state.

    It keeps its members' entries alive past the stream's retention, and so does the dead letter it may become.
    """

    id: int
    callback: str
    stream: Stream
    members: tuple[Entry, ...]
    attempts: int
    created_at_ms: int
    """When it was stored, or when the failed first attempt began: its age counts from here."""
    next_attempt_at_ms: int


class NewDelivery(NamedTuple):
    """A delivery to store before its first attempt, due at once."""

    seqs: tuple[int, ...]
    waits: bool = False
    """One later revision (exactly one seq) that must not overtake an earlier one: if there is a stored delivery with
    the same messageId, this one is not due until the newest of those is gone (delivered, dead or dropped). Revisions
    thus form a chain; one indexed `behind` column does it, and `due_deliveries` never scans what waits."""


class AttemptRecord(NamedTuple):
    """One HTTP try. `delivery_id` is None for the first try of a single report that has no stored delivery yet.

    Exactly one of `delivered`, `next_attempt_at_ms`, `dead_reason` says what follows. Without `delivery_id` the last
    two create a stored delivery (attempts 1, created at `started_at_ms`), or a dead letter. With a `delivery_id` that
    is gone meanwhile (dropped by an operator) the attempt is kept as history and nothing else happens.
    """

    delivery_id: int | None
    seqs: tuple[int, ...]
    started_at_ms: int
    duration_seconds: float
    status: int | None
    error: str
    answer: bytes
    delivered: bool
    next_attempt_at_ms: int | None
    """When to try again; None if delivered or given up."""
    dead_reason: str | None
    """Why it was given up: it becomes a dead letter."""


class Backlog(NamedTuple):
    """How far a subscription is behind. Cheap (indexed lookups, a count that is kept): asked every few seconds."""

    stored: int
    """Reports (members) in stored deliveries."""
    unread: int
    """Entries of the stream after the cursor, wanted or not: an upper bound of what is due from there."""
    oldest_stored_at_ms: int | None
    oldest_unread_at_ms: int | None


class Shed(NamedTuple):
    reports: int
    """Reports that became dead letters in this transaction."""
    position: int
    """The cursor now."""


class DeliverJournal(Protocol):
    """For `deliver`, one (callback, stream) each. The cursor only ever moves forward: a `position` at or below it
    leaves it where it is. Reads may run beside the writer; each sees all that was committed before it was called."""

    async def open_subscription(
        self,
        lease: Lease,
        callback: str,
        stream: Stream,
        *,
        earliest: bool,
        at_ms: int,
        wanted: Wanted | None = None,
    ) -> int:
        """The cursor of the subscription; a new one starts after the newest entry, or before the oldest kept.

        `wanted` (None: all reports) is kept, to count what the callback loses if a full disk takes bodies.
        """

    async def read_stream(self, stream: Stream, after_seq: int, limit: int, max_bytes: int) -> list[Entry]: ...
    async def store_deliveries(
        self,
        lease: Lease,
        callback: str,
        stream: Stream,
        deliveries: Sequence[NewDelivery],
        position: int,
        at_ms: int,
    ) -> list[int]:
        """Store deliveries before their first attempt, move the cursor to `position`; their ids, in order given."""

    async def record_attempts(
        self, lease: Lease, callback: str, stream: Stream, attempts: Sequence[AttemptRecord], position: int
    ) -> int:
        """Attempts, retry rows, dead letters and the cursor's move to `position`, in one transaction.

        Answers how many stored deliveries that waited behind an ended one became due by it (0 on the hot path).

        The hot path: thousands of delivered singles per second, tens to hundreds in one call. The attempts may be
        empty: then only the cursor moves.
        """

    async def due_deliveries(
        self, callback: str, stream: Stream, at_ms: int, limit: int, max_bytes: int, skip: Collection[int]
    ) -> list[Delivery]:
        """Due at `at_ms` and waiting behind none, earliest first; without `skip` (in flight, at most a few hundred).

        Stops after `limit` deliveries, or after the one whose bodies bring the sum to `max_bytes`.
        """

    async def next_due_at_ms(self, callback: str, stream: Stream, skip: Collection[int]) -> int | None:
        """The earliest `next_attempt_at_ms` of a stored delivery that waits behind none and is not in `skip`."""

    async def pending_message_ids(self, callback: str, stream: Stream, message_ids: Sequence[str]) -> set[str]:
        """Which of these have a stored delivery: a later revision must wait behind it."""

    async def backlog(self, callback: str, stream: Stream) -> Backlog: ...
    async def shed_backlog(
        self,
        lease: Lease,
        callback: str,
        stream: Stream,
        wanted: Wanted,
        *,
        max_backlog: int,
        created_before_ms: int,
        at_ms: int,
        limit: int,
        skip: Collection[int],
    ) -> Shed:
        """What is too much or too old to dead letters, oldest first, at most `limit` reports.

        Backlog is the reports in stored deliveries and the `wanted` entries after the cursor. Stored deliveries go
        first (without `skip`, which are in flight), then entries after the cursor, which moves past them and past the
        unwanted between them. Too old: created (received, for entries) before `created_before_ms`. Call until none.
        """


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


class Pruned(NamedTuple):
    entries: int = 0
    ids: int = 0
    attempts: int = 0
    dead_letters: int = 0
    more: bool = False


class UpkeepJournal(Protocol):
    """For `upkeep`: each call is bounded in time; `more` asks for another at once."""

    async def prune(self, at_ms: int, limits: "Retention") -> Pruned: ...
    async def retire_subscriptions(
        self, active: Collection[tuple[str, Stream]], at_ms: int, retention_seconds: float
    ) -> list[tuple[str, Stream]]:
        """`active` are the configured (callback, stream) pairs. Others hold pruning for the retention time yet, then
        they are dropped with all that they had stored; the dropped are told. Ask again every few minutes."""


class Retention(NamedTuple):
    retention_seconds: float
    window_seconds: float
    dead_letter_seconds: Mapping[str, float]
    min_free_bytes: int


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


class FiguresJournal(Protocol):
    """For metrics, /readyz and `relay status`."""

    async def figures(self, at_ms: int) -> JournalFigures: ...


class HistoryJournal(Protocol):
    """For people who look into it: lists by ascending id, in pages that begin after `after_id`."""

    async def list_dead_letters(
        self, callback: str | None = None, *, after_id: int = 0, limit: int = 100
    ) -> list[DeadLetter]: ...
    async def list_gaps(
        self, stream: Stream | None = None, *, only_open: bool = False, after_id: int = 0, limit: int = 100
    ) -> list[Gap]: ...
    async def inspect(self, message_id: str) -> list[ReportLife]:
        """Everything that is known of a messageId, in every stream, oldest first."""


class QuarantineJournal(Protocol):
    """For people who look after what was no report, or was refused. Done is what a retry made into reports."""

    async def list_quarantine(
        self, wanted: QuarantineFilter = ..., *, after_id: int = 0, limit: int = 100
    ) -> list[Quarantined]:
        """By ascending id, a page that begins after `after_id`."""

    async def find_quarantined(self, id_: int) -> Quarantined | None: ...
    async def quarantined_bytes(self, id_: int) -> bytes | None:
        """All that was received; None if there is no such entry."""

    async def retry_quarantined(self, id_: int, decoded: Decoded, at_ms: int) -> Retried | None:
        """In one transaction; `decoded` is what its bytes hold now. None if there is no such entry, or it is done.

        Its reports are appended as if a fetch of the same origin had brought them at `at_ms`, and what of it is no
        report is quarantined anew. If there is no report in it, it stays, with the new reason. A record that Kafka
        refused is appended as it was, whatever `decoded` says: Kafka never had it. Raises JournalError while the
        stream's cursor is not confirmed.
        """

    async def drop_quarantined(self, id_: int) -> bool:
        """Its bytes are gone then. Whether there was one."""


# --- sources ----------------------------------------------------------------------------------------------------


class Answer(NamedTuple):
    """How one GET of a one-time endpoint ended. Never raised: every end of a destructive read is data.

    `sent` is False only when the request certainly never left (DNS, connect refused). `status` is None when no
    status line came. `body` holds what came, even if `complete` is False. `error` says what broke, for the log.
    """

    sent: bool
    status: int | None
    content_type: str
    body: bytes
    complete: bool
    error: str
    retry_after_seconds: float | None
    requested_at_ms: int
    received_at_ms: int
    duration_seconds: float
    failure: GapCause | None = None
    """What kind of break it was, if the transport broke."""


class ReportSource(Protocol):
    """One source's client."""

    async def fetch_reports(self, kind: str, *, limit: int | None) -> Answer:
        """One destructive read; never repeated, never cancelled once sent."""


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


class LogsUnavailable(Exception):
    """The logs could not be had, although asked several times; ask again later."""

    def __init__(self, reason: str, retry_after_seconds: float | None = None) -> None:
        super().__init__(reason)
        self.retry_after_seconds = retry_after_seconds
        """What the API asks to wait, if it does; capped."""


class LogsRefused(LogsUnavailable):
    """The API does not answer such a request (`status`): asking the same again at once is of no use."""

    def __init__(self, reason: str, status: int) -> None:
        super().__init__(reason)
        self.status = status


class ComparisonRefused(Exception):
    """A comparison with the logs cannot be started; `unknown`: because what is to be compared does not exist."""

    def __init__(self, reason: str, *, unknown: bool = False) -> None:
        super().__init__(reason)
        self.unknown = unknown


class LogSource(Protocol):
    """The logs of one source: reads that may be repeated."""

    async def fetch_logs(self, kind: str, query: LogQuery) -> Decoded:
        """The rows of one whole answer. Raises LogsUnavailable."""


class RecordingSource(Protocol):
    """The recordings of one source: reads that may be repeated, and cancelled."""

    async def fetch_recording(self, url: str, write: Callable[[bytes], Awaitable[None]]) -> Failure | None:
        """One GET; `write` gets the pieces of a good answer. None: all of it came. Raises what `write` raises."""


# --- sinks ------------------------------------------------------------------------------------------------------


Record = KafkaRecord
"""One Kafka record, ready to append."""


class SinkError(Exception):
    """Publishing failed and nothing was committed (or the producer was abandoned before it could be)."""


class SinkUnavailable(SinkError):
    """The cluster cannot be reached or is not ready: try again later."""


class TransactionIndefinite(SinkError):
    """A commit was sent and its answer never came: only the cursor in Kafka knows."""


class ProducerFenced(SinkError):
    """Another producer took the transactional id, or the transaction timed out (it looks the same)."""


class RecordsRefused(SinkError):
    """The broker refused a batch for what a record is (too large, invalid): halve it until one record is left."""


class StreamBlocked(SinkError):
    """The broker refuses for a reason outside the records (topic missing, ACL, timestamps): this stream waits."""


class EventSink(Protocol):
    """One stream's producer. Every call has a deadline; after any error it must be abandoned and opened anew."""

    async def open(self) -> None:
        """Connect, end what was pending under our transactional id, check or create the topics."""

    async def cluster_id(self) -> str: ...
    async def read_cursor(self) -> int | None:
        """The last seq that is committed in Kafka; None only if Kafka says that there is none (-1)."""

    async def last_published_seq(self) -> int | None:
        """From the tail of the topics, by `relay_journal` and `relay_seq`; None if no record of ours is found."""

    async def read_published(self, after_seq: int) -> list[Record]:
        """Records of ours in the topics with a greater seq, read_committed, ascending: the next page, empty at the
        end."""

    async def publish(self, records: Sequence[Record], position: int) -> None:
        """One transaction: records and the cursor at `position`. Returns only when committed, else a SinkError."""

    async def abandon(self) -> None:
        """Let go within a deadline, whatever state it is in; idempotent."""


class PostResult(NamedTuple):
    """How one POST to a callback ended."""

    status: int | None
    error: str
    retry_after_seconds: float | None
    duration_seconds: float
    answer: bytes


class CallbackSender(Protocol):
    """One callback's HTTP client: signs and sends; decides nothing."""

    async def post(self, stream: Stream, members: Sequence[Entry], at_ms: int) -> PostResult: ...


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


class ShelfFull(OSError):
    """There is too little room: what the journal needs comes first."""
