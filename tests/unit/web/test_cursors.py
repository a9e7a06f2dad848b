"""Cursors over HTTP, on a real journal."""

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from relay.config import Secret
from relay.domain.cursor import Begin
from relay.journal.sqlite import SqliteJournal
from relay.observe import Health, Telemetry
from relay.ports import JournalError
from relay.web import CursorRoutes, make_web
from relay.web.cursors import begin_asked
from relay.web.query import WrongQuery
from tests.conformance.journals import SMALL, SMS, T0, Relay, own
from tests.unit.web.conftest import Client

NOW_MS = T0 + 60_000
BEARER = {"Authorization": "Bearer canary-token"}
REASON = "the brokers belong to cluster new, acme/sms was published to cluster"
KEPT = b'{"after":"kept"}'


class Rig:
    """acme/sms with six entries, four of them published, blocked."""

    def __init__(self, relay: Relay, health: Health, client: Client) -> None:
        self.relay = relay
        self.health = health
        self.client = client

    async def list(self) -> Any:
        response = await self.client.get("/api/v1/cursors", headers=BEARER)
        assert response.status == 200
        return (await response.json())["cursors"]

    async def put(self, body: bytes, stream: str = "acme/sms") -> tuple[int, Any]:
        response = await self.client.put(f"/api/v1/cursors/{stream}", headers=BEARER, data=body)
        return response.status, await response.json(content_type=None)


@pytest.fixture
async def rig(tmp_path: Path, aiohttp_client: Callable[[web.Application], Awaitable[Client]]) -> AsyncIterator[Rig]:
    journal = await SqliteJournal.open(tmp_path / "relay.db", instance="relay-0", tuning=SMALL)
    relay = await own(journal)
    await relay.receive_many(6)
    await relay.publish(4)
    health = Health()
    health.degrade("publish/acme/sms", REASON)
    application = make_web(
        instance="relay-0",
        token=Secret("canary-token"),
        journal=journal,
        health=health,
        telemetry=Telemetry(),
        now_ms=lambda: NOW_MS,
        more=[CursorRoutes(journal, health=health, now_ms=lambda: NOW_MS)],
    )
    yield Rig(relay, health, await aiohttp_client(application))
    await journal.close()


def shown(**changes: Any) -> dict[str, Any]:
    return {
        "source": "acme",
        "kind": "sms",
        "position": 4,
        "last_seq": 6,
        "earliest": 0,
        "cluster_id": "cluster",
        "at": "2023-11-14T22:13:20.000Z",
        "degraded": REASON,
    } | changes


async def test_everything_needs_the_token(rig: Rig) -> None:
    assert (await rig.client.get("/api/v1/cursors")).status == 401
    assert (await rig.client.put("/api/v1/cursors/acme/sms", data=KEPT)).status == 401
    assert await rig.relay.journal.local_cursor(SMS) == (4, "cluster", T0)


async def test_the_list_says_what_is_blocked(rig: Rig) -> None:
    assert await rig.list() == [shown()]
    rig.health.recover("publish/acme/sms")
    assert await rig.list() == [shown(degraded=None)]


@pytest.mark.parametrize(
    ("body", "position"), [(KEPT, 4), (b'{"after":"earliest"}', 0), (b'{"after":0}', 0), (b'{"after":6}', 6)]
)
async def test_it_is_placed(rig: Rig, body: bytes, position: int) -> None:
    placed = shown(position=position, cluster_id=None, at="2023-11-14T22:14:20.000Z")
    assert await rig.put(body) == (200, placed)
    assert await rig.list() == [placed]
    assert await rig.relay.journal.local_cursor(SMS) == (position, None, NOW_MS)


async def test_a_stream_that_is_published_is_left_alone(rig: Rig) -> None:
    rig.health.recover("publish/acme/sms")
    rig.health.degrade("publish/acme/voice", REASON)
    status, answer = await rig.put(KEPT)
    assert (status, answer["detail"]) == (409, "acme/sms is being published: there is nothing to decide")
    assert await rig.relay.journal.local_cursor(SMS) == (4, "cluster", T0)


@pytest.mark.parametrize("stream", ["acme/voice", "crm/sms"])
async def test_a_stream_that_is_none(rig: Rig, stream: str) -> None:
    status, answer = await rig.put(KEPT, stream)
    assert (status, answer["detail"]) == (404, f"there is no stream {stream} that was published to Kafka")


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b"4", b"{}", b'{"after":4,"why":"x"}', b'{"after":-1}', b'{"after":true}', b'{"after":4.0}',
     b'{"after":"4"}', b'{"after":"latest"}', b'{"after":null}', b'{"after":["kept"]}'],
)  # fmt: skip
async def test_what_cannot_be_asked(rig: Rig, body: bytes) -> None:
    status, answer = await rig.put(body)
    assert status == 400
    assert "after" in answer["detail"]
    assert await rig.relay.journal.local_cursor(SMS) == (4, "cluster", T0)


async def test_a_number_beyond_the_stream_is_told_its_range(rig: Rig) -> None:
    status, answer = await rig.put(b'{"after":7}')
    assert status == 400
    assert answer["detail"].startswith(
        "after must be from 0 to 6: the journal has given up what is earlier of acme/sms"
    )


async def test_a_copy_beyond_the_stream_is_told_too(rig: Rig) -> None:
    await rig.relay.publish(9)
    status, answer = await rig.put(KEPT)
    assert status == 400
    assert answer["detail"].startswith("after must be from 0 to 6 (kept is 9): ")


async def test_a_journal_that_cannot_be_written(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    async def full(*_arguments: object) -> None:
        raise JournalError("disk full")

    monkeypatch.setattr(rig.relay.journal, "place_kafka_cursor", full)
    status, answer = await rig.put(KEPT)
    assert (status, answer["detail"]) == (503, "not now: disk full")


def test_words_and_numbers() -> None:
    assert begin_asked(b'{"after":"kept"}') is Begin.KEPT
    assert begin_asked(b'{"after":"earliest"}') is Begin.EARLIEST
    assert begin_asked(b'{"after":4711}') == 4711
    with pytest.raises(WrongQuery, match="kept, earliest, or the relay_seq"):
        begin_asked(b'{"after":"now"}')
