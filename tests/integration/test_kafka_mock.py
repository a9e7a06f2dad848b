"""Idempotent delivery to librdkafka's mock cluster, which knows no transactions: what the demo publishes to."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient

from tests.integration.kafka_rig import Place
from tests.integration.publish_rig import confirmed, names, running
from tests.kafka.reader import count_keys, read_committed


@pytest.fixture
def mock_servers() -> Iterator[str]:
    cluster = AdminClient({"test.mock.num.brokers": 1, "log_level": 0})
    brokers = cluster.list_topics(timeout=10).brokers.values()
    yield ",".join(f"{broker.host}:{broker.port}" for broker in brokers)
    del cluster


async def test_reports_arrive(mock_servers: str, tmp_path: Path) -> None:
    place = Place(mock_servers, delivery="idempotent")
    async with running(tmp_path / "relay.db", place) as relay:
        await confirmed(relay)
        await relay.receive(names(1, 2000))
        await relay.drain()

        local = await relay.journal.local_cursor(place.stream)
        assert local is not None
        assert local.position == 2000
    found = count_keys(read_committed(mock_servers, place.topics.reports))
    assert dict(found) == dict.fromkeys(names(1, 2000), 1)
