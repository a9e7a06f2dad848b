"""A receiver that listens, and callbacks to it that are closed in the end."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from relay.config import CallbackConfig
from relay.sinks.callback import HttpCallback
from tests.receivers.callback import CallbackReceiver
from tests.unit.sinks.callback_rig import Connect


@pytest.fixture
async def receiver() -> AsyncIterator[CallbackReceiver]:
    async with CallbackReceiver() as receiver:
        yield receiver


@pytest.fixture
async def connect(receiver: CallbackReceiver) -> AsyncIterator[Connect]:
    opened: list[HttpCallback] = []

    def connect(url: str | None = None, **keys: Any) -> HttpCallback:
        callback = HttpCallback(CallbackConfig(name="billing", url=url or receiver.url, **keys))
        opened.append(callback)
        return callback

    yield connect
    for callback in opened:
        await callback.close()
