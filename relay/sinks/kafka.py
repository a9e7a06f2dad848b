"""One stream's way into Kafka: records and cursor in one transaction, or (idempotent) records alone.

Invariant: `publish` returns only when everything was committed; whatever else happens is a SinkError, after which this
producer is abandoned and `open` makes a new one. Every call ends within its deadline, with a frozen broker too.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Any

from aiokafka.structs import OffsetAndMetadata, TopicPartition

from relay.config import KafkaConfig
from relay.domain.adoption import Note
from relay.domain.envelope import Topics, ce_source
from relay.domain.report import Stream
from relay.observe.failpoints import Point, reach
from relay.ports import Record, SinkError, SinkUnavailable, StreamBlocked, TransactionIndefinite
from relay.sinks.kafka_batches import MAX_BATCH_BYTES, fill_batches
from relay.sinks.kafka_cursor import read_committed_offset
from relay.sinks.kafka_errors import translate
from relay.sinks.kafka_producer import StreamProducer, seen
from relay.sinks.kafka_security import connection_options
from relay.sinks.kafka_settle import Cursor, settle
from relay.sinks.kafka_tail import StreamTail
from relay.sinks.kafka_topics import ensure_topics

DEADLINE_SECONDS = 30.0
ABORT_SECONDS = 5.0
LOOK_SECONDS = 0.5
PAGE_RECORDS = 2000
PAGE_BYTES = 8 << 20


def topics_of(config: KafkaConfig, kind: str) -> Topics:
    """The topics of one kind, formatted."""
    return Topics(
        config.topic.format(kind=kind),
        config.revisions_topic.format(kind=kind),
        config.quarantine_topic,
        config.recordings_topic.format(kind=kind),
    )


class KafkaSink:
    """ports.EventSink for one stream. `deadline_seconds` bounds every call; a transaction gets at most half its
    time-out, so that the broker never ends it first. `recordings`: there may be announcements of recordings."""

    def __init__(
        self,
        stream: Stream,
        config: KafkaConfig,
        *,
        journal_id: str,
        revisions_inline: bool,
        recordings: bool = False,
        deadline_seconds: float = DEADLINE_SECONDS,
    ) -> None:
        self._stream = stream
        self._config = config
        self._journal_id = journal_id
        self._id = f"{config.id_prefix}.{journal_id}.{stream.source}.{stream.kind}"
        self._transactional = config.delivery == "transactional"
        topics = topics_of(config, stream.kind)
        self._topics = tuple(_used(topics, revisions_inline=revisions_inline, recordings=recordings))
        self._deadline_seconds = deadline_seconds
        self._publish_seconds = deadline_seconds
        if self._transactional:
            self._publish_seconds = min(deadline_seconds, config.transaction_timeout_seconds / 2)
        self._producer: StreamProducer | None = None
        self._cluster_id: str | None = None
        self._note: Note | None = None
        self._published: AsyncIterator[Record] | None = None
        self._published_up_to = -1

    async def open(self) -> None:
        """Connect, end what was pending under our transactional id, check or create the topics."""
        await self.abandon()
        try:
            async with self._within(self._deadline_seconds, f"opening Kafka at {self._config.bootstrap_servers}"):
                self._producer = StreamProducer(**await self._options())
                await self._producer.start()
                await ensure_topics(self._producer.client, self._wanted_topics(), self._config.create_topics)
                self._cluster_id = self._producer.client.cluster_id
                if self._transactional:
                    cursor = Cursor(self._id, self._config.cursor_topic, 0)
                    await settle(self._producer, cursor, self._tail(), patience_seconds=self._deadline_seconds / 3)
        except BaseException:
            await self.abandon()
            raise

    async def cluster_id(self) -> str:
        """As the brokers tell it; empty if they are too old to have one."""
        self._opened()
        return self._cluster_id or ""

    async def read_cursor(self) -> int | None:
        """The last seq that is committed in Kafka; None only if Kafka says that there is none. None when idempotent."""
        producer = self._opened()
        if not self._transactional:
            return None
        async with self._within(self._deadline_seconds, f"reading the cursor of {self._id}"):
            committed = await read_committed_offset(
                producer.client, self._id, self._config.cursor_topic, 0, patience_seconds=self._deadline_seconds / 3
            )
        self._note = None if committed is None else Note.read(committed.metadata)
        return None if committed is None else committed.offset - 1

    def note(self) -> Note | None:
        """As the cursor was read or committed last."""
        return self._note

    async def last_published_seq(self) -> int | None:
        """From the tail of the topics. Bounded by progress, not by time: there may be much to read."""
        async with self._within(None, f"reading the tail of {', '.join(self._topics)}"):
            return await self._tail().last_seq()

    async def read_published(self, after_seq: int) -> list[Record]:
        """The next records of ours in the topics, a page of them; empty if there is no more."""
        async with self._within(None, f"reading back {', '.join(self._topics)}"):
            published = self._published
            if published is None or self._published_up_to != after_seq:
                published = self._published = self._tail().records_after(after_seq)
            page: list[Record] = []
            size_bytes = 0
            while len(page) < PAGE_RECORDS and size_bytes < PAGE_BYTES:
                record = await anext(published, None)
                if record is None:
                    break
                page.append(record)
                size_bytes += len(record.value)
            self._published_up_to = page[-1].seq if page else -1
        return page

    async def publish(self, records: Sequence[Record], position: int) -> None:
        """One transaction: records and the cursor at `position`. Returns only when committed, else a SinkError."""
        producer = self._opened()
        doing = f"publishing {len(records)} records up to {position} of {self._stream}"
        try:
            async with self._within(self._publish_seconds, doing):
                if self._transactional:
                    await self._transaction(producer, records, position)
                else:
                    await self._deliver(producer, records)
        except SinkError as error:
            if producer.end_txn_sent and isinstance(error, SinkUnavailable):
                raise TransactionIndefinite(f"{error} (the commit had been sent)") from error
            if self._transactional and not producer.end_txn_sent:
                await self._abort(producer, error)
            raise

    async def abandon(self) -> None:
        """Let go within a deadline, whatever state it is in; idempotent."""
        producer, self._producer = self._producer, None
        self._published = None
        if producer is not None:
            await producer.let_go()

    async def _transaction(self, producer: StreamProducer, records: Sequence[Record], position: int) -> None:
        await producer.begin_transaction()
        await self._deliver(producer, records)
        reach(Point.PUBLISH_SENT)
        cursor = TopicPartition(self._config.cursor_topic, 0)
        note = Note.of_record(records[-1]) if records else self._note
        committed = OffsetAndMetadata(position + 1, str(note or ""))
        await producer.send_offsets_to_transaction({cursor: committed}, self._id)
        reach(Point.PUBLISH_ENDING)
        await producer.commit_transaction()
        self._note = note

    async def _deliver(self, producer: StreamProducer, records: Sequence[Record]) -> None:
        """Send the records and see every delivery confirmed: a commit would succeed although a send failed."""
        cluster = producer.client.cluster
        counts = {topic: len(cluster.partitions_for_topic(topic) or ()) for topic in self._topics}
        self._check_topics(counts)
        deliveries: list[asyncio.Future[object]] = []
        for topic, partition, batch in fill_batches(records, counts, producer.create_batch):
            delivery = await producer.send_batch(batch, topic, partition=partition)
            delivery.add_done_callback(seen)  # after the first failure nobody awaits the others
            deliveries.append(delivery)
        await self._confirmed(producer, deliveries)

    async def _confirmed(self, producer: StreamProducer, deliveries: Sequence["asyncio.Future[object]"]) -> None:
        waiting: Iterable[asyncio.Future[object]] = deliveries
        while waiting:
            _, waiting = await asyncio.wait(waiting, timeout=LOOK_SECONDS, return_when=asyncio.FIRST_EXCEPTION)
            # In the order sent: the first failure is the cause of those behind it in the partition.
            for delivery in deliveries:
                if delivery.done():
                    delivery.result()
            # aiokafka tries a deleted topic for ever.
            if waiting:
                producer.client.force_metadata_update()
            known = producer.client.cluster.partitions_for_topic
            self._check_topics({topic: len(known(topic) or ()) for topic in self._topics})

    def _check_topics(self, counts: dict[str, int]) -> None:
        gone = [topic for topic, count in counts.items() if not count]
        if gone:
            raise StreamBlocked(f"topics are gone or may not be seen: {', '.join(gone)}; create them again")

    async def _abort(self, producer: StreamProducer, error: SinkError) -> None:
        """Best effort, so that readers need not wait for the time-out: opening anew ends the transaction anyway."""
        if isinstance(error, SinkUnavailable):
            return
        with contextlib.suppress(Exception):
            async with asyncio.timeout(ABORT_SECONDS):
                await producer.abort_transaction()

    def _opened(self) -> StreamProducer:
        if self._producer is None:
            raise SinkUnavailable("the producer is not open")
        return self._producer

    def _tail(self) -> StreamTail:
        return StreamTail(
            self._opened().client,
            self._topics,
            journal_id=self._journal_id,
            source=ce_source(self._stream),
            stall_seconds=self._deadline_seconds + self._config.transaction_timeout_seconds,
        )

    def _wanted_topics(self) -> dict[str, int | None]:
        wanted: dict[str, int | None] = dict.fromkeys(self._topics)
        if self._transactional:
            wanted[self._config.cursor_topic] = 1
        return wanted

    async def _options(self) -> dict[str, Any]:
        # Reading certificates and secrets may touch a slow disk.
        connection = await asyncio.to_thread(connection_options, self._config.security)
        options: dict[str, Any] = {
            "bootstrap_servers": self._config.bootstrap_servers,
            "client_id": self._id,
            "request_timeout_ms": int(self._deadline_seconds * 1000 / 3),
            "compression_type": None if self._config.compression == "none" else self._config.compression,
            "max_batch_size": MAX_BATCH_BYTES,
            "enable_idempotence": True,
            "connection": connection,
        }
        if self._transactional:
            options["transactional_id"] = self._id
            options["transaction_timeout_ms"] = int(self._config.transaction_timeout_seconds * 1000)
        return options

    @contextlib.asynccontextmanager
    async def _within(self, seconds: float | None, doing: str) -> AsyncIterator[None]:
        """Errors of anything below become SinkErrors here, an overrun of the deadline too."""
        try:
            async with asyncio.timeout(seconds):
                yield
        except SinkError:
            raise
        except Exception as error:
            raise translate(error, doing) from error


def _used(topics: Topics, *, revisions_inline: bool, recordings: bool) -> dict[str, None]:
    """The topics that records of the stream may go to, each once."""
    unused = {topics.revisions} if revisions_inline else set()
    if not recordings:
        unused.add(topics.recordings)
    return {topic: None for topic in topics if topic not in unused or topic in {topics.reports, topics.quarantine}}
