"""What `deliver` needs of a journal, kept in memory and written out by hand; and a sender that does as it is told."""

import asyncio
from collections import deque
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from relay.domain.pausing import Pause
from relay.domain.report import Entry, EntryType, Origin, Stream
from relay.ports import (
    AttemptRecord,
    Backlog,
    Delivery,
    JournalError,
    Lease,
    NewDelivery,
    PostResult,
    Shed,
    Wanted,
)

OK = PostResult(200, "", None, 0.001, b"")
FAILED = PostResult(500, "", None, 0.001, b"no")
NO_ANSWER = PostResult(None, "connection: refused", None, 0.001, b"")


def entry(
    seq: int,
    message_id: str | None = None,
    *,
    revision: int = 1,
    type_: EntryType = EntryType.REPORT,
    status_group: int | None = 3,
    received_at_ms: int = 1_000_000,
    size_bytes: int = 20,
) -> Entry:
    name = f"m-{seq}" if message_id is None else message_id
    return Entry(seq, type_, name, revision, Origin.POLL, received_at_ms, status_group, b"x" * size_bytes)


@dataclass
class Stored:
    id: int
    seqs: tuple[int, ...]
    attempts: int
    created_at_ms: int
    next_attempt_at_ms: int
    behind: int | None = None


@dataclass
class MemoryJournal:
    """One subscription of one stream."""

    entries: list[Entry] = field(default_factory=list)
    position: int = 0
    deliveries: dict[int, Stored] = field(default_factory=dict)
    attempts: list[AttemptRecord] = field(default_factory=list)
    dead: list[tuple[tuple[int, ...], str]] = field(default_factory=list)
    commits: list[int] = field(default_factory=list)
    """How many attempts each `record_attempts` had."""
    failing: int = 0
    """So many of the next writes fail."""
    pauses: list[Pause | None] = field(default_factory=list)
    """What `keep_pause` was told."""
    reads: int = 0
    entries_read: int = 0
    next_id: int = 1

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
        assert wanted is not None
        await asyncio.sleep(0)
        return self.position

    async def read_stream(self, stream: Stream, after_seq: int, limit: int, max_bytes: int) -> list[Entry]:
        await asyncio.sleep(0)
        self.reads += 1
        found: list[Entry] = []
        size_bytes = 0
        for one in self.entries:
            if one.seq > after_seq and len(found) < limit and size_bytes < max_bytes:
                found.append(one)
                size_bytes += len(one.value)
        self.entries_read += len(found)
        return found

    async def store_deliveries(
        self,
        lease: Lease,
        callback: str,
        stream: Stream,
        deliveries: Sequence[NewDelivery],
        position: int,
        at_ms: int,
    ) -> list[int]:
        await self._write()
        ids = []
        for seqs, waits in deliveries:
            stored = self._store(seqs, attempts=0, created_at_ms=at_ms, next_attempt_at_ms=at_ms)
            if waits:
                (message_id,) = self._ids(seqs)
                before = [one.id for one in self.deliveries.values() if message_id in self._ids(one.seqs)]
                stored.behind = max((id_ for id_ in before if id_ != stored.id), default=None)
            ids.append(stored.id)
        self.position = max(self.position, position)
        return ids

    async def record_attempts(
        self, lease: Lease, callback: str, stream: Stream, attempts: Sequence[AttemptRecord], position: int
    ) -> int:
        await self._write()
        self.commits.append(len(attempts))
        released = sum([self._record(attempt) for attempt in attempts])
        self.position = max(self.position, position)
        return released

    async def due_deliveries(
        self, callback: str, stream: Stream, at_ms: int, limit: int, max_bytes: int, skip: Collection[int]
    ) -> list[Delivery]:
        await asyncio.sleep(0)
        due = [one for one in self._waiting(skip) if one.next_attempt_at_ms <= at_ms]
        due.sort(key=lambda one: (one.next_attempt_at_ms, one.id))
        return [
            Delivery(
                one.id,
                callback,
                stream,
                self._members(one.seqs),
                one.attempts,
                one.created_at_ms,
                one.next_attempt_at_ms,
            )
            for one in due[:limit]
        ]

    async def next_due_at_ms(self, callback: str, stream: Stream, skip: Collection[int]) -> int | None:
        await asyncio.sleep(0)
        return min((one.next_attempt_at_ms for one in self._waiting(skip)), default=None)

    async def pending_message_ids(self, callback: str, stream: Stream, message_ids: Sequence[str]) -> set[str]:
        await asyncio.sleep(0)
        stored = {message_id for one in self.deliveries.values() for message_id in self._ids(one.seqs)}
        return stored & set(message_ids)

    async def backlog(self, callback: str, stream: Stream) -> Backlog:
        await asyncio.sleep(0)
        unread = [one for one in self.entries if one.seq > self.position]
        return Backlog(
            stored=sum(len(one.seqs) for one in self.deliveries.values()),
            unread=len(unread),
            oldest_stored_at_ms=min((one.created_at_ms for one in self.deliveries.values()), default=None),
            oldest_unread_at_ms=unread[0].received_at_ms if unread else None,
        )

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
        await self._write()
        unread = [one for one in self.entries if one.seq > self.position and wanted.takes(one)]
        total = sum(len(one.seqs) for one in self.deliveries.values()) + len(unread)
        shed = 0
        for one in sorted(self.deliveries.values(), key=lambda one: one.created_at_ms):
            if one.id not in skip and shed < limit and (total > max_backlog or one.created_at_ms < created_before_ms):
                self._bury(one.seqs, "backlog")
                self._remove(one)
                total, shed = total - len(one.seqs), shed + len(one.seqs)
        for late in unread:
            if shed >= limit or not (total > max_backlog or late.received_at_ms < created_before_ms):
                break
            self._bury((late.seq,), "backlog")
            self.position = late.seq
            total, shed = total - 1, shed + 1
        return Shed(shed, self.position)

    async def keep_pause(self, callback: str, pause: Pause | None) -> None:
        await self._write()
        self.pauses.append(pause)

    async def kept_pauses(self) -> dict[str, Pause]:
        return {"billing": self.pauses[-1]} if self.pauses and self.pauses[-1] else {}

    # --- inside ---

    async def _write(self) -> None:
        await asyncio.sleep(0)
        if self.failing:
            self.failing -= 1
            raise JournalError("not now")

    def _record(self, attempt: AttemptRecord) -> int:
        self.attempts.append(attempt)
        stored = self.deliveries.get(attempt.delivery_id) if attempt.delivery_id is not None else None
        if attempt.delivery_id is not None and stored is None:
            return 0
        if attempt.next_attempt_at_ms is not None:
            stored = stored or self._store(
                attempt.seqs, attempts=0, created_at_ms=attempt.started_at_ms, next_attempt_at_ms=0
            )
            stored.attempts += 1
            stored.next_attempt_at_ms = attempt.next_attempt_at_ms
            return 0
        if attempt.dead_reason is not None:
            self._bury(attempt.seqs, attempt.dead_reason)
        return self._remove(stored)

    def _remove(self, stored: Stored | None) -> int:
        if stored is None:
            return 0
        del self.deliveries[stored.id]
        behind = [one for one in self.deliveries.values() if one.behind == stored.id]
        for one in behind:
            one.behind = stored.behind
        return len(behind) if stored.behind is None else 0

    def _store(self, seqs: tuple[int, ...], *, attempts: int, created_at_ms: int, next_attempt_at_ms: int) -> Stored:
        stored = Stored(self.next_id, seqs, attempts, created_at_ms, next_attempt_at_ms)
        self.deliveries[stored.id] = stored
        self.next_id += 1
        return stored

    def _bury(self, seqs: tuple[int, ...], reason: str) -> None:
        self.dead.append((seqs, reason))

    def _waiting(self, skip: Collection[int]) -> list[Stored]:
        return [one for one in self.deliveries.values() if one.behind is None and one.id not in skip]

    def _members(self, seqs: tuple[int, ...]) -> tuple[Entry, ...]:
        by_seq = {one.seq: one for one in self.entries}
        return tuple(by_seq[seq] for seq in seqs)

    def _ids(self, seqs: tuple[int, ...]) -> list[str]:
        return [one.message_id for one in self._members(seqs)]


