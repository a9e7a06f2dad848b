"""A checker that never objects proves nothing: the relay is built wrong, one way at a time, and must be found out."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.chaos.arena import Arena
from tests.chaos.checker import Verdict, judge
from tests.chaos.faults_journal import restore_backup, take_backup
from tests.kafka.broker import Cluster
from tests.kafka.proxy import OFFSET_FETCH
from tests.scene.processes import until

pytestmark = [pytest.mark.kafka, pytest.mark.crash, pytest.mark.timeout(240)]

SABOTAGE = str(Path(__file__).resolve().parents[1] / "sabotage")
RATE = 60
TRAFFIC = ("--rate", str(RATE), "--duplicates", "0.05", "--revisions", "0.05", "--final-only")
SECONDS = 4
"""Of traffic for each provocation."""
DRAIN_SECONDS = 60.0
SPOILED_DRAIN_SECONDS = 20.0
"""Some that are spoiled never come to rest."""
ATTEMPTS = 3


async def nothing(arena: Arena) -> None:
    """What flows anyway is enough."""


async def garbage(arena: Arena) -> None:
    await arena.put_garbage("sms", "broken")
    await arena.put_garbage("voice", "nameless")


async def oversized(arena: Arena) -> None:
    await arena.put_oversized("sms", random.Random(1))


async def reset_before_the_answer(arena: Arena) -> None:
    """One at a time: a connection that was just made is not used a second time, and its request is not repeated."""
    for _ in range(4):
        await arena.inject({"what": "reset_before", "consumes": True, "times": 1})
        await asyncio.sleep(1)


async def killed_between_records_and_cursor(arena: Arena) -> None:
    """At the start, since the point belongs to the sabotage; a relay that is well has none and is killed anyway."""
    await arena.kill_relay("kill")
    arena.launch_relay(RELAY_SABOTAGE_DIES="1")
    with suppress(TimeoutError):
        await arena.relay_dies("kill between records and cursor", 10)
    await arena.kill_relay("kill")
    await arena.start_relay()


async def cursor_unreadable(arena: Arena) -> None:
    """Killed when Kafka is ahead of the journal's copy, and then nobody answers where it stands."""
    await arena.kill_relay("kill")
    arena.launch_relay(RELAY_FAILPOINT="publish.committed@4")
    ends = asyncio.create_task(arena.relay_dies("kill at publish.committed", 30))
    for portion in range(100):
        if ends.done():
            break
        await arena.put_reports("sms", [f"more-{portion}-{number}" for number in range(10)])
        await asyncio.wait([ends], timeout=0.3)
    await ends
    for proxy in arena.proxies:
        proxy.lose_answers.add(OFFSET_FETCH)
    await arena.start_relay()
    await asyncio.sleep(2.5)
    for proxy in arena.proxies:
        proxy.lose_answers.discard(OFFSET_FETCH)


async def stopped_while_it_polls(arena: Arena) -> None:
    """SIGTERM, and the answers to come take a second."""
    await arena.inject({"what": "delay", "seconds": 1.5, "times": 4})
    await arena.put_reports("sms", [f"stopping-{number}" for number in range(20)])
    await asyncio.sleep(0.7)
    await arena.terminate_relay()
    await arena.start_relay()


async def backup_restored(arena: Arena) -> None:
    """What came after the backup comes once more after it was put back. Before anything opens a gap, which a backup
    would have to be spared."""
    chance = random.Random(1)
    await take_backup(arena, chance)
    ids = [f"forgotten-{number}" for number in range(20)]
    await arena.put_reports("sms", ids)
    await restore_backup(arena, chance)
    assert arena.past_journals, "the backup was not put back"
    await arena.put_reports("sms", ids)


class Sabotage(NamedTuple):
    provocation: Callable[[Arena], Awaitable[None]]
    found_by: frozenset[str]
    """Rules of which at least one must object."""


SABOTAGES = {
    "backup-forgets": Sabotage(backup_restored, frozenset({"each_once"})),
    "parse-first": Sabotage(garbage, frozenset({"nothing_lost", "losses_are_gaps"})),
    "cursor-outside": Sabotage(killed_between_records_and_cursor, frozenset({"each_once", "seqs_are_gapless"})),
    "sends-unawaited": Sabotage(oversized, frozenset({"nothing_lost", "seqs_are_gapless"})),
    "error-is-missing": Sabotage(cursor_unreadable, frozenset({"each_once", "seqs_are_gapless"})),
    "no-dedup": Sabotage(nothing, frozenset({"each_once"})),
    "poll-cancelled": Sabotage(stopped_while_it_polls, frozenset({"nothing_lost_in_orderly_ends"})),
    "get-repeated": Sabotage(reset_before_the_answer, frozenset({"losses_are_gaps"})),
}


@pytest.mark.parametrize("name", SABOTAGES)
async def test_a_relay_built_wrong_is_found_out(name: str, tmp_path: Path, kafka: Cluster) -> None:
    """A provocation may miss its moment on a slow machine: then it is made again."""
    objections: list[str] = []
    for attempt in range(ATTEMPTS):
        directory = tmp_path / str(attempt)
        directory.mkdir()
        verdict = await verdict_on(directory, kafka, name, SABOTAGES[name].provocation, prefix=f"{name}-{attempt}")
        objections += verdict.objections
        if {objection.split(":")[0] for objection in verdict.objections} & SABOTAGES[name].found_by:
            return
    pytest.fail(f"{name} was not found out: {objections}")


async def test_the_relay_as_it_is_passes_all_that_provokes_the_others(tmp_path: Path, kafka: Cluster) -> None:
    verdict = await verdict_on(
        tmp_path, kafka, "", *dict.fromkeys(sabotage.provocation for sabotage in SABOTAGES.values())
    )
    assert verdict.green, verdict.objections
    assert verdict.counts["responses lost in flight"] > 0


@asynccontextmanager
async def reports_flowing(arena: Arena) -> AsyncIterator[None]:
    """Something that can be lost or doubled, however late a slow machine comes to it: the traffic may be over."""
    over = asyncio.Event()

    async def flow() -> None:
        portion = 0
        while not over.is_set():
            for kind in ("sms", "voice"):
                await arena.put_reports(kind, [f"flowing-{kind}-{portion}-{number}" for number in range(10)])
            portion += 1
            await asyncio.sleep(0.3)

    flowing = asyncio.create_task(flow())
    try:
        yield
    finally:
        over.set()
        await flowing


async def verdict_on(
    directory: Path,
    kafka: Cluster,
    sabotage: str,
    *provocations: Callable[[Arena], Awaitable[None]],
    prefix: str = "none",
) -> Verdict:
    environment = {"RELAY_SABOTAGE": sabotage, "PYTHONPATH": SABOTAGE} if sabotage else {}
    traffic = [*TRAFFIC, "--total", str(RATE * SECONDS * len(provocations))]
    async with Arena(
        directory, kafka, *traffic, prefix=f"sabotage-{prefix}", recovers=False, environment=environment
    ) as arena:
        await arena.start_relay()
        with suppress(AssertionError):  # a provocation before the first answers would provoke nothing
            await until(lambda: arena.relay.metric("relay_reports_total") > 0, 20, "nothing was polled")
        await asyncio.sleep(1)
        async with reports_flowing(arena):
            for provoke in provocations:
                await provoke(arena)
        with suppress(AssertionError):  # what was spoiled may never come to rest
            await arena.drained(SPOILED_DRAIN_SECONDS if sabotage else DRAIN_SECONDS)
        await arena.terminate_relay()
        return judge(await asyncio.to_thread(arena.evidence))
