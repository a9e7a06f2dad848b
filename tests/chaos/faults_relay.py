"""What is done to the process of the relay itself."""

import asyncio
import random

from tests.chaos.arena import KINDS, TRANSACTION_SECONDS, Arena

FAIL_POINTS = {
    "intake.marked": 20,
    "intake.reading": 12,
    "intake.received": 20,
    "intake.committed": 20,
    "journal.committing": 120,
    "journal.committed": 120,
    "unpack.claimed": 12,
    "unpack.recording": 12,
    "unpack.recorded": 12,
    "publish.sending": 10,
    "publish.sent": 10,
    "publish.ending": 10,
    "publish.ended": 10,
    "publish.committed": 10,
    "deliver.posted": 100,
    "deliver.recorded": 20,
    "reconcile.examined": 2,
    "reconcile.recorded": 2,
    "reconcile.ended": 1,
}
"""At which hit the process dies at the latest."""
POINT_SECONDS = 8.0
MOST_IN_A_ROW = 3


async def kill(arena: Arena, chance: random.Random) -> None:
    await asyncio.sleep(chance.uniform(0, 1))
    await arena.kill_relay("kill")
    await arena.start_relay()


async def kill_early(arena: Arena, chance: random.Random) -> None:
    """While it starts."""
    await arena.kill_relay("kill")
    arena.launch_relay()
    await asyncio.sleep(chance.uniform(0.5, 2.5))
    await arena.kill_relay("kill early")
    await arena.start_relay()


async def kill_at_point(arena: Arena, chance: random.Random) -> None:
    """At a random hit, some times one after the other."""
    await arena.kill_relay("kill")
    for _ in range(chance.randint(1, MOST_IN_A_ROW)):
        await _die_at(arena, chance, chance.choice(sorted(FAIL_POINTS)))
    await arena.start_relay()


async def _die_at(arena: Arena, chance: random.Random, point: str) -> None:
    if point.startswith("reconcile"):  # it needs a gap to come by
        await arena.inject({"what": "reset_in_body", "times": 1, "kind": chance.choice(KINDS)})
    arena.launch_relay(RELAY_FAILPOINT=f"{point}@{chance.randint(1, FAIL_POINTS[point])}")
    try:
        await arena.relay_dies(f"kill at {point}", POINT_SECONDS)
    except TimeoutError:
        await arena.kill_relay("kill, point not reached")


async def restart(arena: Arena, chance: random.Random) -> None:
    await asyncio.sleep(chance.uniform(0, 1))
    await arena.terminate_relay()
    await arena.start_relay()


async def pause(arena: Arena, chance: random.Random) -> None:
    """Longer than the transaction time-out."""
    await arena.pause_relay(TRANSACTION_SECONDS + chance.uniform(1.5, 4))
