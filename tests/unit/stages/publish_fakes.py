"""Kafka and the journal in memory, for the publish stage: what is committed, what was asked, and what goes wrong."""

from collections import deque
from collections.abc import Callable, Sequence
from operator import attrgetter

from msgspec.structs import replace

from relay.domain.adoption import Note
from relay.domain.envelope import StreamEnvelope, Topics, quarantine_value, without_bytes
from relay.domain.report import Entry, EntryType, Origin, Stream
from relay.observe import Health, Telemetry
from relay.ports import AdoptedRecord, Displaced, Lease, LeaseLost, LocalCursor, Record, RecordsRefused, SinkError
from relay.stages.publish import Publish

STREAM = Stream("acme", "sms")
LEASE = Lease("stream/acme/sms", "relay-0", 1)
TOPICS = Topics("infobip.sms.reports", "infobip.sms.revisions", "infobip.quarantine")
ENVELOPE = StreamEnvelope(STREAM, "journal-1", TOPICS, revisions_inline=False)
DAY_MS = 86_400_000


class MemoryJournal:
    """ports.PublishJournal with a dictionary of entries. Seqs are refused until the cursor was confirmed."""

    def __init__(self) -> None:
        self.entries: dict[int, Entry] = {}
        self.cursor: LocalCursor | None = None
        self.confirmed: list[int] = []
        self.adopted: list[AdoptedRecord] = []
        self.refused: list[tuple[int, str]] = []
        self.next_seq = 1
        self.lost = False
        self.advance_errors: deque[Exception] = deque()
        self.reads: list[int] = []

    def add(self, count: int = 1, *, value: bytes = b"{}") -> None:
        for _ in range(count):
            self.put(Entry(self.next_seq, EntryType.REPORT, f"id-{self.next_seq}", 1, Origin.POLL, 1000, 3, value))

    def put(self, entry: Entry) -> None:
        self.entries[entry.seq] = entry
        self.next_seq = max(self.next_seq, entry.seq + 1)

    async def local_cursor(self, stream: Stream) -> LocalCursor | None:
        return self.cursor

    async def confirm_cursor(
        self, lease: Lease, stream: Stream, position: int, cluster_id: str | None, at_ms: int
    ) -> None:
        self._check_lease()
        self.confirmed.append(position)
        self.cursor = LocalCursor(position, cluster_id, at_ms)
        self.next_seq = max(self.next_seq, position + 1)

    async def confirm_without_kafka(self, lease: Lease, stream: Stream) -> None:
        raise AssertionError("there is a Kafka")

    async def adopt_published(
        self, lease: Lease, stream: Stream, records: Sequence[AdoptedRecord], position: int
    ) -> list[Displaced]:
        self._check_lease()
        displaced = []
        for record in records:
            entry = self.entries.get(record.seq)
            if entry is not None and (entry.message_id, entry.value) == (record.message_id, record.value):
                continue
            if entry is not None:
                self.next_seq = max(self.next_seq, position + 1)
                self.entries[self.next_seq] = replace(self.entries.pop(record.seq), seq=self.next_seq)
                displaced.append(Displaced(self.next_seq, entry.message_id, entry.value))
                self.next_seq += 1
            self.adopted.append(record)
        self.next_seq = max(self.next_seq, records[-1].seq + 1)
        return displaced

    async def pass_over(self, lease: Lease, stream: Stream, seqs: Sequence[int]) -> None:
        self._check_lease()
        for seq in seqs:
            self.entries[seq] = replace(self.entries[seq], refused=True)

    async def read_stream(self, stream: Stream, after_seq: int, limit: int, max_bytes: int) -> list[Entry]:
        self.reads.append(after_seq)
        return [entry for seq, entry in sorted(self.entries.items()) if seq > after_seq][:limit]

    async def advance(self, lease: Lease, stream: Stream, position: int, cluster_id: str | None, at_ms: int) -> None:
        self._check_lease()
        if self.advance_errors:
            raise self.advance_errors.popleft()
        self.cursor = LocalCursor(position, cluster_id, at_ms)

    async def refuse_record(self, lease: Lease, stream: Stream, seq: int, reason: str, at_ms: int) -> None:
        self._check_lease()
        self.refused.append((seq, reason))
        entry = self.entries[seq]
        self.entries[seq] = replace(entry, refused=True)
        if entry.type == EntryType.QUARANTINE:
            value = without_bytes(entry.value)
        else:
            value = quarantine_value(stream, reason, entry.received_at_ms, None, entry.value)
        self.put(Entry(self.next_seq, EntryType.QUARANTINE, "", 1, entry.origin, at_ms, None, value))

    def _check_lease(self) -> None:
        if self.lost:
            raise LeaseLost("taken over")


