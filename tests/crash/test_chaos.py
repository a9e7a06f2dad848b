"""A short run of the chaos suite, with faults that heal quickly, then exact counts. `make chaos` is the long one."""

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.chaos.campaign import Plan, run
from tests.kafka.broker import Cluster
from tests.scene.processes import environment_number

pytestmark = [pytest.mark.kafka, pytest.mark.crash, pytest.mark.timeout(600)]

SECONDS = environment_number("RELAY_CHAOS_SECONDS", 30)
AT_LEAST = 6
"""Faults, however long the first take to heal."""
QUICK = (
    "kill",
    "kill-at-point",
    "pause",
    "broker-kill",
    "cut",
    "commit-unheard",
    "cursor-unreadable",
    "cursor-deleted",
    "id-stolen",
    "oversized",
    "garbage",
    "api-reset",
    "api-reset-before",
    "api-502",
    "callback-500",
    "callback-close",
)


async def test_faults_of_every_kind_lose_and_double_nothing(tmp_path: Path, new_kafka: Callable[..., Cluster]) -> None:
    seed = environment_number("RELAY_SEED", random.randrange(1_000_000))
    print(f"RELAY_SEED={seed}")
    outcome = await run(Plan(seed=seed, seconds=SECONDS, at_least=AT_LEAST, faults=QUICK), tmp_path, new_kafka())
    print(outcome.told())
    assert outcome.green, outcome.told()
    assert outcome.verdict.counts["events handed out"] > 1000
