"""The newest records of one stream in its topics, found by their `relay_journal`, `ce_source` and `relay_seq` headers.

Only for recovery: after a lost cursor or a restored journal. In each partition the stream's seqs ascend, so the last
one is found by reading backwards in growing blocks. Everything is read as committed, up to the high watermark as it is
at the start: where another transaction is still open before it, its end is waited for, since records of ours may lie
behind it.
"""

import asyncio
import heapq
import time
from collections.abc import AsyncIterator, Container, Iterable, Sequence
from typing import Any, NamedTuple

from aiokafka import errors
from aiokafka.consumer.fetcher import READ_COMMITTED, READ_UNCOMMITTED, PartitionRecords
from aiokafka.protocol.fetch import FetchRequest
from aiokafka.protocol.offset import OffsetRequest
from aiokafka.record.memory_records import MemoryRecords
from aiokafka.structs import ConsumerRecord, TopicPartition

from relay.ports import Record, SinkUnavailable
from relay.sinks.kafka_client import StreamClient
from relay.sinks.kafka_errors import asking_again

FIRST_BLOCK = 256
LARGEST_BLOCK = 8192
TAIL_RECORDS = 20_000
"""So many offsets of a partition are searched for the last record; deeper lie only records of a stream that has been
silent for long while others wrote, and there the journal's own copy of the cursor is right."""
FETCH_BYTES = 4 << 20
FETCH_WAIT_MS = 250
LOOK_SECONDS = 0.25
_EARLIEST, _LATEST = -2, -1


class Bounds(NamedTuple):
    start: int
    end: int


