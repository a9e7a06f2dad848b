"""What a wall clock that is wrong does. Each returns when it is right again and relay was restarted.

Nothing is lost meanwhile, for what is lost under a wrong clock is looked for at the wrong time; no callback fails, for
what is tried again is stored with the time when it is due. Relay is restarted afterwards, since that time does not go
back in a process that has seen it.
"""

import asyncio
import json
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from confluent_kafka.admin import AlterConfigOpType, ConfigEntry, ConfigResource

from tests.chaos.arena import KINDS, Arena
from tests.chaos.faults_kafka import NOTICE_SECONDS, ask
from tests.scene.processes import until

MOST_POLLS_EACH_SECOND = 60
"""Two streams, each waits 0.05 seconds at least unless an answer was full."""
MOST_POSTS_EACH_SECOND = 1000
CALLED_BACK_SECONDS = 120.0
MOST_JUMP_SECONDS = 3000
"""Brokers refuse what is an hour ahead."""
OLDEST_MS = 600_000
"""Of a record, while the brokers compare. Less than a minute would hit the brokers' own markers."""


async def jump_clock(arena: Arena, chance: random.Random) -> None:
    """By up to an hour either way: no storm."""
    posts, polls = len(arena.posted), await asyncio.to_thread(_polls, arena)
    begun = time.monotonic()
    async with _wrong_by(arena, chance.choice((-1, 1)) * chance.randint(60, MOST_JUMP_SECONDS)):
        await asyncio.sleep(chance.uniform(2, 5))
    elapsed = time.monotonic() - begun
    polls = await asyncio.to_thread(_polls, arena) - polls
    posts = len(arena.posted) - posts
    if max(polls / MOST_POLLS_EACH_SECOND, posts / MOST_POSTS_EACH_SECOND) > elapsed + 10:
        arena.broken_promises.append(f"{polls} polls, {posts} POSTs within {elapsed:.0f} s after the clock jumped")


async def refuse_timestamps(arena: Arena, chance: random.Random) -> None:
    """The broker takes no record of a topic, for its clock and relay's differ too much; later it does."""
    topic = f"{arena.prefix}.{chance.choice(KINDS)}.reports"
    await asyncio.to_thread(_refuse_older, arena, topic, str(OLDEST_MS))
    async with _wrong_by(arena, -MOST_JUMP_SECONDS):
        await arena.notices("timestamps", "message.timestamp", NOTICE_SECONDS)
        await asyncio.to_thread(_refuse_older, arena, topic, None)


@asynccontextmanager
async def _wrong_by(arena: Arena, seconds: int) -> AsyncIterator[None]:
    await arena.clear_faults()
    await arena.flows_again()
    await until(lambda: _owes_nothing(arena), CALLED_BACK_SECONDS, "the callback does not get what is due")
    arena.shim.order(clock_ms=1000 * seconds)
    try:
        yield
    finally:
        arena.shim.order()
    await arena.flows_again()
    await until(lambda: _owes_nothing(arena), CALLED_BACK_SECONDS, "the callback does not get what is due")
    await arena.terminate_relay()
    await arena.start_relay()


def _refuse_older(arena: Arena, topic: str, than_ms: str | None) -> None:
    operation = AlterConfigOpType.DELETE if than_ms is None else AlterConfigOpType.SET
    entry = ConfigEntry("message.timestamp.before.max.ms", than_ms or "", incremental_operation=operation)
    resource = ConfigResource(ConfigResource.Type.TOPIC, topic, incremental_configs=[entry])
    ask(arena, lambda admin: admin.incremental_alter_configs([resource]))


def _owes_nothing(arena: Arena) -> bool:
    """For a moment, for reports flow: nothing has failed and waits."""
    with suppress(OSError):
        return arena.relay.metric("relay_callback_backlog_reports") == 0
    return False


def _polls(arena: Arena) -> int:
    kinds = json.loads(arena.simulator.get("/simulator/state"))["kinds"]
    return sum(queue["requests"] for queue in kinds.values())
