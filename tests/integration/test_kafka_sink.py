"""One stream's transactions on a real broker, read back by librdkafka."""

import asyncio
import os
import time

import pytest
from confluent_kafka import Producer
from msgspec.structs import replace

from relay.domain.report import Stream
from relay.ports import RecordsRefused, StreamBlocked
from tests.integration.kafka_rig import NOW_MS, ONE_BROKER, Place
from tests.kafka.broker import Cluster
from tests.kafka.reader import (
    committed_offset,
    count_keys,
    read_committed,
)

pytestmark = pytest.mark.kafka


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
        await sink.publish([replace(record, timestamp_ms=tomorrow_ms)], 1)


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


# --- without transactions ---


async def test_idempotent_delivery_needs_no_transaction(kafka: Cluster, place: Place) -> None:
    sink = await place.changed(delivery="idempotent").open_sink()

    await sink.publish(place.records(range(1, 301)), 300)

    assert count_keys(read_committed(kafka.bootstrap_servers, place.topics.reports)).total() == 300
    assert await sink.read_cursor() is None
    assert committed_offset(kafka.bootstrap_servers, place.group, place.config.cursor_topic) is None