Answer = PostResult | asyncio.Future[PostResult] | Exception


class ToldSender:
    """Answers by the script of a messageId (of a batch: of its first member), else with `default`.

    A future in the script is awaited: the attempt hangs until it is given a result.
    """

    def __init__(self, default: PostResult = OK) -> None:
        self.default: Answer = default
        self.script: dict[str, deque[Answer]] = {}
        self.posts: list[tuple[str, ...]] = []
        self.in_flight = 0
        self.most_in_flight = 0

    def tell(self, message_id: str, *answers: Answer) -> None:
        self.script.setdefault(message_id, deque()).extend(answers)

    def hang(self, message_id: str) -> asyncio.Future[PostResult]:
        future: asyncio.Future[PostResult] = asyncio.get_running_loop().create_future()
        self.tell(message_id, future)
        return future

    async def post(self, stream: Stream, members: Sequence[Entry], at_ms: int) -> PostResult:
        self.posts.append(tuple(_label(member) for member in members))
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            script = self.script.get(members[0].message_id)
            answer = script.popleft() if script else self.default
            if isinstance(answer, Exception):
                raise answer
            if isinstance(answer, asyncio.Future):
                return await answer
            await asyncio.sleep(0)
            return answer
        finally:
            self.in_flight -= 1


def _label(member: Entry) -> str:
    return member.message_id if member.revision == 1 else f"{member.message_id}#{member.revision}"


def journal_of(count: int) -> MemoryJournal:
    return MemoryJournal(entries=[entry(seq) for seq in range(1, count + 1)])


def two_revisions() -> MemoryJournal:
    return MemoryJournal(
        entries=[
            entry(1, "a"),
            entry(2, "a", revision=2, type_=EntryType.COMPLETION),
            entry(3, "a", revision=3, type_=EntryType.COMPLETION),
            entry(4, "b"),
        ]
    )
