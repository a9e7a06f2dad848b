"""A journal with deliverers and a callback receiver for them; a place of its own in Kafka, and a proxy to break."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.integration.callback_house import House
from tests.integration.kafka_rig import Place
from tests.kafka.broker import Cluster
from tests.kafka.proxy import KafkaProxy
from tests.receivers.callback import CallbackReceiver


@pytest.fixture
async def house(tmp_path: Path, receiver: CallbackReceiver) -> AsyncIterator[House]:
    house = House(tmp_path / "relay.db")
    await house.open()
    yield house
    await house.stop()


@pytest.fixture
async def receiver() -> AsyncIterator[CallbackReceiver]:
    async with CallbackReceiver() as receiver:
        yield receiver


@pytest.fixture
async def place(kafka: Cluster) -> AsyncIterator[Place]:
    """Topics and a transactional id of its own."""
    place = Place(kafka.bootstrap_servers)
    yield place
    await place.let_go()


@pytest.fixture
async def proxy(kafka: Cluster) -> AsyncIterator[KafkaProxy]:
    async with KafkaProxy(kafka.brokers[0]) as proxy:
        yield proxy
