"""Replays over HTTP, on a real journal."""

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import orjson
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient

from relay.config import Secret
from relay.domain.replay import ReplayRequest
from relay.journal.sqlite import SqliteJournal
from relay.observe import Health, Telemetry
from relay.ports import ReplayTarget
from relay.web import ReplayRoutes, make_web
from relay.web.query import WrongQuery
from relay.web.replays import replay_asked
from tests.conformance.journals import ALL, SMALL, SMS, T0, Relay, delivered, given_up, own, retention

Client = TestClient[web.Request, web.Application]
NOW_MS = T0 + 60_000
BEARER = {"Authorization": "Bearer canary-token"}
BILLING = {"callback": "billing", "since": "1h"}


class Rig:
    """Four reports that `billing` got, the second given up, and the routes."""

    def __init__(self, relay: Relay, client: Client, woken: list[None]) -> None:
        self.relay = relay
        self.client = client
        self.woken = woken

    async def call(self, method: str, path: str = "", status: int = 200, body: Any = None) -> Any:
        data = None if body is None else orjson.dumps(body)
        response = await self.client.request(method, "/api/v1/replays" + path, headers=BEARER, data=data)
        assert response.status == status, await response.text()
        return await response.json(content_type=None)

    async def feed(self, id_: int) -> None:
        run = await self.relay.journal.find_replay(id_)
        assert run is not None
        lease = await self.relay.journal.acquire_lease("replays")
        await self.relay.journal.feed_replay(lease, run, SMS, ALL, batch_size=1, most_reports=3, at_ms=NOW_MS)


@pytest.fixture
async def rig(tmp_path: Path, aiohttp_client: Callable[[web.Application], Awaitable[Client]]) -> AsyncIterator[Rig]:
    journal = await SqliteJournal.open(tmp_path / "relay.db", instance="relay-0", tuning=SMALL)
    relay = await own(journal)
    await relay.receive_many(4)
    await relay.subscribe("billing", earliest=True)
    await relay.attempt("billing", delivered(1), given_up(2), delivered(3), delivered(4), position=4)
    woken: list[None] = []
    targets = {name: ReplayTarget(ALL, 1, 1000) for name in ("billing", "crm")}
    routes = ReplayRoutes(journal, target_of=targets.get, wake=lambda: woken.append(None), now_ms=lambda: NOW_MS)
    application = make_web(
        instance="relay-0",
        token=Secret("canary-token"),
        journal=journal,
        health=Health(),
        telemetry=Telemetry(),
        now_ms=lambda: NOW_MS,
        more=[routes],
    )
    yield Rig(relay, await aiohttp_client(application), woken)
    await journal.close()


async def test_counted_only(rig: Rig) -> None:
    counted = await rig.call("POST", body={**BILLING, "dry_run": True})
    assert counted == {
        "dry_run": True,
        "callback": "billing",
        "since": "2023-11-14T21:14:20.000Z",
        "until": "2023-11-14T22:14:20.001Z",
        "reports": 4,
        "streams": [{"source": "acme", "kind": "sms", "reports": 4, "waiting": 0, "dead": 1}],
        "history_from": None,
    }
    assert await rig.call("GET") == {"replays": [], "next": None}
    assert rig.woken == []


async def test_where_the_history_begins_is_told_if_more_was_asked_for(rig: Rig) -> None:
    await rig.relay.publish(4)
    for at_ms in (T0 + 1, T0 + 2):
        await rig.relay.journal.prune(at_ms, retention())
    await rig.relay.receive_many(1, prefix="new", at_ms=T0 + 5_000)

    counted = await rig.call("POST", body={**BILLING, "dry_run": True})
    begun = await rig.call("POST", status=202, body=BILLING)

    assert counted["history_from"] == begun["history_from"] == "2023-11-14T22:13:25.000Z"


