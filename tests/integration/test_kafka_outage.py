"""A broker that dies, comes back, or hangs: nothing doubled, nothing lost, nobody waits for ever."""

import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from relay.ports import SinkError, SinkUnavailable
from tests.integration.kafka_rig import Place
from tests.integration.publish_rig import confirmed, names, running
from tests.kafka.broker import Cluster, free_ports
from tests.kafka.reader import count_keys, read_committed

pytestmark = pytest.mark.kafka


@pytest.fixture
async def place(fragile_kafka: Cluster) -> AsyncIterator[Place]:
    place = Place(fragile_kafka.bootstrap_servers)
    yield place
    await place.let_go()


async def test_nobody_listens(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    place = Place(f"127.0.0.1:{port}")
    began = time.monotonic()

    with pytest.raises(SinkUnavailable, match=rf"cannot connect to Kafka at 127\.0\.0\.1:{port}: connection refused"):
        await place.open_sink(deadline_seconds=5)

    assert time.monotonic() - began < 3
    await place.let_go()


async def test_a_broker_killed_again_and_again_each_report_once(
    fragile_kafka: Cluster, place: Place, tmp_path: Path
) -> None:
    async with running(tmp_path / "relay.db", place, deadline_seconds=6) as relay:
        await confirmed(relay)
        for round_ in range(2):
            await relay.receive(names(round_ * 1000 + 1, round_ * 1000 + 500))
            await relay.drain()
            fragile_kafka.kill()
            await relay.receive(names(round_ * 1000 + 501, round_ * 1000 + 1000))
            await relay.step_until(lambda _: bool(relay.health.degraded))
            fragile_kafka.start_brokers()
            await relay.drain()

    found = count_keys(read_committed(fragile_kafka.bootstrap_servers, place.topics.reports))
    assert dict(found) == dict.fromkeys(names(1, 2000), 1)


async def test_a_frozen_broker_holds_nobody_past_the_deadline(
    fragile_kafka: Cluster, place: Place, tmp_path: Path
) -> None:
    (broker,) = fragile_kafka.brokers
    async with running(tmp_path / "relay.db", place, deadline_seconds=4) as relay:
        await confirmed(relay)
        await relay.receive(names(1, 100))
        await relay.drain()
        await relay.receive(names(101, 200))
        broker.freeze()
        try:
            began = time.monotonic()
            await relay.publish.step()
            assert time.monotonic() - began < 8  # publishing 4 s, letting go below 1 s
            assert relay.health.degraded
            began = time.monotonic()
            with pytest.raises(SinkError):
                await relay.sink.open()
            await relay.sink.abandon()
            assert time.monotonic() - began < 8
        finally:
            broker.thaw()
        await relay.drain()

    found = count_keys(read_committed(fragile_kafka.bootstrap_servers, place.topics.reports))
    assert dict(found) == dict.fromkeys(names(1, 200), 1)


async def test_a_large_unsent_batch_does_not_hold_the_abandoning(fragile_kafka: Cluster, place: Place) -> None:
    """More than the sockets' buffers take: a polite close would wait for the frozen peer to read it."""
    (broker,) = fragile_kafka.brokers
    sink = await place.changed(compression="none").open_sink(deadline_seconds=3)
    records = place.records(range(1, 40), value=bytes(400_000))
    broker.freeze()
    try:
        with pytest.raises(SinkUnavailable):
            await sink.publish(records, 39)
        began = time.monotonic()
        await sink.abandon()
        assert time.monotonic() - began < 2
    finally:
        broker.thaw()
