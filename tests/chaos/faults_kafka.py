"""What is done to the brokers, between them and the relay, and in them. Each returns when it is over, not healed."""

import asyncio
import random
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from contextlib import suppress

from confluent_kafka import KafkaException, Producer
from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialDeletion,
    UserScramCredentialUpsertion,
)

from tests.chaos.arena import KINDS, PASSWORD, TRANSACTION_SECONDS, USER, Arena
from tests.kafka.proxy import END_TXN, OFFSET_FETCH, KafkaProxy
from tests.kafka.reader import delete_committed_offset, read_uncommitted

ADMIN_SECONDS = 60
NOTICE_SECONDS = 15.0
STILL_SECONDS = 1.0
"""What a process has sent before it was stopped has arrived after so long."""
ITERATIONS = 4096


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


async def one_way(arena: Arena, chance: random.Random) -> None:
    """What the relay says arrives, what the brokers say does not."""
    await _while(arena, "mute", True, chance.uniform(2, TRANSACTION_SECONDS + 2))
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
    journal_id = await asyncio.to_thread(arena.journal_id)
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
    journal_id = await asyncio.to_thread(arena.journal_id)
    thief = Producer({
        "bootstrap.servers": arena.kafka.bootstrap_servers,
        "transactional.id": f"{arena.prefix}.{journal_id}.acme.{chance.choice(KINDS)}",
        "log_level": 0,
    })  # fmt: skip
    await asyncio.to_thread(thief.init_transactions, 20)


async def delete_topic(arena: Arena, chance: random.Random) -> None:
    """With all its records, read before by the judge while the relay stands still; an operator or relay itself creates
    it anew."""
    topic = f"{arena.prefix}.{chance.choice(KINDS)}.{chance.choice(('reports', 'reports', 'revisions'))}"
    async with arena.standing_still("pause while a topic is deleted"):
        await asyncio.sleep(STILL_SECONDS)
        await asyncio.to_thread(arena.archive, topic)
        await asyncio.to_thread(arena.kafka.delete_topics, topic)
    arena.backup = None  # from before: put back, it could learn no more what was in the topic
    if chance.random() < 0.5:
        await asyncio.sleep(chance.uniform(0, 2))
        with suppress(KafkaException):  # relay was quicker
            await asyncio.to_thread(arena.kafka.create_topics, topic)
    # Until something is in it again, the end of the stream is in no topic: see what deleting the cursor does.
    await arena.flows_again()


async def revoke_permission(arena: Arena, chance: random.Random) -> None:
    """Relay's user may not write to a topic, read the cursor, or use its transactional id, for a while."""
    kind = chance.choice(KINDS)
    group = f"{arena.prefix}.{await asyncio.to_thread(arena.journal_id)}.acme.{kind}"
    resource, name, operation = chance.choice((
        (ResourceType.TOPIC, f"{arena.prefix}.{kind}.reports", AclOperation.WRITE),
        (ResourceType.GROUP, group, AclOperation.READ),
        (ResourceType.TRANSACTIONAL_ID, group, AclOperation.WRITE),
    ))  # fmt: skip
    rule = (resource, name, ResourcePatternType.LITERAL, f"User:{USER}", "*", operation, AclPermissionType.DENY)
    await asyncio.to_thread(ask, arena, lambda admin: admin.create_acls([AclBinding(*rule)]))
    await arena.notices("permission", "grant ", NOTICE_SECONDS)
    await asyncio.to_thread(ask, arena, lambda admin: admin.delete_acls([AclBindingFilter(*rule)]))


async def revoke_credentials(arena: Arena, _chance: random.Random) -> None:
    """Relay's user is unknown to the brokers for a while."""
    gone = UserScramCredentialDeletion(USER, ScramMechanism.SCRAM_SHA_256)
    await asyncio.to_thread(ask, arena, lambda admin: admin.alter_user_scram_credentials([gone]))
    for proxy in arena.proxies:
        proxy.cut()
    await arena.notices("credentials", "check username", NOTICE_SECONDS)
    kind = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_256, ITERATIONS)
    back = UserScramCredentialUpsertion(USER, kind, PASSWORD.encode())
    await asyncio.to_thread(ask, arena, lambda admin: admin.alter_user_scram_credentials([back]))


def ask(arena: Arena, what: Callable[[AdminClient], Mapping[object, "Future[object]"]]) -> None:
    """Something that may be asked twice; brokers that have just come back answer late."""
    deadline = time.monotonic() + ADMIN_SECONDS
    while True:
        admin = arena.kafka.admin()
        try:
            for future in what(admin).values():
                future.result(ADMIN_SECONDS)
        except KafkaException:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.5)
        else:
            return


async def other_cluster(arena: Arena, chance: random.Random) -> None:
    """Where the brokers were, others answer, of a cluster that relay has never seen: it must not write there."""
    await asyncio.to_thread(arena.kafka.kill)
    other = arena.kafka.another_in_its_place(arena.directory / f"stranger-{arena.noticed['strangers']}")
    arena.noticed["strangers"] += 1
    try:
        await asyncio.to_thread(other.start)
        await arena.notices("another cluster", "belong to cluster", NOTICE_SECONDS)
        await asyncio.sleep(chance.uniform(0, 2))
        topics = [name for name in other.admin().list_topics(timeout=10).topics if name.startswith(arena.prefix)]
        found = await asyncio.to_thread(read_uncommitted, other.bootstrap_servers, *topics)
        if found:
            arena.broken_promises.append(f"{len(found)} records were written to a cluster never seen before")
    finally:
        await asyncio.to_thread(other.kill)
        await asyncio.to_thread(arena.kafka.start_brokers)
