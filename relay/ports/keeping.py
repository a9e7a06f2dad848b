"""What upkeep, metrics and operators need of the journal."""

from collections.abc import Collection, Mapping
from typing import NamedTuple, Protocol

from relay.domain.cursor import Begin, KafkaCursor
from relay.domain.figures import JournalFigures
from relay.domain.history import Gap, Quarantined, QuarantineFilter, Remembered, ReportLife, Retried
from relay.domain.report import Decoded, Stream


class Pruned(NamedTuple):
    entries: int = 0
    ids: int = 0
    attempts: int = 0
    dead_letters: int = 0
    more: bool = False
    early: int = 0
    """Of the entries, those that went before their retention was over, since the disk was short."""
    early_until_ms: int = 0
    """When the newest of these was received."""


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


class FiguresJournal(Protocol):
    """For metrics, /readyz and `relay status`."""

    async def figures(self, at_ms: int) -> JournalFigures: ...


class HistoryJournal(Protocol):
    """For people who look into it: lists by ascending id, in pages that begin after `after_id`."""

    async def list_gaps(
        self, stream: Stream | None = None, *, only_open: bool = False, after_id: int = 0, limit: int = 100
    ) -> list[Gap]: ...
    async def inspect(self, message_id: str) -> list[ReportLife]:
        """Everything that is known of a messageId, in every stream, oldest first."""

    async def remembered(self, message_id: str) -> list[Remembered]:
        """Streams that know the messageId, though `inspect` may find nothing of it any more."""


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


class CursorJournal(Protocol):
    """For people who say where publishing begins in another cluster."""

    async def kafka_cursors(self) -> list[KafkaCursor]:
        """Of all streams that were ever published to Kafka, by source and kind."""

    async def place_kafka_cursor(self, stream: Stream, begin: int | Begin, at_ms: int) -> KafkaCursor | None:
        """The copy says `begin` then and names no cluster: whichever the publisher meets next is the right one. What
        that cluster holds of the stream itself goes before. None if the stream has no cursor. Raises CursorOutside."""
