"""The words of the project as types: streams, reports, entries of a stream."""

from enum import IntEnum, StrEnum
from typing import NamedTuple

from msgspec import Struct


class Stream(NamedTuple):
    """All that comes from one (source, kind), in order: one poller, one sequence, one publisher."""

    source: str
    kind: str

    def __str__(self) -> str:
        return f"{self.source}/{self.kind}"


class Origin(StrEnum):
    """How a report came to us."""

    POLL = "poll"
    PUSH = "push"
    LOGS = "logs"


class Report(Struct, frozen=True, gc=False):
    """One entry of a fetch, decoded and normalised.

    `value` is the event as JSON, ready for Kafka. `outcome` is ``"{status.id}:{error.id}"`` with ``-`` for what is
    missing (``g3`` if there is a group at least, ``?`` and a digest for an id that is no number); it holds no blanks.
    `final` unless the status group is PENDING or ACCEPTED.
    """

    message_id: str
    outcome: str
    status_group: int | None
    final: bool
    value: bytes


class Rejected(NamedTuple):
    """Bytes that cannot be made into a report, whole, and why."""

    reason: str
    raw: bytes


class Decoded(NamedTuple):
    """What a body holds, in the order received.

    `complete` says that a whole `results` collection was read; otherwise `reason` says what was wrong with the body
    and the read that brought it may have lost reports (a gap).
    """

    entries: list[Report | Rejected]
    complete: bool
    reason: str = ""


class EntryType(IntEnum):
    """What an entry of a stream is; decides its topic and which callbacks get it."""

    REPORT = 1
    """The first report of a messageId: the event."""
    COMPLETION = 2
    """A final outcome after one that was not, or a fuller report after a logs row: kind's topic, all callbacks."""
    REVISION = 3
    """Any other later outcome: revisions topic (or inline), callbacks that ask for revisions."""
    QUARANTINE = 4
    """Bytes that could not be made into a report, or a record that the broker refused."""
    RECORDING = 5
    """A call's recording was stored: announced in a topic of its own; callbacks do not get it."""


class Entry(Struct, frozen=True, gc=False):
    """One row of a stream. `message_id` is empty in quarantine entries; `revision` is 1 for the first report."""

    seq: int
    type: EntryType
    message_id: str
    revision: int
    origin: Origin
    received_at_ms: int
    status_group: int | None
    value: bytes
    refused: bool = False
    """The broker refused this record: its quarantine entry stands for it, Kafka passes over this one."""


class GapCause(StrEnum):
    """Why a read may have been lost."""

    TIMEOUT = "timeout"
    CONNECTION = "connection"
    TRUNCATED = "truncated"
    HTTP_STATUS = "http_status"
    NOT_REPORTS = "not_reports"
    TOO_LARGE = "too_large"
    INTERRUPTED = "interrupted"
    """A poll mark was found by whoever took the stream over."""
    UNREAD = "unread"
    """No successful poll for 47 hours: the queue may have expired reports."""
