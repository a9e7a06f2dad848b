"""One stream's transactions on a real broker, read back by librdkafka."""

import asyncio
import os
import struct
import time
from collections.abc import AsyncIterator

import pytest
from aiokafka.client import AIOKafkaClient
from confluent_kafka import Producer

from relay.domain.report import Stream
from relay.ports import ProducerFenced, RecordsRefused, SinkUnavailable, StreamBlocked, TransactionIndefinite
from relay.sinks.kafka_cursor import CursorHangs, read_committed_offset
from tests.integration.kafka_rig import NOW_MS, ONE_BROKER, Place
from tests.kafka import proxy as api
from tests.kafka.broker import Cluster
from tests.kafka.proxy import KafkaProxy
from tests.kafka.reader import (
    committed_offset,
    count_keys,
    delete_committed_offset,
    read_committed,
    read_uncommitted,
)

pytestmark = pytest.mark.kafka


@pytest.fixture
async def place(kafka: Cluster) -> AsyncIterator[Place]:
    place = Place(kafka.bootstrap_servers)
    yield place
    await place.let_go()


@pytest.fixture
async def proxy(kafka: Cluster) -> AsyncIterator[KafkaProxy]:
    async with KafkaProxy(kafka.brokers[0]) as proxy:
        yield proxy


# --- what a transaction holds ---


async def test_records_and_cursor_are_committed_together(kafka: Cluster, place: Place) -> None:
    sink = await place.open_sink()
    assert await sink.read_cursor() is None

    await sink.publish(place.records(range(1, 101)), 100)

    found = read_committed(kafka.bootstrap_servers, place.topics.reports)
    assert count_keys(found) == {f"m-{seq}": 1 for seq in range(1, 101)}
    assert await sink.read_cursor() == 100
    assert committed_offset(kafka.bootstrap_servers, place.group, place.config.cursor_topic) == 101
    assert await sink.cluster_id() == kafka.cluster_id
    one = next(read for read in found if read.key == b"m-7")
    assert one.headers["ce_source"] == b"/acme/sms"
    assert one.headers["relay_journal"] == place.journal_id.encode()
    assert one.relay_seq == 7
    assert one.timestamp_ms == NOW_MS + 7


async def test_a_cursor_may_move_without_records(place: Place) -> None:
    sink = await place.open_sink()
    await sink.publish([], 0)
    assert await sink.read_cursor() == 0

    await sink.publish([], 12)

    assert await sink.read_cursor() == 12


async def test_keys_go_to_the_partitions_that_other_clients_choose(kafka: Cluster, place: Place) -> None:
    sink = await place.open_sink()
    await sink.publish(place.records(range(1, 200)), 199)
    kafka.create_topics(f"{place.name}.theirs", partitions=3)
    producer = Producer({"bootstrap.servers": kafka.bootstrap_servers, "partitioner": "murmur2_random"})
    for seq in range(1, 200):
        producer.produce(f"{place.name}.theirs", key=f"m-{seq}")
    producer.flush(20)

    ours = {read.key: read.partition for read in read_committed(kafka.bootstrap_servers, place.topics.reports)}
    theirs = {read.key: read.partition for read in read_committed(kafka.bootstrap_servers, f"{place.name}.theirs")}

    assert ours == theirs
    assert set(ours.values()) == {0, 1, 2}


async def test_each_partition_keeps_the_order_of_the_stream(kafka: Cluster, place: Place) -> None:
    sink = await place.open_sink()
    for first in range(1, 1000, 100):
        await sink.publish(place.records(range(first, first + 100)), first + 99)

    for partition in range(3):
        seqs = [read.relay_seq for read in read_committed(kafka.bootstrap_servers, place.topics.reports)
                if read.partition == partition]  # fmt: skip
        assert seqs == sorted(seqs)
        assert len(seqs) > 100


async def test_more_than_one_batch_a_partition(kafka: Cluster, place: Place) -> None:
    sink = await place.open_sink()
    records = place.records(range(1, 41), value=os.urandom(200_000))

    await sink.publish(records, 40)

    assert count_keys(read_committed(kafka.bootstrap_servers, place.topics.reports)).total() == 40


# --- what is refused ---


