"""A journal with deliverers, and a callback receiver for them."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.integration.callback_house import House
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
