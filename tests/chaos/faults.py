"""What is done to the relay and all around it, by name. Each returns when it is over, not when it is healed."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import NamedTuple

from confluent_kafka import KafkaException, Producer

from tests.chaos.arena import KINDS, TRANSACTION_SECONDS, Arena
from tests.kafka.proxy import END_TXN, OFFSET_FETCH, KafkaProxy
from tests.kafka.reader import delete_committed_offset, read_committed
from tests.receivers.callback import OK, Behaviour

Do = Callable[[Arena, random.Random], Awaitable[None]]

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
POINT_SECONDS = 6.0


class Fault(NamedTuple):
    """`slow`: what follows takes the relay half a minute or more, by design; left out of short runs."""

    do: Do
    slow: bool = False
    weight: int = 1
    """So many times among one of each of the others."""


# --- the relay ---


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
    point = chance.choice(sorted(FAIL_POINTS))
    if point.startswith("reconcile"):  # it needs a gap to come by
        await arena.inject({"what": "reset_in_body", "times": 1, "kind": chance.choice(KINDS)})
    await arena.kill_relay("kill")
    arena.launch_relay(RELAY_FAILPOINT=f"{point}@{chance.randint(1, FAIL_POINTS[point])}")
    try:
        await arena.relay_dies(f"kill at {point}", POINT_SECONDS)
    except TimeoutError:
        await arena.kill_relay("kill, point not reached")
    await arena.start_relay()


async def restart(arena: Arena, chance: random.Random) -> None:
    await asyncio.sleep(chance.uniform(0, 1))
    await arena.terminate_relay()
    await arena.start_relay()


async def pause(arena: Arena, chance: random.Random) -> None:
    """Longer than the transaction time-out."""
    await arena.pause_relay(TRANSACTION_SECONDS + chance.uniform(1.5, 4))


# --- the brokers ---


async def kill_broker(arena: Arena, chance: random.Random) -> None:
    broker = chance.choice(arena.kafka.brokers)
    await asyncio.to_thread(broker.kill)
    await asyncio.sleep(chance.uniform(0, 3))
    await asyncio.to_thread(arena.kafka.start_brokers)


async def freeze_broker(arena: Arena, chance: random.Random) -> None:
    broker = chance.choice(arena.kafka.brokers)
    broker.freeze()
    await asyncio.sleep(chance.uniform(2, TRANSACTION_SECONDS + 2))
    broker.thaw()
    await asyncio.to_thread(arena.kafka.wait_until_ready)


# --- between relay and brokers ---


async def cut_connections(arena: Arena, chance: random.Random) -> None:
    for _ in range(chance.randint(1, 4)):
        for proxy in arena.proxies:
            proxy.cut()
        await asyncio.sleep(chance.uniform(0, 0.7))


async def delay_connections(arena: Arena, chance: random.Random) -> None:
    await _while(arena, "delay_seconds", chance.uniform(0.02, 0.4), chance.uniform(2, 5))


async def silence(arena: Arena, chance: random.Random) -> None:
    """A partition of the network: connections stay open."""
    await _while(arena, "silent", True, chance.uniform(2, TRANSACTION_SECONDS + 2))
    for proxy in arena.proxies:
        proxy.cut()


async def _while(arena: Arena, name: str, value: object, seconds: float) -> None:
    before = [getattr(proxy, name) for proxy in arena.proxies]
    for proxy in arena.proxies:
        setattr(proxy, name, value)
    await asyncio.sleep(seconds)
    for proxy, old in zip(arena.proxies, before, strict=True):
        setattr(proxy, name, old)


async def lose_commit_answer(arena: Arena, chance: random.Random) -> None:
    """The broker commits and nobody hears; later a copy of the request comes once more."""
    await _lose_end_txn(arena, chance, "lose_answers")


async def late_commit(arena: Arena, chance: random.Random) -> None:
    """The request is held back somewhere and comes when its sender has long given up."""
    await _lose_end_txn(arena, chance, "lose_requests")


async def _lose_end_txn(arena: Arena, chance: random.Random, losing: str) -> None:
    lost = await _until_lost(arena.proxies, losing, END_TXN, 5.0)
    if lost is None:
        return
    request = lost.last(END_TXN)
    await asyncio.sleep(chance.uniform(0, TRANSACTION_SECONDS))
    with suppress(OSError, asyncio.IncompleteReadError):
        await lost.send_copy(request)


async def _until_lost(proxies: list[KafkaProxy], losing: str, api_key: int, seconds: float) -> KafkaProxy | None:
    """Lose one such frame; the proxy that did."""
    before = [proxy.lost for proxy in proxies]
    for proxy in proxies:
        getattr(proxy, losing).add(api_key)
    try:
        async with asyncio.timeout(seconds):
            while True:
                for proxy, lost in zip(proxies, before, strict=True):
                    if proxy.lost > lost:
                        return proxy
                await asyncio.sleep(0.01)
    except TimeoutError:
        return None
    finally:
        for proxy in proxies:
            getattr(proxy, losing).discard(api_key)


async def cursor_unreadable(arena: Arena, chance: random.Random) -> None:
    """At a start nobody answers what the cursor is, for a while."""
    await arena.kill_relay("kill")
    for proxy in arena.proxies:
        proxy.lose_answers.add(OFFSET_FETCH)
    await arena.start_relay()
    await asyncio.sleep(chance.uniform(1, 5))
    for proxy in arena.proxies:
        proxy.lose_answers.discard(OFFSET_FETCH)


# --- in the brokers ---


async def delete_cursor(arena: Arena, chance: random.Random) -> None:
    """The offset is gone, as if it had expired, and the relay must look for it."""
    journal_id = await _journal_id(arena)
    await arena.kill_relay("kill")
    for kind in KINDS:
        with suppress(KafkaException):  # a transaction of the dead may still be open
            await asyncio.to_thread(
                delete_committed_offset,
                arena.kafka.bootstrap_servers,
                f"{arena.prefix}.{journal_id}.acme.{kind}",
                f"{arena.prefix}.cursors",
            )
    await asyncio.sleep(chance.uniform(0, 1))
    await arena.start_relay()


async def steal_id(arena: Arena, chance: random.Random) -> None:
    """Another producer comes with the transactional id of a stream."""
    journal_id = await _journal_id(arena)
    thief = Producer({
        "bootstrap.servers": arena.kafka.bootstrap_servers,
        "transactional.id": f"{arena.prefix}.{journal_id}.acme.{chance.choice(KINDS)}",
        "log_level": 0,
    })  # fmt: skip
    await asyncio.to_thread(thief.init_transactions, 20)


async def _journal_id(arena: Arena) -> str:
    topics = [f"{arena.prefix}.{kind}.reports" for kind in KINDS]
    records = await asyncio.to_thread(read_committed, arena.kafka.bootstrap_servers, *topics)
    return records[0].headers["relay_journal"].decode()


async def oversized_record(arena: Arena, chance: random.Random) -> None:
    await arena.put_oversized(chance.choice(KINDS), chance)


# --- the API ---


def api(**rule: object) -> Do:
    """A fault of the next answers."""

    async def strike(arena: Arena, chance: random.Random) -> None:
        times = rule.get("times", chance.randint(1, 3))
        await arena.inject({**rule, "times": times, "kind": chance.choice(KINDS), "cut": chance.random()})
        await asyncio.sleep(chance.uniform(0.2, 1.5))

    return strike


async def garbage(arena: Arena, chance: random.Random) -> None:
    """Entries that are no reports, among others."""
    for _ in range(chance.randint(1, 3)):
        await arena.put_garbage(chance.choice(KINDS), chance.choice(("broken", "nameless")))


# --- the callback ---


def callback(behaviour: Behaviour) -> Do:
    """The receiver behaves so for a while."""

    async def strike(arena: Arena, chance: random.Random) -> None:
        arena.behaviour = behaviour
        await asyncio.sleep(chance.uniform(1, 4))
        arena.behaviour = OK

    return strike


FAULTS: dict[str, Fault] = {
    "kill": Fault(kill),
    "kill-early": Fault(kill_early),
    "kill-at-point": Fault(kill_at_point, weight=6),
    "restart": Fault(restart),
    "pause": Fault(pause),
    "broker-kill": Fault(kill_broker),
    "broker-freeze": Fault(freeze_broker),
    "cut": Fault(cut_connections),
    "delay": Fault(delay_connections),
    "silence": Fault(silence),
    "commit-unheard": Fault(lose_commit_answer),
    "commit-late": Fault(late_commit),
    "cursor-unreadable": Fault(cursor_unreadable),
    "cursor-deleted": Fault(delete_cursor),
    "id-stolen": Fault(steal_id),
    "oversized": Fault(oversized_record),
    "garbage": Fault(garbage),
    "api-reset": Fault(api(what="reset_in_body")),
    "api-reset-before": Fault(api(what="reset_before", consumes=True, times=1)),
    "api-close": Fault(api(what="close_in_body")),
    "api-gzip": Fault(api(what="truncated_gzip")),
    "api-502": Fault(api(what="status", status=502, consumes=True)),
    "api-429": Fault(api(what="status", status=429, retry_after="1")),
    "api-html": Fault(api(what="html", consumes=True)),
    "api-401": Fault(api(what="status", status=401, times=1), slow=True),
    "api-late": Fault(api(what="delay", seconds=7, times=1)),
    "callback-500": Fault(callback(Behaviour(status=500))),
    "callback-429": Fault(callback(Behaviour(status=429)), slow=True),
    "callback-hang": Fault(callback(Behaviour(delay_seconds=4))),
    "callback-close": Fault(callback(Behaviour(mode="close"))),
}