async def test_a_record_too_large_is_refused_and_nothing_of_its_transaction_committed(
    kafka: Cluster, place: Place
) -> None:
    sink = await place.open_sink()
    await sink.publish(place.records([1]), 1)
    large = place.records([3], value=os.urandom(1_200_000))

    with pytest.raises(RecordsRefused, match="MESSAGE_SIZE_TOO_LARGE"):
        await sink.publish(place.records([2]) + large + place.records([4]), 4)
    await sink.open()

    assert await sink.read_cursor() == 1
    await sink.publish(place.records([2, 4]), 4)
    assert count_keys(read_committed(kafka.bootstrap_servers, place.topics.reports)) == {"m-1": 1, "m-2": 1, "m-4": 1}


async def test_a_large_record_that_compresses_well_passes(kafka: Cluster, place: Place) -> None:
    sink = await place.open_sink()

    await sink.publish(place.records([1], value=b"x" * 5_000_000), 1)

    (read,) = read_committed(kafka.bootstrap_servers, place.topics.reports)
    assert len(read.value) == 5_000_000


async def test_a_clock_that_is_ahead_blocks_the_stream(kafka: Cluster, place: Place) -> None:
    kafka.create_topics(place.topics.reports, config={"message.timestamp.after.max.ms": "1000"})
    sink = await place.open_sink()
    (record,) = place.records([1])
    tomorrow_ms = time.time_ns() // 1_000_000 + 86_400_000

    with pytest.raises(StreamBlocked, match="INVALID_TIMESTAMP"):
        await sink.publish([record._replace(timestamp_ms=tomorrow_ms)], 1)


async def test_a_time_out_above_the_brokers_maximum_is_named(place: Place) -> None:
    with pytest.raises(StreamBlocked, match="transaction_timeout_seconds"):
        await place.changed(transaction_timeout_seconds=3600.0).open_sink()


# --- topics ---


async def test_a_missing_topic_is_named_and_not_created_by_asking(kafka: Cluster, place: Place) -> None:
    kafka.create_topics(place.topics.reports, place.topics.revisions, place.config.cursor_topic)
    strict = place.changed(create_topics=None)

    with pytest.raises(StreamBlocked, match=rf"do not exist: {place.topics.quarantine};.*kafka\.create_topics"):
        await strict.open_sink()

    assert place.topics.quarantine not in kafka.admin().list_topics(timeout=10).topics


async def test_topics_are_created_as_configured_and_others_left_as_they_are(kafka: Cluster, place: Place) -> None:
    kafka.create_topics(place.topics.revisions, partitions=5)

    await place.open_sink()

    topics = kafka.admin().list_topics(timeout=10).topics
    assert len(topics[place.topics.reports].partitions) == 3
    assert len(topics[place.topics.revisions].partitions) == 5
    assert len(topics[place.topics.quarantine].partitions) == 3
    assert len(topics[place.config.cursor_topic].partitions) == 1


async def test_two_streams_may_create_the_same_topics_at_once(place: Place) -> None:
    second = place.changed()
    second.stream = Stream("other", "sms")

    await asyncio.gather(place.open_sink(), second.open_sink())


async def test_more_replicas_than_brokers_is_named(place: Place) -> None:
    with pytest.raises(StreamBlocked, match="replication_factor"):
        await place.changed(create_topics=ONE_BROKER.model_copy(update={"replication_factor": 3})).open_sink()


async def test_a_topic_deleted_under_way_blocks_the_stream_and_stays_deleted(kafka: Cluster, place: Place) -> None:
    await (await place.open_sink()).abandon()
    sink = await place.changed(create_topics=None).open_sink()
    await sink.publish(place.records([1]), 1)
    kafka.delete_topics(place.topics.reports)
    began = time.monotonic()

    with pytest.raises(StreamBlocked, match=place.topics.reports):
        await sink.publish(place.records([2]), 2)

    assert time.monotonic() - began < 10
    with pytest.raises(StreamBlocked, match="do not exist"):
        await sink.open()
    assert place.topics.reports not in kafka.admin().list_topics(timeout=10).topics
    kafka.create_topics(place.topics.reports)
    await sink.open()
    assert await sink.read_cursor() == 1
    await sink.publish(place.records([2]), 2)


# --- the end of a transaction in doubt ---


