"""The main job as a user runs it, against `relay simulate` and Apache Kafka."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.kafka.broker import Cluster
from tests.scene.account import responses
from tests.scene.processes import environment_number
from tests.scene.scene import Scene

pytestmark = [pytest.mark.kafka, pytest.mark.e2e, pytest.mark.timeout(900)]

REPORTS = environment_number("RELAY_E2E_REPORTS", 20_000)
"""Of both kinds together; 100,000 takes some minutes."""


@pytest.fixture
async def scene(tmp_path: Path, kafka: Cluster) -> AsyncIterator[Scene]:
    traffic = ["--total", str(REPORTS // 2), "--rate", "2500", "--duplicates", "0.02", "--revisions", "0.02"]
    async with Scene(tmp_path, kafka, "main-job", *traffic) as scene:
        yield scene


async def test_every_report_is_in_kafka_once_and_at_the_callback(scene: Scene) -> None:
    await scene.finished(600)
    assert scene.relay.metric("relay_gaps_open") == 0
    assert await scene.relay.terminate() == 0

    expected = {event for response in responses(scene.simulator.ledger) for event in response}
    assert len(expected) > 0.9 * REPORTS
    assert await scene.published() == dict.fromkeys(expected, 1)
    assert scene.callbacks.received == dict.fromkeys(expected, 1)
    assert scene.callbacks.refused == 0