class StreamTail:
    """Reads what `journal_id` has published as `source` (the `ce_source` header) in `topics`."""

    def __init__(
        self, client: StreamClient, topics: Iterable[str], *, journal_id: str, source: str, stall_seconds: float
    ) -> None:
        self._client = client
        self._topics = tuple(dict.fromkeys(topics))
        self._journal = journal_id.encode()
        self._source = source.encode()
        self._stall_seconds = stall_seconds

    def places(self) -> list[TopicPartition]:
        """All partitions of the topics."""
        return [
            TopicPartition(topic, partition)
            for topic in self._topics
            for partition in sorted(self._client.cluster.partitions_for_topic(topic) or ())
        ]

    async def last_seq(self, *, without: Container[TopicPartition] = ()) -> int | None:
        """The highest seq among the newest records; None if none of the stream is found."""
        found = [await self._last_in(place, bounds) for place, bounds in (await self._bounds(without)).items()]
        return max((seq for seq in found if seq is not None), default=None)

    async def seqs_from(self, place: TopicPartition, offset: int) -> list[int]:
        """The stream's seqs from an offset on, committed or not."""
        bounds = Bounds(offset, await self._offset(place, _LATEST))
        return [record.seq async for _, record in self._read(place, bounds, isolation=READ_UNCOMMITTED)]

    async def records_after(self, after_seq: int) -> AsyncIterator[Record]:
        """All of the stream's records with a greater seq, ascending over all partitions."""
        readers = [
            self._forwards(place, Bounds(await self._offset_after(place, bounds, after_seq), bounds.end))
            for place, bounds in (await self._bounds()).items()
        ]
        async for record in _merged(readers):
            if record.seq > after_seq:
                yield record

    async def _last_in(self, place: TopicPartition, bounds: Bounds) -> int | None:
        floor = max(bounds.start, bounds.end - TAIL_RECORDS)
        async for records in self._blocks_backwards(place, Bounds(floor, bounds.end)):
            if records:
                return records[-1][1].seq
        return None

    async def _offset_after(self, place: TopicPartition, bounds: Bounds, after_seq: int) -> int:
        """The offset of the stream's first record past `after_seq`, or the end."""
        first = bounds.end
        async for records in self._blocks_backwards(place, bounds):
            newer = [offset for offset, record in records if record.seq > after_seq]
            first = newer[0] if newer else first
            if len(newer) < len(records):
                break
        return first

    async def _blocks_backwards(self, place: TopicPartition, bounds: Bounds) -> AsyncIterator[list[tuple[int, Record]]]:
        size, end = FIRST_BLOCK, bounds.end
        while end > bounds.start:
            start = max(bounds.start, end - size)
            yield [found async for found in self._read(place, Bounds(start, end))]
            end, size = start, min(size * 2, LARGEST_BLOCK)

    async def _forwards(self, place: TopicPartition, bounds: Bounds) -> AsyncIterator[Record]:
        async for _, record in self._read(place, bounds):
            yield record

    async def _read(
        self, place: TopicPartition, bounds: Bounds, *, isolation: int = READ_COMMITTED
    ) -> AsyncIterator[tuple[int, Record]]:
        """The stream's own records with their offsets, ascending. Raises SinkUnavailable if it comes no further."""
        position = bounds.start
        give_up_at = time.monotonic() + self._stall_seconds
        while position < bounds.end:
            try:
                fetched = await self._fetch(place, position, isolation)
            except errors.OffsetOutOfRangeError:  # retention has deleted what was there
                position = max(position + 1, await self._offset(place, _EARLIEST))
                continue
            for consumed in fetched:
                record = self._own(consumed)
                if record is not None and consumed.offset < bounds.end:
                    yield consumed.offset, record
            if fetched.next_fetch_offset > position:
                position = fetched.next_fetch_offset
                give_up_at = time.monotonic() + self._stall_seconds
            elif time.monotonic() > give_up_at:
                raise SinkUnavailable(f"{place.topic}/{place.partition} cannot be read beyond offset {position}")

    def _own(self, consumed: ConsumerRecord) -> Record | None:
        headers = dict(consumed.headers)
        if headers.get("relay_journal") != self._journal or headers.get("ce_source") != self._source:
            return None
        return Record(
            int(headers.pop("relay_seq")),
            consumed.topic,
            consumed.key or b"",
            consumed.value or b"",
            headers.pop("ce_id"),
            tuple(headers.items()),
            consumed.timestamp,
        )

    async def _bounds(self, without: Container[TopicPartition] = ()) -> dict[TopicPartition, Bounds]:
        """First offset and high watermark of every partition."""
        return {
            place: Bounds(await self._offset(place, _EARLIEST), await self._end(place))
            for place in self.places()
            if place not in without
        }

    async def _end(self, place: TopicPartition) -> int:
        """The high watermark, once everything before it is readable as committed."""
        end = await self._offset(place, _LATEST)
        give_up_at = time.monotonic() + self._stall_seconds
        while await self._offset(place, _LATEST, isolation=READ_COMMITTED) < end:
            if time.monotonic() > give_up_at:
                raise SinkUnavailable(
                    f"a transaction has been open in {place.topic}/{place.partition} for {self._stall_seconds:.0f} s, "
                    f"and what lies behind it cannot be read"
                )
            await asyncio.sleep(LOOK_SECONDS)
        return end

    async def _offset(self, place: TopicPartition, which: int, *, isolation: int = READ_UNCOMMITTED) -> int:
        request = OffsetRequest(-1, isolation, [(place.topic, [(place.partition, which)])])
        _, (_, offset) = await self._ask(place, request)
        return int(offset)

    async def _fetch(self, place: TopicPartition, position: int, isolation: int) -> PartitionRecords:
        topics = [(place.topic, [(place.partition, position, FETCH_BYTES)])]
        request = FetchRequest(FETCH_WAIT_MS, 1, FETCH_BYTES, isolation, topics)
        version, (_, *part) = await self._ask(place, request)
        # (last stable offset, [log start,] aborted transactions, [preferred replica,] records)
        aborted = part[2] if version >= 11 else part[-2]
        return PartitionRecords(place, MemoryRecords(part[-1]), aborted, position, None, None, True, isolation)

    async def _ask(self, place: TopicPartition, request: Any) -> tuple[int, Sequence[Any]]:
        """Version and fields (after the error code) of the leader's answer about one partition; again while leaders
        move, or are not known yet in a topic that is new."""
        return await asking_again(self._stall_seconds)(self._ask_leader, place, request)

    async def _ask_leader(self, place: TopicPartition, request: Any) -> tuple[int, Sequence[Any]]:
        answer = await self._client.send(self._leader(place), request)
        ((_, ((_, error_code, *fields),)),) = answer.topics
        self._raise_for(error_code, place)
        return answer.API_VERSION, fields

    def _raise_for(self, error_code: int, place: TopicPartition) -> None:
        error = errors.for_code(error_code)
        if error is errors.NoError:
            return
        if error.invalid_metadata:
            self._client.force_metadata_update()
        raise error(f"{place.topic}/{place.partition}")

    def _leader(self, place: TopicPartition) -> int:
        leader = self._client.cluster.leader_for_partition(place)
        if leader is None or leader < 0:
            raise errors.LeaderNotAvailableError(f"{place.topic}/{place.partition}")
        return int(leader)


async def _merged(readers: Iterable[AsyncIterator[Record]]) -> AsyncIterator[Record]:
    """Several ascending sequences of records as one."""
    heads = []
    for number, reader in enumerate(readers):
        record = await anext(reader, None)
        if record is not None:
            heads.append((record.seq, number, record, reader))
    heapq.heapify(heads)
    while heads:
        _, number, record, reader = heads[0]
        yield record
        following = await anext(reader, None)
        if following is None:
            heapq.heappop(heads)
        else:
            heapq.heapreplace(heads, (following.seq, number, following, reader))
