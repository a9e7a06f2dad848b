"""Records into batches, one partition's records in one batch where they fit: the hot path of publishing."""

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
    """A batch of one partition's records."""

    def extend(self, records: Sequence[Record], start: int) -> int:
        """Take the records from `start` on as far as they fit; the place of the first that was not taken."""


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
    for topic in dict.fromkeys([record.topic for record in records]):  # mostly one
        own = [record for record in records if record.topic == topic]
        yield from _fill_topic(topic, own, partitions[topic], create_batch)


def _fill_topic(
    topic: str, records: Sequence[Record], partitions: int, create_batch: Callable[[], Batch]
) -> Iterator[Filled]:
    by_place: defaultdict[int, list[Record]] = defaultdict(list)
    for record, place in zip(records, partitions_of([record.key for record in records], partitions), strict=True):
        by_place[place].append(record)
    for place, own in by_place.items():
        start = 0
        while start < len(own):
            batch = create_batch()
            end = batch.extend(own, start)
            _check_sizes(own[start : end + 1], taken=end - start)
            yield Filled(topic, place, batch)
            start = end


def _check_sizes(records: Sequence[Record], *, taken: int) -> None:
    largest_bytes = max([len(record.value) for record in records])
    if largest_bytes > MAX_RECORD_BYTES:
        raise RecordsRefused(f"a record of {largest_bytes} bytes is above {MAX_RECORD_BYTES}, the most that is sent")
    if not taken:
        raise RecordsRefused(f"a record of {len(records[0].value)} bytes does not fit into an empty batch")
