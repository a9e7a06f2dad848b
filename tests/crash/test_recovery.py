"""Broken reads and kills, and the logs afterwards: what was lost in flight comes back, and every gap says so."""

import asyncio
import random
from pathlib import Path

import pytest

from tests.kafka.broker import Cluster
from tests.scene.account import Event, responses
from tests.scene.processes import environment_number, until
from tests.scene.scene import Scene

pytestmark = [pytest.mark.kafka, pytest.mark.crash, pytest.mark.timeout(1200)]

SECONDS = environment_number("RELAY_RECOVERY_SECONDS", 15)
"""Of traffic; five minutes is the long run."""
RATE = 250
"""Reports a second of each kind."""
RECONCILE = "{enabled: true, settle_seconds: 5, requests_per_minute: 6000}"


async def test_what_broken_reads_and_kills_lost_comes_back_from_the_logs(tmp_path: Path, kafka: Cluster) -> None:
    seed = environment_number("RELAY_SEED", random.randrange(1_000_000))
    print(f"RELAY_SEED={seed}")
    chance = random.Random(seed)
    traffic = ["--rate", str(RATE), "--total", str(RATE * SECONDS), "--duplicates", "0.02", "--seed", str(seed)]
    faults = ["--fault", "reset_in_body=0.2", "--fault", '{"what": "delay", "seconds": 3, "rate": 0.02}']
    async with Scene(
        tmp_path, kafka, f"recovery-{seed}", *traffic, *faults, reconcile=RECONCILE, timeout_seconds=2, relay_first=True
    ) as scene:
        ends_at = asyncio.get_running_loop().time() + SECONDS
        kills = 0
        while asyncio.get_running_loop().time() < ends_at:
            await asyncio.sleep(chance.uniform(2, 8))
            scene.relay.kill()
            kills += 1
            await scene.relay.start()
        await until(scene.simulator.drained, 300, "the simulator still has reports")
        scene.simulator.clear_faults()  # or each of them opens another gap
        await scene.finished(300)
        await until(lambda: scene.relay.metric("relay_gaps_open") == 0, 300, f"gaps stay open:\n{scene.relay.tail()}")
        await scene.finished(60)

        handed_out = {event for response in responses(scene.simulator.ledger) for event in response}
        assert len(handed_out) > 1.8 * RATE * SECONDS * 0.9
        published = await scene.published()
        assert set(published.values()) == {1}
        assert _final(handed_out) <= set(published) <= handed_out
        assert set(scene.callbacks.received) == set(published)
        assert kills > 0
        assert scene.relay.metric("relay_gaps_ended_total", result="incomplete") == 0
        assert scene.relay.metric("relay_gaps_ended_total", result="expired") == 0
        assert await scene.relay.terminate() == 0


def _final(events: set[Event]) -> set[Event]:
    """The logs are asked for final outcomes alone: a lost "still on its way" is not worth a report of its own."""
    return {event for event in events if event[2] != "7:0"}
