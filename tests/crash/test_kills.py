"""SIGKILL at random moments: what is lost was in flight between the API and the journal, and shows as a gap."""

import asyncio
import random
from pathlib import Path

import pytest

from tests.kafka.broker import Cluster
from tests.scene.account import lost_responses, responses
from tests.scene.processes import environment_number
from tests.scene.scene import Scene

pytestmark = [pytest.mark.kafka, pytest.mark.crash, pytest.mark.timeout(900)]

REPORTS = environment_number("RELAY_E2E_REPORTS", 20_000)
KILLS = 5


async def test_kills_lose_only_what_was_in_flight_and_show_it(tmp_path: Path, kafka: Cluster) -> None:
    seed = environment_number("RELAY_SEED", random.randrange(1_000_000))
    print(f"RELAY_SEED={seed}")
    chance = random.Random(seed)
    traffic = ["--total", str(REPORTS // 2), "--rate", "2500", "--duplicates", "0.02", "--revisions", "0.02"]
    async with Scene(tmp_path, kafka, "kills", *traffic) as scene:
        for _ in range(KILLS):
            await asyncio.sleep(chance.uniform(0.2, 1.5))
            scene.relay.kill()
            await scene.relay.start()
        await scene.finished(600)

        handed_out = responses(scene.simulator.ledger)
        published = await scene.published()
        lost = lost_responses(handed_out, published)
        arrived = {event for response in handed_out if response not in lost for event in response}
        assert published == dict.fromkeys(arrived, 1)
        assert set(scene.callbacks.received) == arrived
        assert scene.callbacks.refused == 0
        for kind in ("sms", "voice"):
            lost_of_kind = [response for response in lost if response[0][0] == kind]
            gaps = scene.relay.metric("relay_gaps_open", source="acme", kind=kind)
            assert len(lost_of_kind) <= KILLS
            assert gaps > 0 or not lost_of_kind
        assert await scene.relay.terminate() == 0
