"""Reading topics back with librdkafka, whole and counted. Imports nothing of relay: it is the judge."""

import contextlib
import time
import uuid
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from confluent_kafka import Consumer, ConsumerGroupTopicPartitions, KafkaError, KafkaException, Message, TopicPartition
from confluent_kafka.admin import AdminClient

Place = tuple[str, int]
"""Topic and partition."""

READ_SECONDS = 60.0
LEADER_SECONDS = 10.0
MOVING = (KafkaError.NOT_LEADER_FOR_PARTITION, KafkaError.LEADER_NOT_AVAILABLE, KafkaError.UNKNOWN_TOPIC_OR_PART)


class Read(NamedTuple):
    """One record as a consumer sees it."""

    topic: str
    partition: int
    offset: int
    key: bytes
    value: bytes
    headers: dict[str, bytes]
    timestamp_ms: int

    @property
    def relay_seq(self) -> int:
        return int(self.headers["relay_seq"])


def read_committed(bootstrap_servers: str, *topics: str) -> list[Read]:
    """All that a read_committed consumer sees up to the end of the log as it is now, by partition in log order.

    The end is the high watermark: an open transaction before it is waited for.
    """
    return _read(bootstrap_servers, topics, "read_committed")


def read_uncommitted(bootstrap_servers: str, *topics: str) -> list[Read]:
    """The same with records of open and aborted transactions."""
    return _read(bootstrap_servers, topics, "read_uncommitted")


def count_keys(records: Iterable[Read]) -> Counter[str]:
    return Counter(record.key.decode() for record in records)


def committed_offset(bootstrap_servers: str, group: str, topic: str, partition: int = 0) -> int | None:
    """What the group has committed, pending transactions waited for; None if nothing."""
    admin = AdminClient({"bootstrap.servers": bootstrap_servers, "log_level": 0})
    request = ConsumerGroupTopicPartitions(group, [TopicPartition(topic, partition)])
    (future,) = admin.list_consumer_group_offsets([request], require_stable=True).values()
    (answer,) = future.result(30).topic_partitions
    return None if answer.offset < 0 else answer.offset


def delete_committed_offset(bootstrap_servers: str, group: str, topic: str, partition: int = 0) -> None:
    """As if the group's offset expired."""
    del topic, partition
    admin = AdminClient({"bootstrap.servers": bootstrap_servers, "log_level": 0})
    for deleted in admin.delete_consumer_groups([group]).values():
        deleted.result(30)


def _read(bootstrap_servers: str, topics: Iterable[str], isolation: str) -> list[Read]:
    # A read_committed consumer is told the last stable offset as the end: behind a commit whose markers are not yet
    # written everywhere, whole partitions would look empty.
    with contextlib.closing(_consumer(bootstrap_servers, "read_uncommitted")) as asking:
        starts, ends = _bounds(asking, topics)
    consumer = _consumer(bootstrap_servers, isolation)
    try:
        found = [_plain(message) for message in _to_the_end(consumer, starts, ends)]
    finally:
        consumer.close()
    return sorted(found, key=lambda read: read[:3])


def _consumer(bootstrap_servers: str, isolation: str) -> Consumer:
    return Consumer({
        "bootstrap.servers": bootstrap_servers,
        "group.id": f"reader-{uuid.uuid4()}",
        "enable.auto.commit": False,
        "auto.offset.reset": "error",
        "isolation.level": isolation,
        "log_level": 0,
    })  # fmt: skip


def _to_the_end(consumer: Consumer, starts: Mapping[Place, int], ends: dict[Place, int]) -> Iterator[Message]:
    consumer.assign([TopicPartition(*place, starts[place]) for place in ends])
    deadline = time.monotonic() + READ_SECONDS
    while ends:
        assert time.monotonic() < deadline, f"not read to the end in {READ_SECONDS} s: {ends}"
        for message in consumer.consume(1000, 0.1):
            assert message.error() is None, str(message.error())
            yield message
        # By position, since control records are never handed out.
        for at in consumer.position([TopicPartition(*place) for place in ends]):
            if at.offset >= ends[at.topic, at.partition]:
                del ends[at.topic, at.partition]


def _bounds(consumer: Consumer, topics: Iterable[str]) -> tuple[dict[Place, int], dict[Place, int]]:
    starts: dict[Place, int] = {}
    ends: dict[Place, int] = {}
    known = consumer.list_topics(timeout=10).topics
    for topic in topics:
        assert topic in known, f"there is no topic {topic}"
        for partition in known[topic].partitions:
            low, high = _watermarks(consumer, TopicPartition(topic, partition))
            if high > low:
                starts[topic, partition], ends[topic, partition] = low, high
    return starts, ends


def _watermarks(consumer: Consumer, place: TopicPartition) -> tuple[int, int]:
    """The leader of a topic that is new, or whose broker is, says for a moment that it is none."""
    deadline = time.monotonic() + LEADER_SECONDS
    while True:
        try:
            return consumer.get_watermark_offsets(place, timeout=10)
        except KafkaException as error:
            if time.monotonic() > deadline or error.args[0].code() not in MOVING:
                raise
            time.sleep(0.1)


def _plain(message: Message) -> Read:
    return Read(
        message.topic(),
        message.partition(),
        message.offset(),
        message.key() or b"",
        message.value() or b"",
        dict(message.headers() or []),
        message.timestamp()[1],
    )
