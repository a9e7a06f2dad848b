"""Settling a transaction of ours whose end the broker has lost in some partitions.

A broker that is killed right after a commit can forget, when it comes back, to write the transaction's end into some
partitions (seen with Kafka 4.3: the coordinator loads its state before it knows all topics). Our next transaction there
would then decide about the old one's records as well: a commit after an abort doubles them, an abort after a commit
loses them. So whenever a producer was opened, the partitions are asked whether something of ours is still open, and it
is ended as it should have been, by a transaction that writes nothing.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import structlog
from aiokafka import errors
from aiokafka.client import ConnectionGroup, CoordinationType
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.commit import OffsetFetchRequest
from aiokafka.protocol.types import CompactArray, CompactString, Int16, Int32, Int64, Schema, TaggedFields
from aiokafka.structs import OffsetAndMetadata, TopicPartition

from relay.domain.cursor import Unended, should_commit
from relay.sinks.kafka_cursor import CursorHangs, read_committed_offset
from relay.sinks.kafka_errors import asking_again
from relay.sinks.kafka_producer import StreamProducer
from relay.sinks.kafka_tail import StreamTail

log = structlog.get_logger(__name__)

NOTHING_OPEN = -1


class DescribeProducersResponse_v0(Response):  # type: ignore[misc]
    API_KEY = 61
    API_VERSION = 0
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "topics",
            CompactArray(
                ("topic", CompactString("utf-8")),
                (
                    "partitions",
                    CompactArray(
                        ("partition", Int32),
                        ("error_code", Int16),
                        ("error_message", CompactString("utf-8")),
                        (
                            "producers",
                            CompactArray(
                                ("producer_id", Int64),
                                ("producer_epoch", Int32),
                                ("last_sequence", Int32),
                                ("last_timestamp", Int64),
                                ("coordinator_epoch", Int32),
                                ("transaction_start_offset", Int64),
                                ("tags", TaggedFields),
                            ),
                        ),
                        ("tags", TaggedFields),
                    ),
                ),
                ("tags", TaggedFields),
            ),
        ),
        ("tags", TaggedFields),
    )


class DescribeProducersRequest_v0(RequestStruct):  # type: ignore[misc]
    API_KEY = 61
    API_VERSION = 0
    FLEXIBLE_VERSION = True
    RESPONSE_TYPE = DescribeProducersResponse_v0
    SCHEMA = Schema(
        (
            "topics",
            CompactArray(
                ("topic", CompactString("utf-8")), ("partitions", CompactArray(Int32)), ("tags", TaggedFields)
            ),
        ),
        ("tags", TaggedFields),
    )


class DescribeProducers(Request[DescribeProducersRequest_v0]):  # type: ignore[misc]
    """Who has a transaction open in some partitions of one leader (Kafka 2.8)."""

    API_KEY = 61

    def __init__(self, places: Iterable[TopicPartition]) -> None:
        self._partitions: defaultdict[str, list[int]] = defaultdict(list)
        for place in places:
            self._partitions[place.topic].append(place.partition)

    def build(self, request_struct_class: type[RequestStruct]) -> RequestStruct:
        return request_struct_class([(topic, own, {}) for topic, own in self._partitions.items()], {})


class Cursor(NamedTuple):
    """Where the stream's cursor is kept."""

    group: str
    topic: str
    partition: int


async def settle(producer: StreamProducer, cursor: Cursor, tail: StreamTail, *, patience_seconds: float) -> None:
    """End what of ours is open in the topics of `tail` or in the cursor's partition. Usually nothing is."""
    opened_at: dict[TopicPartition, int] = await asking_again(patience_seconds)(_open_offsets, producer, tail.places())
    try:
        committed = await read_committed_offset(producer.client, *cursor, patience_seconds=patience_seconds)
        offset = None if committed is None else committed.offset
        cursor_hangs = False
    except CursorHangs:
        offset = await _stable_offset(producer, cursor)
        cursor_hangs = True
    if not opened_at and not cursor_hangs:
        return
    seqs = [seq for place, start in opened_at.items() for seq in await tail.seqs_from(place, start)]
    seen = await tail.last_seq(without=opened_at) if cursor_hangs else None
    unended = Unended(None if offset is None else offset - 1, cursor_hangs, seqs, seen)
    commit = should_commit(unended)
    log.warning(
        "settling a transaction whose end was lost", group=cursor.group, commit=commit, unended=unended._asdict(),
        partitions=[f"{place.topic}/{place.partition}" for place in opened_at],
    )  # fmt: skip
    position = max([unended.committed or 0, unended.seen or 0, *(seqs if commit else ())])
    await _end(producer, cursor, list(opened_at), position, commit=commit)


async def _end(
    producer: StreamProducer, cursor: Cursor, places: Sequence[TopicPartition], position: int, *, commit: bool
) -> None:
    await producer.begin_transaction()
    producer.join_partitions(places)
    place = TopicPartition(cursor.topic, cursor.partition)
    await producer.send_offsets_to_transaction({place: OffsetAndMetadata(position + 1, "")}, cursor.group)
    if commit:
        await producer.commit_transaction()
    else:
        await producer.abort_transaction()


async def _open_offsets(producer: StreamProducer, places: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
    """In which partitions our producer id has a transaction open, and from which offset on."""
    by_leader: defaultdict[int, list[TopicPartition]] = defaultdict(list)
    for place in places:
        by_leader[producer.client.cluster.leader_for_partition(place)].append(place)
    opened_at: dict[TopicPartition, int] = {}
    for leader, own in by_leader.items():
        for place, error_code, producers in await _described(producer, leader, own):
            _raise_if_retriable(producer, place, error_code)
            for producer_id, *_, start, _ in producers:
                if producer_id == producer.producer_id and start != NOTHING_OPEN:
                    opened_at[place] = int(start)
    return opened_at


async def _described(
    producer: StreamProducer, leader: int, places: Iterable[TopicPartition]
) -> list[tuple[TopicPartition, int, Sequence[Any]]]:
    """Error code and active producers of each partition; nothing from a broker that is too old to say."""
    try:
        answer = await producer.client.send(leader, DescribeProducers(places))
    except errors.IncompatibleBrokerVersion:
        return []
    return [
        (TopicPartition(topic, partition), error_code, producers or ())
        for topic, partitions, _ in answer.topics
        for partition, error_code, _, producers, _ in partitions
    ]


def _raise_if_retriable(producer: StreamProducer, place: TopicPartition, error_code: int) -> None:
    """A leader that moves is asked again. Who is not allowed to ask goes on without knowing."""
    error = errors.for_code(error_code)
    if error.retriable:
        producer.client.force_metadata_update()
        raise error(f"{place.topic}/{place.partition}")


async def _stable_offset(producer: StreamProducer, cursor: Cursor) -> int | None:
    """The offset before the commit that hangs: what older versions of OffsetFetch answer."""
    node = await producer.client.coordinator_lookup(CoordinationType.GROUP, cursor.group)
    request = OffsetFetchRequest(cursor.group, [(cursor.topic, [cursor.partition])])
    answer = await producer.client.send(node, request, group=ConnectionGroup.COORDINATION)
    ((_, ((_, offset, _, error_code),)),) = answer.topics
    error = errors.for_code(error_code)
    if error is not errors.NoError:
        raise error(cursor.group)
    return None if offset < 0 else int(offset)
