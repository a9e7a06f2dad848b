"""What the journal tells people: dead letters, quarantine, gaps, and the life of one report."""

from enum import IntEnum
from typing import NamedTuple

from relay.domain.figures import Recorded
from relay.domain.report import Entry, GapCause, Origin, Stream


class DeadLetter(NamedTuple):
    """A delivery given up. `message_ids` are its members in order; `has_body` is False if a full disk took them."""

    id: int
    callback: str
    stream: Stream
    message_ids: tuple[str, ...]
    attempts: int
    created_at_ms: int
    dead_at_ms: int
    reason: str
    has_body: bool

    status: int | None = None
    """What the last attempt was answered with, as far as history reaches."""


class DeadLetterFilter(NamedTuple):
    """Which dead letters are meant: those given up from `since_ms` on and before `until_ms`, and so on; None: any."""

    callback: str | None = None
    source: str | None = None
    kind: str | None = None
    since_ms: int | None = None
    until_ms: int | None = None
    reason: str = ""
    """A part of the reason, in any case."""
    status: int | None = None


class Revived(NamedTuple):
    """What became of dead letters that were to be sent again; the others were none any more."""

    ids: tuple[int, ...] = ()
    reports: int = 0
    without_body: tuple[int, ...] = ()
    """They stay: there is nothing left to send."""
    subscriptions: frozenset[tuple[str, Stream]] = frozenset()
    """(callback, stream) pairs that have something to send now."""


class Quarantined(NamedTuple):
    """Bytes that could not be made into a report, or a record that Kafka refused (then it has a `message_id`)."""

    id: int
    stream: Stream
    seq: int
    reason: str
    received_at_ms: int
    fetch_id: int | None
    size_bytes: int
    origin: Origin
    message_id: str = ""
    done_at_ms: int | None = None
    """When a retry has made it into reports."""


class QuarantineFilter(NamedTuple):
    """Which quarantined bytes are meant; `reason` is part of their reason, in any case."""

    source: str | None = None
    kind: str | None = None
    reason: str = ""
    with_done: bool = False


class Retried(NamedTuple):
    """What became of quarantined bytes. With a `reason` they stay, since there is still no report in them."""

    recorded: Recorded = Recorded()
    """Of the reports that were in them; what of them still is none is quarantined anew."""
    sent_again: bool = False
    """A record that Kafka refused stands at the end of the stream once more."""
    reason: str = ""


class GapState(IntEnum):
    OPEN = 0
    CLOSED = 1
    """Compared with the logs as a whole."""
    INCOMPLETE = 2
    """Compared in part."""
    EXPIRED = 3
    """Past what the logs hold."""


class Gap(NamedTuple):
    """A span of time in which so many `reads` may have been lost."""

    id: int
    stream: Stream
    cause: GapCause
    state: GapState
    reads: int
    since_ms: int
    """When the last good answer before it was asked for, or the first poll."""
    until_ms: int
    drained_at_ms: int | None
    """When the queue was last known to be empty: what was lost may be as old as that."""
    opened_at_ms: int
    ended_at_ms: int | None
    recovered: int
    compared_from_ms: int | None
    compared_until_ms: int | None


class AttemptLine(NamedTuple):
    """One HTTP try, as history keeps it."""

    callback: str
    started_at_ms: int
    duration_seconds: float
    status: int | None
    result: str
    """``delivered``, ``retry`` or ``dead``"""
    error: str
    answer: bytes


class DeadLetterContent(NamedTuple):
    """A dead letter with what it holds and what was tried; members whose entry is gone are left out."""

    letter: DeadLetter
    members: tuple[Entry, ...]
    attempts: tuple[AttemptLine, ...]


class DeliveryLine(NamedTuple):
    """Where a report stands at one callback, as long as it is stored there."""

    callback: str
    delivery_id: int
    state: str
    """``pending`` or ``dead``"""
    attempts: int
    next_attempt_at_ms: int
    reason: str


class Passage(NamedTuple):
    """How far a callback has come in a stream."""

    callback: str
    position: int


class Arrival(NamedTuple):
    """The fetch that an entry came with: one answer of the API, or what was pushed."""

    fetch_id: int
    requested_at_ms: int
    received_at_ms: int
    status: int
    complete: bool


class RecordingLine(NamedTuple):
    """Where the recording of a call stands."""

    state: str
    """``pending``, ``stored`` or ``given up``"""
    url: str
    attempts: int
    """That failed."""
    next_attempt_at_ms: int
    reason: str


class Remembered(NamedTuple):
    """A messageId that is still known, to tell duplicates, though its entries are pruned."""

    stream: Stream
    revision: int
    last_seq: int
    seen_at_ms: int
    """In whole hours."""


class ReportLife(NamedTuple):
    """All that the journal knows of one entry of a messageId."""

    stream: Stream
    entry: Entry
    passages: tuple[Passage, ...]
    deliveries: tuple[DeliveryLine, ...]
    attempts: tuple[AttemptLine, ...]
    arrival: Arrival | None = None
    """None: it came otherwise, or that is forgotten."""
    published_at_ms: int | None = None
    """When Kafka was known to have it."""
    gaps: tuple[Gap, ...] = ()
    """That the fetch opened, or that were open when the logs brought it."""
    recording: RecordingLine | None = None
    kafka_position: int | None = None
    """How far Kafka has come in the stream; None without Kafka."""
