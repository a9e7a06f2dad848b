"""What deliver needs of the journal and of a callback."""

from collections.abc import Collection, Sequence
from typing import NamedTuple, Protocol

from relay.domain.pausing import Pause
from relay.domain.report import Entry, EntryType, Stream
from relay.ports.flow import Lease


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


class PauseJournal(Protocol):
    """Which callbacks are paused until somebody resumes them."""

    async def keep_pause(self, callback: str, pause: Pause | None) -> None:
        """None: it is not paused. The same again changes nothing."""

    async def kept_pauses(self) -> dict[str, Pause]:
        """By callback, those of callbacks that are no longer configured too."""


class DeliverJournal(PauseJournal, Protocol):
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


class PostResult(NamedTuple):
    """How one POST to a callback ended."""

    status: int | None
    error: str
    retry_after_seconds: float | None
    duration_seconds: float
    answer: bytes


class SampleSent(NamedTuple):
    """How a callback took a report that never was."""

    message_id: str
    webhook_id: str
    result: PostResult


class CallbackSender(Protocol):
    """One callback's HTTP client: signs and sends; decides nothing."""

    async def post(self, stream: Stream, members: Sequence[Entry], at_ms: int) -> PostResult: ...
