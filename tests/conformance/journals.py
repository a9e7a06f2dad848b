"""The journals that must pass the suite, and the words in which it is written."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

from relay.domain.history import DeadLetterFilter
from relay.domain.report import Decoded, Entry, EntryType, GapCause, Origin, Rejected, Report, Stream
from relay.journal.connection import Tuning
from relay.journal.sqlite import SqliteJournal
from relay.ports import (
    AttemptRecord,
    Fetch,
    Lease,
    NewDelivery,
    Retention,
    Wanted,
)

SMS = Stream("acme", "sms")
VOICE = Stream("acme", "voice")
HOUR_MS = 3_600_000
T0 = 1_700_000_000_000

ALL = Wanted(frozenset({EntryType.REPORT, EntryType.COMPLETION, EntryType.REVISION}))
SMALL = Tuning(
    writer_cache_bytes=1 << 20,
    reader_cache_bytes=1 << 20,
    checkpoint_pages=100,
    reserve_bytes=0,
    tail_bytes=1 << 20,
    lap_ids=500,
)

Opener = Callable[[], Awaitable[SqliteJournal]]


async def open_sqlite(directory: Path) -> SqliteJournal:
    """Everything is read from the file."""
    return await SqliteJournal.open(directory / "relay.db", instance="relay-0", tuning=SMALL._replace(tail_bytes=0))


async def open_sqlite_with_tail(directory: Path) -> SqliteJournal:
    return await SqliteJournal.open(directory / "relay.db", instance="relay-0", tuning=SMALL)


OPENERS: dict[str, Callable[[Path], Awaitable[SqliteJournal]]] = {
    "sqlite": open_sqlite,
    "sqlite-tail": open_sqlite_with_tail,
}
"""Each opens the journal in a directory: a new one, or what an earlier call has left there."""


def report(message_id: str, outcome: str = "5:0", *, final: bool = True, group: int | None = 3) -> Report:
    return Report(message_id, outcome, group, final, f'{{"messageId":"{message_id}"}}'.encode())


def fetch(body: bytes = b"{}", *, at_ms: int = T0, origin: Origin = Origin.POLL, estimate: int = 1) -> Fetch:
    return Fetch(origin, at_ms - 100, at_ms, 200, "application/json", body, True, estimate, "https://x.example")


@dataclass
class Relay:
    """One stream's owner: does with the journal what the stages do."""

    journal: SqliteJournal
    stream: Stream
    lease: Lease
    callbacks: dict[str, Lease] = field(default_factory=dict)

    async def receive(self, *found: Report | Rejected, at_ms: int = T0, origin: Origin = Origin.POLL) -> list[Entry]:
        """Journal and unpack one answer; the entries that came of it."""
        last_seq = (await self.journal.open_stream(self.lease, self.stream, at_ms)).last_seq
        await self.journal.append_fetch(self.lease, self.stream, fetch(at_ms=at_ms, origin=origin), None)
        claimed = await self.journal.claim_fetch(self.stream, at_ms)
        assert claimed is not None
        await self.journal.record_reports(claimed, Decoded(list(found), True), None)
        return await self.journal.read_stream(self.stream, last_seq, 1000, 1 << 20)

    async def receive_many(self, count: int, *, at_ms: int = T0, prefix: str = "m") -> list[Entry]:
        return await self.receive(*(report(f"{prefix}-{n}") for n in range(1, count + 1)), at_ms=at_ms)

    async def publish(self, position: int, at_ms: int = T0) -> None:
        await self.journal.advance(self.lease, self.stream, position, "cluster", at_ms)

    async def subscribe(self, callback: str, *, earliest: bool = False, wanted: Wanted | None = None) -> int:
        lease = await self.journal.acquire_lease(f"callback/{callback}/{self.stream}")
        self.callbacks[callback] = lease
        return await self.journal.open_subscription(
            lease, callback, self.stream, earliest=earliest, at_ms=T0, wanted=wanted
        )

    async def store(
        self, callback: str, *seqs: tuple[int, ...], position: int = 0, waits: bool = False, at_ms: int = T0
    ) -> list[int]:
        deliveries = [NewDelivery(members, waits) for members in seqs]
        lease = self.callbacks[callback]
        return await self.journal.store_deliveries(lease, callback, self.stream, deliveries, position, at_ms)

    async def attempt(self, callback: str, *attempts: AttemptRecord, position: int = 0) -> int:
        lease = self.callbacks[callback]
        return await self.journal.record_attempts(lease, callback, self.stream, attempts, position)

    async def due(self, callback: str, at_ms: int = T0, **bounds: int) -> list[tuple[int, tuple[int, ...]]]:
        """(id, seqs) of what is due."""
        limit, max_bytes = bounds.get("limit", 100), bounds.get("max_bytes", 1 << 20)
        found = await self.journal.due_deliveries(callback, self.stream, at_ms, limit, max_bytes, ())
        return [(delivery.id, tuple(member.seq for member in delivery.members)) for delivery in found]

    async def dead(self, callback: str | None = None) -> list[tuple[tuple[str, ...], str]]:
        """(messageIds, reason) of the dead letters."""
        wanted = DeadLetterFilter(callback=callback)
        return [(letter.message_ids, letter.reason) for letter in await self.journal.list_dead_letters(wanted)]

    async def causes(self) -> list[tuple[GapCause, int, int, int]]:
        """(cause, reads, since, until) of the gaps."""
        return [(gap.cause, gap.reads, gap.since_ms, gap.until_ms) for gap in await self.journal.list_gaps(self.stream)]


async def own(journal: SqliteJournal, stream: Stream = SMS, *, position: int = 0, kafka: bool = True) -> Relay:
    lease = await journal.acquire_lease(f"stream/{stream}")
    await journal.open_stream(lease, stream, T0)
    if kafka:
        await journal.confirm_cursor(lease, stream, position, "cluster", T0)
    else:
        await journal.confirm_without_kafka(lease, stream)
    return Relay(journal, stream, lease)


def delivered(*seqs: int, id_: int | None = None, at_ms: int = T0) -> AttemptRecord:
    return AttemptRecord(id_, seqs, at_ms, 0.25, 200, "", b"ok", True, None, None)


def failed(*seqs: int, next_ms: int, id_: int | None = None, at_ms: int = T0) -> AttemptRecord:
    return AttemptRecord(id_, seqs, at_ms, 0.25, 503, "status 503", b"busy", False, next_ms, None)


def given_up(*seqs: int, reason: str = "gone", id_: int | None = None, at_ms: int = T0) -> AttemptRecord:
    return AttemptRecord(id_, seqs, at_ms, 0.25, 410, "status 410", b"", False, None, reason)


def retention(
    *, seconds: float = 0, window: float = 96 * 3600, dead: float = 720 * 3600, min_free_bytes: int = 0
) -> Retention:
    return Retention(seconds, window, {"billing": dead, "crm": dead}, min_free_bytes)
