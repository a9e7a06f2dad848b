"""The one-time API and Kafka as the stages see them."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from relay.domain.adoption import Note
from relay.domain.envelope import KafkaRecord
from relay.domain.report import GapCause

Record = KafkaRecord
"""One Kafka record, ready to append."""


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


class EventSink(Protocol):
    """One stream's producer. Every call has a deadline; after any error it must be abandoned and opened anew."""

    async def open(self) -> None:
        """Connect, end what was pending under our transactional id, check or create the topics."""

    async def cluster_id(self) -> str: ...
    async def read_cursor(self) -> int | None:
        """The last seq that is committed in Kafka; None only if Kafka says that there is none (-1)."""

    def note(self) -> Note | None:
        """About the newest record before the cursor, as it was read last; None if there is none."""

    async def last_published_seq(self) -> int | None:
        """From the tail of the topics, by `relay_journal` and `relay_seq`; None if no record of ours is found."""

    async def read_published(self, after_seq: int) -> list[Record]:
        """Records of ours in the topics with a greater seq, read_committed, ascending: the next page, empty at the
        end."""

    async def publish(self, records: Sequence[Record], position: int) -> None:
        """One transaction: records and the cursor at `position`. Returns only when committed, else a SinkError."""

    async def abandon(self) -> None:
        """Let go within a deadline, whatever state it is in; idempotent."""
