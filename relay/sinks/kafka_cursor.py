"""Reading a stream's cursor: the offset its group has committed, by partition name, pending transactions waited for.

aiokafka knows OffsetFetch up to version 3, which answers with the offset before a pending transactional commit and
whose top-level errors its consumer drops. Version 7 (Kafka 2.5) refuses to answer while a commit is pending
(`require_stable`). With an older broker the producer's start has ended what was pending, which is nearly the same.
"""

from typing import NamedTuple

from aiokafka import errors
from aiokafka.client import ConnectionGroup, CoordinationType
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.commit import OffsetFetchRequest_v3
from aiokafka.protocol.types import Boolean, CompactArray, CompactString, Int16, Int32, Int64, Schema, TaggedFields

from relay.ports import SinkError
from relay.sinks.kafka_client import StreamClient
from relay.sinks.kafka_errors import UnstableOffsetCommitError, asking_again

NOTHING_COMMITTED = -1


class Committed(NamedTuple):
    """An offset, and what was noted with it."""

    offset: int
    metadata: str


class CursorHangs(SinkError):
    """A transactional commit of the offset is pending and stays so."""


class CursorNotAnsweredError(errors.KafkaError):  # type: ignore[misc]
    """The answer does not name the partition that was asked for."""

    retriable = True


class OffsetFetchResponse_v7(Response):  # type: ignore[misc]
    API_KEY = 9
    API_VERSION = 7
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
                        ("offset", Int64),
                        ("leader_epoch", Int32),
                        ("metadata", CompactString("utf-8")),
                        ("error_code", Int16),
                        ("tags", TaggedFields),
                    ),
                ),
                ("tags", TaggedFields),
            ),
        ),
        ("error_code", Int16),
        ("tags", TaggedFields),
    )


class OffsetFetchRequest_v7(RequestStruct):  # type: ignore[misc]
    API_KEY = 9
    API_VERSION = 7
    FLEXIBLE_VERSION = True
    RESPONSE_TYPE = OffsetFetchResponse_v7
    SCHEMA = Schema(
        ("group", CompactString("utf-8")),
        (
            "topics",
            CompactArray(
                ("topic", CompactString("utf-8")), ("partitions", CompactArray(Int32)), ("tags", TaggedFields)
            ),
        ),
        ("require_stable", Boolean),
        ("tags", TaggedFields),
    )


class StableOffsetFetch(Request[OffsetFetchRequest_v3 | OffsetFetchRequest_v7]):  # type: ignore[misc]
    """OffsetFetch of one partition in the newest version that both sides know."""

    API_KEY = 9

    def __init__(self, group: str, topic: str, partition: int) -> None:
        self._group = group
        self._topic = topic
        self._partition = partition

    def build(self, request_struct_class: type[RequestStruct]) -> RequestStruct:
        if request_struct_class is OffsetFetchRequest_v7:
            return request_struct_class(self._group, [(self._topic, [self._partition], {})], True, {})
        return request_struct_class(self._group, [(self._topic, [self._partition])])


async def read_committed_offset(
    client: StreamClient, group: str, topic: str, partition: int, *, patience_seconds: float
) -> Committed | None:
    """What the group has committed; None only if the coordinator says: nothing. Asked again until `patience_seconds`
    have passed while the coordinator moves, loads, has a commit pending, or leaves the partition out of its answer.

    Raises CursorHangs if a commit is pending all the time, else aiokafka's error.
    """
    try:
        return await asking_again(patience_seconds)(_ask, client, group, topic, partition)
    except UnstableOffsetCommitError as error:
        raise CursorHangs(
            f"a commit of {topic}/{partition} by {group} is pending for {patience_seconds:.0f} s"
        ) from error


async def _ask(client: StreamClient, group: str, topic: str, partition: int) -> Committed | None:
    node = await client.coordinator_lookup(CoordinationType.GROUP, group)
    answer = await client.send(node, StableOffsetFetch(group, topic, partition), group=ConnectionGroup.COORDINATION)
    _raise_for(answer.error_code, group)
    for answered_topic, partitions, *_ in answer.topics:
        for answered_partition, offset, *rest in partitions:
            if (answered_topic, answered_partition) == (topic, partition):
                metadata, error_code = _metadata_and_error(rest)
                _raise_for(error_code, group)
                return None if offset == NOTHING_COMMITTED else Committed(int(offset), metadata)
    raise CursorNotAnsweredError(f"the coordinator of {group} did not name {topic}/{partition} in its answer")


def _metadata_and_error(rest: list[object]) -> tuple[str, int]:
    """Version 3 ends (metadata, error_code), version 7 (leader_epoch, metadata, error_code, tags)."""
    metadata, code = rest if len(rest) == 2 else rest[1:3]
    assert isinstance(code, int)  # noqa: S101 - by both schemas
    return str(metadata or ""), code


def _raise_for(error_code: int, group: str) -> None:
    error = errors.for_code(error_code)
    if error is not errors.NoError:
        raise error(group)
