"""A stream that moves between two real clusters, by word of an operator: in each, each report once."""

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient

from relay.config import Secret
from relay.observe import Telemetry
from relay.web import CursorRoutes, make_web
from tests.integration.kafka_rig import Place
from tests.integration.publish_rig import Relay, confirmed, names, running
from tests.kafka.broker import Cluster
from tests.kafka.reader import count_keys, delete_committed_offset, read_committed

pytestmark = pytest.mark.kafka

BEARER = {"Authorization": "Bearer canary-token"}

Operator = Callable[[Relay, object], Awaitable[int]]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "relay.db"


@pytest.fixture
def other(fragile_kafka: Cluster) -> Cluster:
    return fragile_kafka


@pytest.fixture
def says(aiohttp_client: Callable[[web.Application], Awaitable[TestClient[web.Request, web.Application]]]) -> Operator:
    """An operator says to a relay, over HTTP, after which entry to begin; the status of the answer."""

    async def say(relay: Relay, after: object) -> int:
        application = make_web(
            instance="relay-0",
            token=Secret("canary-token"),
            journal=relay.journal,
            health=relay.health,
            telemetry=Telemetry(),
            now_ms=lambda: 0,
            more=[CursorRoutes(relay.journal, health=relay.health, now_ms=lambda: 0)],
        )
        client = await aiohttp_client(application)
        answer = await client.put(f"/api/v1/cursors/{relay.place.stream}", headers=BEARER, json={"after": after})
        return answer.status

    return say


def seen(cluster: Cluster, place: Place) -> dict[str, int]:
    return dict(count_keys(read_committed(cluster.bootstrap_servers, place.topics.reports)))


def once(first: int, last: int) -> dict[str, int]:
    return dict.fromkeys(names(first, last), 1)


async def ten_published_and_ten_not(path: Path, place: Place) -> None:
    async with running(path, place) as relay:
        await confirmed(relay)
        await relay.receive(names(1, 10))
        await relay.drain()
        await relay.receive(names(11, 20))


async def blocked(relay: Relay) -> str:
    """Wait until it is; the reason."""
    await relay.step_until(lambda _: bool(relay.health.degraded))
    return relay.health.degraded["publish/acme/sms"]


@pytest.mark.parametrize(("after", "first"), [("kept", 11), ("earliest", 1), (5, 6), (20, 21)])
async def test_publishing_begins_where_it_was_told(
    kafka: Cluster, other: Cluster, place: Place, path: Path, says: Operator, after: object, first: int
) -> None:
    await ten_published_and_ten_not(path, place)
    async with running(path, place.via(other.bootstrap_servers)) as relay:
        reason = await blocked(relay)
        assert f"belong to cluster {other.cluster_id}" in reason
        assert f"was published to {kafka.cluster_id}" in reason
        assert await says(relay, 21) == 400
        await relay.step_until(lambda wait_seconds: wait_seconds > 0)
        assert seen(other, place) == {}

        assert await says(relay, after) == 200
        await relay.drain()
        assert seen(other, place) == once(first, 20)
        await relay.receive(names(15, 30))  # known, up to 20
        await relay.drain()

        assert seen(other, place) == once(first, 30)
        assert await says(relay, "earliest") == 409
    async with running(path, place.via(other.bootstrap_servers)) as relay:
        await relay.drain()
    assert seen(other, place) == once(first, 30)
    assert seen(kafka, place) == once(1, 10)


@pytest.mark.parametrize("after", ["kept", "earliest"])
async def test_there_and_back_no_cluster_gets_anything_twice_and_none_misses_what_came_since(
    kafka: Cluster, other: Cluster, place: Place, path: Path, says: Operator, after: str
) -> None:
    await ten_published_and_ten_not(path, place)
    await moved(path, place.via(other.bootstrap_servers), says, "kept", names(21, 30))
    assert seen(other, place) == once(11, 30)

    await moved(path, place, says, after, names(31, 40))
    assert seen(kafka, place) == once(1, 40)

    await moved(path, place.via(other.bootstrap_servers), says, after, names(41, 50))
    assert seen(other, place) == once(11, 50)
    assert seen(kafka, place) == once(1, 40)


async def test_back_where_the_cursor_is_forgotten_the_topics_say_how_far_it_had_come(
    kafka: Cluster, other: Cluster, place: Place, path: Path, says: Operator
) -> None:
    await ten_published_and_ten_not(path, place)
    await moved(path, place.via(other.bootstrap_servers), says, "kept", names(21, 30))
    delete_committed_offset(kafka.bootstrap_servers, place.group, place.config.cursor_topic)

    await moved(path, place, says, "earliest", names(31, 40))

    assert seen(kafka, place) == once(1, 40)


async def test_without_transactions_what_was_told_alone_decides(
    kafka: Cluster, other: Cluster, place: Place, path: Path, says: Operator
) -> None:
    idempotent = place.changed(delivery="idempotent")
    await ten_published_and_ten_not(path, idempotent)

    await moved(path, idempotent.via(other.bootstrap_servers), says, 15, names(21, 30))

    assert seen(other, idempotent) == once(16, 30)
    assert seen(kafka, idempotent) == once(1, 10)


async def moved(path: Path, place: Place, says: Operator, after: object, more: list[str]) -> None:
    """The relay is started with brokers of another cluster, told where to begin, and publishes on."""
    async with running(path, place) as relay:
        await blocked(relay)
        assert await says(relay, after) == 200
        await relay.drain()
        await relay.receive(more)
        await relay.drain()
