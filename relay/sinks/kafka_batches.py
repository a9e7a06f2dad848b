"""Records into aiokafka's batches, one partition's records in one batch where they fit: the hot path of publishing."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple, Protocol

from relay.ports import Record, RecordsRefused
from relay.sinks.kafka_partition import partitions_of

MAX_BATCH_BYTES = 1_000_000
"""Uncompressed, and below the broker's default message.max.bytes (1,048,588): a batch of several records is never too
large; only a record that fills a batch alone can be, and compressed it may still fit."""
MAX_RECORD_BYTES = 16 << 20
"""A larger record is not even sent: past socket.request.max.bytes the broker would close the connection unexplained."""


class Batch(Protocol):
    """aiokafka's BatchBuilder. `append` answers None if it has NOT added the record."""

    def append(self, *, timestamp: int, key: bytes, value: bytes, headers: list[tuple[str, bytes]]) -> object: ...


class Filled(NamedTuple):
    topic: str
    partition: int
    batch: Batch


def fill_batches(
    records: Sequence[Record], partitions: Mapping[str, int], create_batch: Callable[[], Batch]
) -> Iterator[Filled]:
    """Batches of all records, in their order within each partition. `partitions`: how many each topic has.

    Raises RecordsRefused for a record that no broker would take.
    """
    by_topic: defaultdict[str, list[Record]] = defaultdict(list)
    for record in records:
        by_topic[record.topic].append(record)
    for topic, own in by_topic.items():
        yield from _fill_topic(topic, own, partitions[topic], create_batch)


def _fill_topic(
    topic: str, records: Sequence[Record], partitions: int, create_batch: Callable[[], Batch]
) -> Iterator[Filled]:
    places = partitions_of([record.key for record in records], partitions)
    open_batches: dict[int, Batch] = {}
    for record, place in zip(records, places, strict=True):
        _, _, key, value, headers, timestamp_ms = record
        if len(value) > MAX_RECORD_BYTES:
            raise RecordsRefused(f"a record of {len(value)} bytes is above {MAX_RECORD_BYTES}, the most that is sent")
        batch = open_batches.get(place)
        if batch is not None:
            if batch.append(timestamp=timestamp_ms, key=key, value=value, headers=[*headers]) is not None:
                continue
            yield Filled(topic, place, batch)
        batch = open_batches[place] = create_batch()
        if batch.append(timestamp=timestamp_ms, key=key, value=value, headers=[*headers]) is None:
            raise RecordsRefused(f"a record of {len(value)} bytes does not fit into an empty batch")
    for place, batch in open_batches.items():
        yield Filled(topic, place, batch)
