"""Orderly ends: a poll in flight is finished and committed, however often the relay is told to stop."""

import asyncio
import json
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.kafka.broker import Cluster
from tests.scene.account import responses
from tests.scene.processes import until
from tests.scene.scene import Scene

pytestmark = [pytest.mark.kafka, pytest.mark.crash, pytest.mark.timeout(300)]

SLOW_ANSWERS = '{"what": "delay", "seconds": 3}'


@pytest.fixture
async def scene(tmp_path: Path, kafka: Cluster, request: pytest.FixtureRequest) -> AsyncIterator[Scene]:
    """An API with 500 reports of each kind that takes three seconds for every answer."""
    prefix = "stops-" + request.node.name.replace("_", "-").strip("[]")
    async with Scene(tmp_path, kafka, prefix, "--backlog", "500", "--rate", "0", "--fault", SLOW_ANSWERS) as scene:
        await until(lambda: _asked(scene), 20, "the relay does not poll")
        yield scene


def _asked(scene: Scene) -> bool:
    """Both polls have reached the API; their answers are on the way."""
    return json.loads(scene.simulator.get("/simulator/state"))["faults_injected"].get("delay", 0) >= 2


async def test_a_poll_in_flight_is_finished_at_sigterm(scene: Scene) -> None:
    assert await scene.relay.terminate() == 0

    handed_out = {event for response in responses(scene.simulator.ledger) for event in response}
    assert len(handed_out) == 1000
    assert await scene.published() == dict.fromkeys(handed_out, 1)


async def test_a_second_sigterm_hurries_and_loses_nothing(scene: Scene) -> None:
    scene.relay.signal(signal.SIGTERM)
    await asyncio.sleep(0.5)
    assert await scene.relay.terminate() == 0
    handed_out = {event for response in responses(scene.simulator.ledger) for event in response}
    assert len(handed_out) == 1000

    await scene.relay.start()
    await until(scene.relay.drained, 60, "what was journaled is not published")
    assert scene.relay.metric("relay_gaps_open") == 0
    assert await scene.published() == dict.fromkeys(handed_out, 1)


async def test_a_second_process_on_the_same_journal_is_refused(scene: Scene) -> None:
    exit_code, output = await scene.relay.run_beside()
    assert exit_code == 1
    assert "relay.db" in output
    assert "another process" in output


async def test_a_damaged_journal_is_refused_and_kept(scene: Scene, tmp_path: Path) -> None:
    await scene.relay.terminate()
    journal = tmp_path / "relay.db"
    with journal.open("r+b") as file:
        file.write(b"this was a journal once")
    damaged = journal.read_bytes()
    exit_code, output = await scene.relay.run_beside()
    assert exit_code == 1
    assert "relay.db" in output
    assert journal.read_bytes() == damaged