async def test_abandoned_between_sending_and_committing_nothing_is_seen(
    kafka: Cluster, place: Place, proxy: KafkaProxy
) -> None:
    sink = await place.via(proxy.bootstrap_servers).open_sink(deadline_seconds=3)
    await sink.publish(place.records([1]), 1)
    proxy.lose_requests.add(api.TXN_OFFSET_COMMIT)

    with pytest.raises(SinkUnavailable):
        await sink.publish(place.records([2, 3]), 3)
    await sink.abandon()
    again = await place.open_sink()

    assert await again.read_cursor() == 1
    await again.publish(place.records([2, 3]), 3)
    assert count_keys(read_committed(kafka.bootstrap_servers, place.topics.reports)) == {"m-1": 1, "m-2": 1, "m-3": 1}
    assert count_keys(read_uncommitted(kafka.bootstrap_servers, place.topics.reports))["m-2"] == 2


async def test_the_answer_to_a_commit_is_lost_the_cursor_tells(kafka: Cluster, place: Place, proxy: KafkaProxy) -> None:
    sink = await place.via(proxy.bootstrap_servers).open_sink(deadline_seconds=3)
    proxy.lose_answers.add(api.END_TXN)

    with pytest.raises(TransactionIndefinite):
        await sink.publish(place.records([1, 2]), 2)
    await asyncio.sleep(0.5)  # time to send it again, if it did

    assert proxy.count(api.END_TXN) == 1
    again = await place.open_sink()
    assert await again.read_cursor() == 2
    assert count_keys(read_committed(kafka.bootstrap_servers, place.topics.reports)) == {"m-1": 1, "m-2": 1}


async def test_a_commit_that_never_arrived_is_aborted(kafka: Cluster, place: Place, proxy: KafkaProxy) -> None:
    sink = await place.via(proxy.bootstrap_servers).open_sink(deadline_seconds=3)
    proxy.lose_requests.add(api.END_TXN)

    with pytest.raises(TransactionIndefinite):
        await sink.publish(place.records([1, 2]), 2)

    again = await place.open_sink()
    assert await again.read_cursor() is None
    assert read_committed(kafka.bootstrap_servers, place.topics.reports) == []


async def test_a_late_copy_of_a_commit_ends_no_later_transaction(
    kafka: Cluster, place: Place, proxy: KafkaProxy
) -> None:
    sink = await place.via(proxy.bootstrap_servers).open_sink(deadline_seconds=3)
    proxy.lose_requests.add(api.END_TXN)
    with pytest.raises(TransactionIndefinite):
        await sink.publish(place.records([1, 2]), 2)
    late = proxy.last(api.END_TXN)
    await sink.open()
    with pytest.raises(TransactionIndefinite):
        await sink.publish(place.records([1, 2, 3]), 3)  # open in the broker: its EndTxn was lost, too

    answer = await proxy.send_copy(late)

    (error_code,) = struct.unpack(">h", answer[8:10])
    assert error_code == 47  # INVALID_PRODUCER_EPOCH
    again = await place.open_sink()
    assert await again.read_cursor() is None
    assert read_committed(kafka.bootstrap_servers, place.topics.reports) == []


async def test_the_cursor_is_not_told_while_a_commit_is_pending(
    kafka: Cluster, place: Place, proxy: KafkaProxy
) -> None:
    sink = await place.via(proxy.bootstrap_servers).open_sink(deadline_seconds=3)
    await sink.publish(place.records([1]), 1)
    proxy.lose_requests.add(api.END_TXN)
    with pytest.raises(TransactionIndefinite):
        await sink.publish(place.records([2]), 2)
    client = AIOKafkaClient(bootstrap_servers=kafka.bootstrap_servers)
    await client.bootstrap()
    try:
        with pytest.raises(CursorHangs):
            await read_committed_offset(client, place.group, place.config.cursor_topic, 0, patience_seconds=1)

        again = await place.open_sink()  # ends what is pending

        offset = await read_committed_offset(client, place.group, place.config.cursor_topic, 0, patience_seconds=5)
        assert offset == 2
        assert await again.read_cursor() == 1
    finally:
        await client.close()


async def test_another_producer_of_the_same_id_fences_this_one(kafka: Cluster, place: Place) -> None:
    first = await place.open_sink()
    await first.publish(place.records([1]), 1)
    second = await place.open_sink()

    with pytest.raises(ProducerFenced):
        await first.publish(place.records([2]), 2)

    await second.publish(place.records([2]), 2)
    assert count_keys(read_committed(kafka.bootstrap_servers, place.topics.reports)) == {"m-1": 1, "m-2": 1}


