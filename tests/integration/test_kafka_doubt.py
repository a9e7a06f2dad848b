"""Transactions whose end is in doubt, and cursors that are lost: on a real broker, what it says decides."""

import asyncio
import os
import struct

import pytest
from aiokafka.client import AIOKafkaClient

from relay.domain.report import Stream
from relay.ports import ProducerFenced, RecordsRefused, SinkUnavailable, TransactionIndefinite
from relay.sinks.kafka_cursor import CursorHangs, read_committed_offset
from tests.integration.kafka_rig import Place
from tests.kafka import proxy as api
from tests.kafka.broker import Cluster
from tests.kafka.proxy import KafkaProxy
from tests.kafka.reader import (
    count_keys,
    delete_committed_offset,
    read_committed,
    read_uncommitted,
)

pytestmark = pytest.mark.kafka


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

        committed = await read_committed_offset(client, place.group, place.config.cursor_topic, 0, patience_seconds=5)
        assert committed is not None
        assert committed.offset == 2
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
