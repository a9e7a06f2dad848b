"""An embedded Kafka for the demo (librdkafka's mock cluster), and a reader that shares no code with the relay."""

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from typing import ClassVar

from confluent_kafka import Consumer, Message, TopicPartition
from confluent_kafka.admin import AdminClient

KINDS = ("sms", "voice")
TOPICS = (
    *(f"infobip.{kind}.{what}" for kind in KINDS for what in ("reports", "revisions")),
    "infobip.quarantine",
    "relay.cursors",
)
"""Those of a configuration that names none."""

Ends = dict[tuple[str, int], int]
"""By topic and partition: the offset after the last record."""

QUIET = {"log_level": 0}
ANSWER_SECONDS = 10.0
"""For the first answer of a cluster."""

READ_SECONDS = 30.0
POLL_SECONDS = 0.5


class EmbeddedKafka:
    """A broker inside this process. It knows no transactions, so the relay publishes to it in idempotent mode."""

    _running: ClassVar["EmbeddedKafka | None"] = None

    @classmethod
    def started(cls) -> "EmbeddedKafka":
        """The one of this process; it lives as long as the process does."""
        cls._running = cls._running or cls()
        return cls._running

    def __init__(self) -> None:
        self._cluster = AdminClient({"test.mock.num.brokers": 1, **QUIET})
        for topic in TOPICS:  # asking for a topic makes it; there is no request to create one
            self._cluster.list_topics(topic, timeout=10)
        brokers = self._cluster.list_topics(timeout=10).brokers.values()
        self.bootstrap_servers = ",".join(f"{broker.host}:{broker.port}" for broker in brokers)


def broker_count(bootstrap_servers: str) -> int:
    """How many brokers a cluster has. Raises KafkaException if it cannot be reached."""
    return len(
        AdminClient({"bootstrap.servers": bootstrap_servers, **QUIET}).list_topics(timeout=ANSWER_SECONDS).brokers
    )


def count_message_ids(bootstrap_servers: str, topics: list[str], source: str) -> dict[str, Counter[str]]:
    """By topic: how often each messageId is there for a read_committed reader, of this source's events only."""
    # A read_committed consumer is told the last stable offset as the end, which may lag behind a commit just made.
    with closing(_consumer(bootstrap_servers, "read_uncommitted")) as asking:
        ends = _ends(asking, topics)
    consumer = _consumer(bootstrap_servers, "read_committed")
    counts: dict[str, Counter[str]] = {topic: Counter() for topic in topics}
    try:
        for message in _read_to_end(consumer, ends):
            if _source(message) == source:
                counts[message.topic() or ""][(message.key() or b"").decode()] += 1
    finally:
        consumer.close()
    return counts


def _consumer(bootstrap_servers: str, isolation: str) -> Consumer:
    return Consumer({
        "bootstrap.servers": bootstrap_servers,
        "group.id": "relay-demo-verdict",
        "enable.auto.commit": False,
        "auto.offset.reset": "earliest",
        "isolation.level": isolation,
        **QUIET,
    })  # fmt: skip


def _ends(consumer: Consumer, topics: list[str]) -> Ends:
    ends: Ends = {}
    for topic in topics:
        metadata = consumer.list_topics(topic, timeout=10).topics[topic]
        for partition in metadata.partitions:
            end = consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=10)
            if end is not None and end[1] > end[0]:
                ends[topic, partition] = end[1]
    return ends


def _read_to_end(consumer: Consumer, ends: Ends) -> Iterator[Message]:
    consumer.assign([TopicPartition(topic, partition, 0) for topic, partition in ends])
    deadline = time.monotonic() + READ_SECONDS
    while ends and time.monotonic() < deadline:
        messages = consumer.consume(1000, POLL_SECONDS)
        yield from (message for message in messages if message.error() is None)
        ends = _unfinished(consumer, ends)


def _unfinished(consumer: Consumer, ends: Ends) -> Ends:
    """The partitions whose end is not reached; by position, since control records are never handed out."""
    positions = consumer.position([TopicPartition(topic, partition) for topic, partition in ends])
    return {(at.topic, at.partition): ends[at.topic, at.partition] for at in positions
            if at.offset < ends[at.topic, at.partition]}  # fmt: skip


def _source(message: Message) -> str:
    headers = dict(message.headers() or [])
    value = headers.get("ce_source") or b""
    return (value.decode() if isinstance(value, bytes) else value).split("/")[1]