async def test_a_transaction_that_timed_out_looks_fenced(place: Place) -> None:
    sink = await place.changed(transaction_timeout_seconds=1.0).open_sink()
    producer = sink._opened()
    await producer.begin_transaction()
    await sink._deliver(producer, place.records([1]))
    await asyncio.sleep(3)  # the broker looks every half second for what is over its time

    with pytest.raises(ProducerFenced):
        async with sink._within(10, "committing"):
            await producer.commit_transaction()


async def test_nothing_of_an_abandoned_producer_stays(place: Place) -> None:
    before = asyncio.all_tasks()
    sink = await place.open_sink()
    await sink.publish(place.records([1]), 1)

    await sink.abandon()
    await sink.abandon()

    assert asyncio.all_tasks() == before
    with pytest.raises(SinkUnavailable):
        await sink.publish([], 1)


# --- a lost cursor, a journal from a backup ---


async def test_a_deleted_cursor_is_missing_and_the_tail_knows_the_last_seq(kafka: Cluster, place: Place) -> None:
    sink = await place.open_sink()
    await sink.publish(place.records(range(1, 700)), 699)
    delete_committed_offset(kafka.bootstrap_servers, place.group, place.config.cursor_topic)

    assert await sink.read_cursor() is None
    assert await sink.last_published_seq() == 699


async def test_the_tail_counts_only_what_this_stream_has_committed(kafka: Cluster, place: Place) -> None:
    sink = await place.open_sink()
    assert await sink.last_published_seq() is None
    await sink.publish(place.records(range(1, 41)), 40)
    other_journal = Place(kafka.bootstrap_servers).changed(**{
        key: getattr(place.config, key) for key in ("topic", "revisions_topic", "quarantine_topic", "cursor_topic")
    })  # fmt: skip
    other_stream = place.changed()
    other_stream.stream = Stream("other", "sms")
    for foreign in (other_journal, other_stream):
        foreign_sink = await foreign.open_sink()
        await foreign_sink.publish(foreign.records(range(1, 1001)), 1000)
        await foreign_sink.abandon()
    with pytest.raises(RecordsRefused):  # aborted: these are not ours either
        await sink.publish(place.records([41]) + place.records([42], value=os.urandom(1_200_000)), 42)
    await sink.open()

    assert await sink.last_published_seq() == 40


async def test_the_tail_waits_for_the_end_of_a_transaction_that_hides_ours(
    kafka: Cluster, place: Place, proxy: KafkaProxy
) -> None:
    sink = await place.open_sink()
    other = place.via(proxy.bootstrap_servers)
    other.stream = Stream("other", "sms")
    slow = await other.open_sink(deadline_seconds=2)
    proxy.lose_requests.add(api.END_TXN)
    with pytest.raises(TransactionIndefinite):
        await slow.publish(other.records(range(1, 50)), 49)
    await sink.publish(place.records(range(1, 50)), 49)

    reading = asyncio.create_task(sink.last_published_seq())
    done, _ = await asyncio.wait([reading], timeout=1)
    assert not done
    proxy.lose_requests.clear()
    await slow.open()

    assert await asyncio.wait_for(reading, 20) == 49


async def test_published_records_are_read_back_ascending_and_in_pages(place: Place) -> None:
    sink = await place.open_sink()
    for first in range(1, 5001, 1000):
        await sink.publish(place.records(range(first, first + 1000)), first + 999)

    pages = []
    after = 300
    while page := await sink.read_published(after):
        pages.append(len(page))
        assert [record.seq for record in page] == list(range(after + 1, after + 1 + len(page)))
        after = page[-1].seq

    assert after == 5000
    assert pages == [2000, 2000, 700]
    (record,) = await sink.read_published(4999)
    assert (record.key, dict(record.headers)["relay_seq"]) == (b"m-5000", b"5000")


# --- without transactions ---


async def test_idempotent_delivery_needs_no_transaction(kafka: Cluster, place: Place) -> None:
    sink = await place.changed(delivery="idempotent").open_sink()

    await sink.publish(place.records(range(1, 301)), 300)

    assert count_keys(read_committed(kafka.bootstrap_servers, place.topics.reports)).total() == 300
    assert await sink.read_cursor() is None
    assert committed_offset(kafka.bootstrap_servers, place.group, place.config.cursor_topic) is None
