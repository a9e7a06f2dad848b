"""SIGKILL between any two durable steps: what the journal had committed arrives once, what was in flight is a gap."""

import asyncio
import sqlite3
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from signal import SIGKILL
from typing import NamedTuple

import pytest

from relay.observe.failpoints import Point
from tests.chaos.arena import Arena
from tests.chaos.campaign import FIRST_SECONDS
from tests.chaos.checker import judge
from tests.chaos.faults_relay import FAIL_POINTS
from tests.kafka.broker import Cluster
from tests.scene.account import Event, lost_responses, responses
from tests.scene.scene import Scene

pytestmark = [pytest.mark.kafka, pytest.mark.crash, pytest.mark.timeout(120)]

TRAFFIC = (
    "--kind",
    "sms",
    "--backlog",
    "200",
    "--rate",
    "400",
    "--total",
    "800",
    "--duplicates",
    "0.05",
    "--revisions",
    "0.05",
)


# `limit` 100 below: several responses and several transactions, also where all waits before the relay has started.


class Kill(NamedTuple):
    """Where, and what an operator finds afterwards. `lost`: responses; None: 0 or 1, as the poller was idle or not."""

    point: str
    hit: int
    lost: int | None = None
    gap: bool | None = None
    """None: as there was a loss."""
    again: bool = False
    """Some report has come to the callback twice."""


KILLS = (
    Kill("intake.marked", 2, lost=0, gap=True),
    Kill("intake.reading", 1, lost=1, gap=True),
    Kill("intake.received", 1, lost=1, gap=True),
    Kill("intake.committed", 1, lost=0, gap=False),
    Kill("journal.committing", 25),
    Kill("journal.committed", 25),
    Kill("unpack.claimed", 2),
    Kill("unpack.recording", 2),
    Kill("unpack.recorded", 2),
    Kill("publish.sending", 2),
    Kill("publish.sent", 2),
    Kill("publish.ending", 1),
    Kill("publish.ending", 2),
    Kill("publish.ended", 1),
    Kill("publish.ended", 2),
    Kill("publish.committed", 2),
    Kill("deliver.posted", 100, again=True),
    Kill("deliver.recorded", 2),
)
RECOVERING = ("reconcile.examined", "reconcile.recorded", "reconcile.ended")
REPLAYING = ("replay.fed",)
"""Killed in tests/e2e/test_replay.py: nothing comes to it unless somebody asks for a replay."""
RECOVERABLE = ("--rate", "60", "--total", "480", "--final-only")


def test_every_point_is_tried() -> None:
    assert {kill.point for kill in KILLS} | {*RECOVERING, *REPLAYING} == set(Point)
    assert {*FAIL_POINTS, *REPLAYING} == set(Point)


@pytest.mark.parametrize("kill", KILLS, ids=lambda kill: f"{kill.point}@{kill.hit}")
async def test_a_kill_at_a_point_loses_and_doubles_nothing_that_was_journaled(
    kill: Kill, tmp_path: Path, kafka: Cluster
) -> None:
    prefix = f"point-{kill.point}-{kill.hit}"
    async with Scene(tmp_path, kafka, prefix, *TRAFFIC, endpoints="[sms]", limit=100, started=False) as scene:
        scene.relay.launch(RELAY_FAILPOINT=f"{kill.point}@{kill.hit}")
        assert await scene.relay.ended(30) == -SIGKILL, scene.relay.tail()
        in_flight = responses(scene.simulator.ledger)[-1:]
        await scene.relay.start()
        await scene.finished(60)

        handed_out = responses(scene.simulator.ledger)
        published = await scene.published()
        lost = lost_responses(handed_out, published)
        arrived = {event for response in handed_out if response not in lost for event in response}
        assert published == dict.fromkeys(arrived, 1)
        assert lost in ([], in_flight)
        assert kill.lost in (None, len(lost))
        assert (scene.relay.metric("relay_gaps_open") > 0) in _gap_expected(kill, lost)
        _check_callbacks(scene, arrived, again=kill.again)
        assert await scene.relay.terminate() == 0
        assert _integrity(tmp_path / "relay.db") == [("ok",)]


@pytest.mark.parametrize("point", RECOVERING)
async def test_a_kill_while_a_gap_is_compared_loses_and_doubles_nothing(
    point: str, tmp_path: Path, kafka: Cluster
) -> None:
    async with Arena(tmp_path, kafka, *RECOVERABLE, prefix=f"point-{point}") as arena:
        await arena.start_relay(RELAY_FAILPOINT=point)
        await arena.flowing(30, time.time())
        await asyncio.sleep(FIRST_SECONDS)
        await arena.inject({"what": "reset_in_body", "times": 3, "cut": 0.1})
        await arena.relay_dies(f"kill at {point}", 30)
        await arena.start_relay()
        await arena.drained(60)
        await arena.terminate_relay()
        verdict = judge(await asyncio.to_thread(arena.evidence))
    # How much came back depends on the moment: on a slow machine the read that broke may have been an empty one.
    assert verdict.green, verdict.objections


def _gap_expected(kill: Kill, lost: Sequence[object]) -> set[bool]:
    """A poll that was in flight and would have brought nothing is a gap as well."""
    if kill.gap is not None:
        return {kill.gap}
    return {True} if lost else {True, False}


def _check_callbacks(scene: Scene, arrived: set[Event], *, again: bool) -> None:
    assert set(scene.callbacks.received) == arrived
    assert scene.callbacks.refused == 0
    assert {len(ids) for ids in scene.callbacks.ids_of.values()} == {1}
    assert not again or max(scene.callbacks.received.values()) > 1


def _integrity(journal: Path) -> list[tuple[str]]:
    with closing(sqlite3.connect(f"file:{journal}?mode=ro", uri=True)) as db:
        return db.execute("PRAGMA integrity_check").fetchall()