class MemoryKafka:
    """ports.EventSink. `failures` are raised by publish before anything is committed, one a call (None: that one goes
    well); `unheard` after the commit; `refuses` names records that the broker does not take."""

    def __init__(self) -> None:
        self.committed: list[Record] = []
        self.cursor: int | None = None
        self.noted: Note | None = None
        self.name = "cluster-1"
        self.opened = 0
        self.abandoned = 0
        self.transactions: list[tuple[int, int]] = []
        self.tail_reads = 0
        self.open_failures: deque[SinkError] = deque()
        self.failures: deque[SinkError | None] = deque()
        self.refuses: Callable[[Record], bool] = lambda record: False
        self.unheard: deque[SinkError] = deque()
        self.on_publish: Callable[[], None] = lambda: None
        self.is_open = False

    async def open(self) -> None:
        self.opened += 1
        if self.open_failures:
            raise self.open_failures.popleft()
        self.is_open = True

    async def cluster_id(self) -> str:
        return self.name

    async def read_cursor(self) -> int | None:
        assert self.is_open
        return self.cursor

    def note(self) -> Note | None:
        return self.noted

    async def last_published_seq(self) -> int | None:
        self.tail_reads += 1
        return max((record.seq for record in self.committed), default=None)

    async def read_published(self, after_seq: int) -> list[Record]:
        return sorted([record for record in self.committed if record.seq > after_seq], key=attrgetter("seq"))[:2]

    async def publish(self, records: Sequence[Record], position: int) -> None:
        assert self.is_open, "published through a producer that was abandoned"
        self.transactions.append((len(records), position))
        self.on_publish()
        failure = self.failures.popleft() if self.failures else None
        if failure is None and any(self.refuses(record) for record in records):
            failure = RecordsRefused("MESSAGE_TOO_LARGE")
        if failure is not None:
            raise failure
        self.committed.extend(records)
        self.cursor = position
        if records:
            self.noted = Note.of_record(records[-1])
        if self.unheard:
            raise self.unheard.popleft()

    async def abandon(self) -> None:
        self.abandoned += 1
        self.is_open = False

    @property
    def seqs(self) -> list[int]:
        return [record.seq for record in self.committed]


class Rig:
    """A publisher with its surroundings."""

    def __init__(self) -> None:
        self.journal = MemoryJournal()
        self.kafka = MemoryKafka()
        self.telemetry = Telemetry()
        self.health = Health()
        self.confirmations = 0
        self.now_ms = 1_700_000_000_000
        self.publish = self.another()

    def another(self, *, transactional: bool = True) -> Publish:
        """A publisher as after a restart."""
        return Publish(
            STREAM,
            LEASE,
            self.journal,
            self.kafka,
            ENVELOPE,
            self.telemetry,
            self.health,
            lambda: self.now_ms,
            self._confirm,
            reports_topic=TOPICS.reports,
            transactional=transactional,
        )

    async def drain(self, publish: Publish | None = None, *, steps: int = 200) -> None:
        """Step until there is nothing to do, however long it wants to wait after failures."""
        publish = publish or self.publish
        for _ in range(steps):
            publish._wait_until = 0.0
            if await publish.step() >= 5.0:
                return
        raise AssertionError(f"still busy after {steps} steps")

    def _confirm(self) -> None:
        self.confirmations += 1