async def test_begun_and_watched(rig: Rig) -> None:
    begun = await rig.call("POST", status=202, body=BILLING)
    assert rig.woken == [None]
    assert (begun["state"], begun["entries"], begun["share_read"], begun["reports"]) == ("running", 4, 0.0, 0)
    await rig.feed(begun["id"])
    found = await rig.call("GET", f"/{begun['id']}")
    assert found == {
        "id": begun["id"],
        "callback": "billing",
        "state": "running",
        "since": "2023-11-14T21:14:20.000Z",
        "until": "2023-11-14T22:14:20.001Z",
        "status_groups": None,
        "started_at": "2023-11-14T22:14:20.000Z",
        "ended_at": None,
        "entries": 4,
        "share_read": 0.75,
        "reports": 3,
        "delivered": 0,
        "pending": 3,
        "dead": 0,
        "waiting": 0,
        "gone": 0,
        "streams": [
            {
                "source": "acme",
                "kind": "sms",
                "after_seq": 0,
                "until_seq": 4,
                "position": 3,
                "reports": 3,
                "waiting": 0,
                "gone": 0,
            }
        ],
    }
    (first, _), *_ = await rig.relay.due("billing", NOW_MS)
    await rig.relay.attempt("billing", delivered(1, id_=first, at_ms=NOW_MS))
    found = await rig.call("GET", f"/{begun['id']}")
    assert (found["delivered"], found["pending"]) == (1, 2)
    assert await rig.call("GET") == {"replays": [found], "next": None}


async def test_paused_resumed_cancelled(rig: Rig) -> None:
    path = f"/{(await rig.call('POST', status=202, body=BILLING))['id']}"
    assert (await rig.call("POST", path + "/pause"))["state"] == "paused"
    assert (await rig.call("POST", path + "/resume"))["state"] == "running"
    cancelled = await rig.call("DELETE", path)
    assert (cancelled["state"], cancelled["ended_at"]) == ("cancelled", "2023-11-14T22:14:20.000Z")
    assert len(rig.woken) == 4
    for again in ("/pause", "/resume"):
        assert "is cancelled" in (await rig.call("POST", path + again, 409))["detail"]
    assert len(rig.woken) == 4


async def test_one_at_a_time_for_a_callback(rig: Rig) -> None:
    id_ = (await rig.call("POST", status=202, body=BILLING))["id"]
    problem = await rig.call("POST", status=409, body=BILLING)
    assert problem["detail"] == f"replay {id_} of billing has not ended: resume it, or cancel it first"


async def test_nobody_to_send_to(rig: Rig) -> None:
    problem = await rig.call("POST", status=404, body={**BILLING, "callback": "nobody"})
    assert problem["detail"] == "there is no callback nobody in the configuration"
    for asked in ({"callback": "crm"}, {"kind": "voice"}, {"callback": "crm", "dry_run": True}):
        problem = await rig.call("POST", status=404, body={**BILLING, **asked})
        assert "follows no such stream" in problem["detail"]
    for method, path in (("GET", "/7"), ("DELETE", "/7"), ("POST", "/7/pause"), ("POST", "/7/resume")):
        assert "there is no replay 7" in (await rig.call(method, path, 404))["detail"]


def test_what_may_be_asked() -> None:
    whole = {"source": "acme", "kind": "sms", "status_groups": ["delivered", 5, "2"], "dry_run": True}
    asked = {"callback": "billing", "since": "2023-11-14T23:13:20+01:00", "until": "30s", **whole}
    assert replay_asked(orjson.dumps(asked), NOW_MS) == (
        ReplayRequest("billing", T0, NOW_MS - 30_000, "acme", "sms", frozenset({2, 3, 5})),
        True,
    )
    assert replay_asked(b'{"callback": "billing", "since": "1.5m"}', NOW_MS) == (
        ReplayRequest("billing", NOW_MS - 90_000, NOW_MS + 1),
        False,
    )


@pytest.mark.parametrize(
    ("changes", "detail"),
    [
        ({"callback": None}, "callback must be the name"),
        ({"since": None}, "since must be given"),
        ({"since": 24}, "since must be how long ago"),
        ({"since": "2026-13-01T00:00:00Z"}, "since must be how long ago"),
        ({"until": "2h"}, "until must be later than since"),
        ({"source": 1}, "source must be a name"),
        ({"status_groups": []}, "status_groups must be a list"),
        ({"status_groups": ["LOST"]}, "a status group must be a number, or one of ACCEPTED, PENDING"),
        ({"status_groups": [True]}, "a status group must be a number"),
        ({"status_groups": [-1]}, "a status group must be a number"),
        ({"dry_run": "yes"}, "dry_run must be true or false"),
        ({"surprise": 1}, "unknown: surprise"),
    ],
)
def test_what_may_not_be_asked(changes: dict[str, Any], detail: str) -> None:
    with pytest.raises(WrongQuery, match=detail):
        replay_asked(orjson.dumps({**BILLING, **changes}), NOW_MS)


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"null"])
def test_what_is_no_object(body: bytes) -> None:
    with pytest.raises(WrongQuery, match="send a JSON object"):
        replay_asked(body, NOW_MS)
