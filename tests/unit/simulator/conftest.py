"""Simulators and clients for tests, closed at the end."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from relay.simulator.options import SimulatorOptions
from relay.simulator.server import Simulator

APP = {"Authorization": "App simulator-key"}

Start = Callable[..., Awaitable[Simulator]]


@pytest.fixture
async def start(tmp_path: Path) -> AsyncIterator[Start]:
    """Starts a simulator with a ledger in `tmp_path`; keyword arguments are SimulatorOptions."""
    started: list[Simulator] = []

    async def begin(**options: Any) -> Simulator:
        simulator = Simulator(SimulatorOptions(**{"ledger": tmp_path / "ledger", **options}))
        await simulator.start()
        started.append(simulator)
        return simulator

    yield begin
    for simulator in started:
        await simulator.close()


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(headers=APP) as opened:
        yield opened


def ledger_lines(simulator: Simulator, event: str) -> list[dict[str, Any]]:
    assert simulator.ledger.path is not None
    lines = [json.loads(line) for line in simulator.ledger.path.read_text().splitlines()]
    return [line for line in lines if line["event"] == event]


def message_ids(body: bytes) -> list[str]:
    return [report["messageId"] for report in json.loads(body)["results"]]


async def read(session: aiohttp.ClientSession, url: str) -> bytes:
    async with session.get(url) as response:
        assert response.status == 200
        return await response.read()


async def until(condition: Callable[[], Any]) -> None:
    """Wait for what no event announces; the test's own time-out bounds it."""
    while not condition():  # noqa: ASYNC110 - another side's progress is only to be looked at
        await asyncio.sleep(0.005)
