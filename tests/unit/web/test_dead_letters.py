"""Dead letters over HTTP, on a real journal."""

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient
from msgspec.structs import replace

from relay.config import Secret
from relay.domain.report import Stream
from relay.journal.sqlite import SqliteJournal
from relay.observe import Health, Telemetry
from relay.ports import JournalFull, ReplayTarget
from relay.web import DeadLetterRoutes, make_web
from tests.conformance.journals import ALL, SMALL, SMS, T0, Relay, given_up, own, report

Client = TestClient[web.Request, web.Application]
NOW_MS = T0 + 60_000
BEARER = {"Authorization": "Bearer canary-token"}


class Rig:
    """A journal with dead letters of `billing` and `crm`, and the routes on it; only `billing` is configured."""

    def __init__(self, relay: Relay) -> None:
        self.relay = relay
        self.journal = relay.journal
        self.stored: list[tuple[str, Stream]] = []
        self.targets = {"billing": ReplayTarget(ALL, 1, 1_000_000)}
        self.client: Client

    def routes(self) -> DeadLetterRoutes:
        return DeadLetterRoutes(
            self.journal,
            target_of=self.targets.get,
            stored=lambda callback, stream: self.stored.append((callback, stream)),
            now_ms=lambda: NOW_MS,
        )

    async def call(self, method: str, path: str = "", status: int = 200) -> Any:
        response = await self.client.request(method, "/api/v1/dead-letters" + path, headers=BEARER)
        assert response.status == status, await response.text()
        assert response.content_type == ("application/json" if status == 200 else "application/problem+json")
        return await response.json(content_type=None)

    async def ids(self, query: str = "") -> list[int]:
        return [letter["id"] for letter in (await self.call("GET", query))["dead_letters"]]

    async def give_up(self, callback: str, *seqs: int) -> list[int]:
        before = set(await self.ids("?limit=1000"))
        await self.relay.attempt(callback, *(given_up(seq, at_ms=T0 + seq * 1000) for seq in seqs))
        return sorted(set(await self.ids("?limit=1000")) - before)


@pytest.fixture
async def rig(tmp_path: Path, aiohttp_client: Callable[[web.Application], Awaitable[Client]]) -> AsyncIterator[Rig]:
    journal = await SqliteJournal.open(tmp_path / "relay.db", instance="relay-0", tuning=SMALL)
    relay = await own(journal)
    await relay.receive(*(replace(report(f"m-{n}"), value=b'{"to":"41793026731"}') for n in range(1, 10)))
    for callback in ("billing", "crm"):
        await relay.subscribe(callback, earliest=True)
    rig = Rig(relay)
    application = make_web(
        instance="relay-0",
        token=Secret("canary-token"),
        journal=journal,
        health=Health(),
        telemetry=Telemetry(),
        now_ms=lambda: NOW_MS,
        more=[rig.routes()],
    )
    rig.client = await aiohttp_client(application)
    yield rig
    await journal.close()


async def test_listed_with_filters_and_in_pages(rig: Rig) -> None:
    one, two, three = await rig.give_up("billing", 1, 2, 3)
    (other,) = await rig.give_up("crm", 1)
    assert await rig.ids("?callback=billing") == [one, two, three]
    assert await rig.ids("?callback=billing&source=acme&kind=sms&reason=GONE&status=410") == [one, two, three]
    assert await rig.ids("?kind=voice") == []
    assert await rig.ids("?since=58s") == [two, three]
    assert await rig.ids("?until=2023-11-14T22:13:22Z") == [one, other]
    first = await rig.call("GET", "?limit=2")
    assert [letter["id"] for letter in first["dead_letters"]] == [one, two]
    assert first["next"] == two
    rest = await rig.call("GET", f"?limit=3&after={two}")
    assert ([letter["id"] for letter in rest["dead_letters"]], rest["next"]) == ([three, other], None)


async def test_one_is_shown_without_numbers(rig: Rig) -> None:
    (one,) = await rig.give_up("billing", 3)
    assert await rig.call("GET", f"/{one}") == {
        "id": one,
        "callback": "billing",
        "source": "acme",
        "kind": "sms",
        "message_ids": ["m-3"],
        "attempts": 1,
        "status": 410,
        "reason": "gone",
        "created_at": "2023-11-14T22:13:23.000Z",
        "dead_at": "2023-11-14T22:13:23.250Z",
        "has_body": True,
        "reports": [
            {
                "seq": 3,
                "type": "report",
                "revision": 1,
                "origin": "poll",
                "received_at": "2023-11-14T22:13:20.000Z",
                "ce_id": "m-3",
                "webhook_id": "msg_0db79a300ed31cf0df250c69f09b6d21",
                "report": {"to": "[hidden]"},
            }
        ],
        "attempts_made": [
            {
                "at": "2023-11-14T22:13:23.000Z",
                "seconds": 0.25,
                "status": 410,
                "result": "dead",
                "error": "status 410",
                "answer": "",
            }
        ],
    }


async def test_one_is_put_back_and_its_deliverer_told(rig: Rig) -> None:
    one, two = await rig.give_up("billing", 1, 2)
    assert await rig.call("POST", f"/{two}/replay") == {"id": two, "replayed": True, "reports": 1}
    assert rig.stored == [("billing", SMS)]
    assert await rig.ids() == [one]
    assert await rig.relay.due("billing", NOW_MS) == [(two, (2,))]
    problem = await rig.call("POST", f"/{two}/replay", 404)
    assert "it was replayed, dropped, or has expired" in problem["detail"]


async def test_one_of_a_callback_that_is_gone_stays(rig: Rig) -> None:
    (other,) = await rig.give_up("crm", 1)
    problem = await rig.call("POST", f"/{other}/replay", 409)
    assert problem["detail"] == "there is no callback crm in the configuration that could get it"
    assert await rig.ids() == [other]
    assert rig.stored == []


async def test_many_are_put_back_in_pages(rig: Rig) -> None:
    letters = await rig.give_up("billing", 1, 2, 3)
    (other,) = await rig.give_up("crm", 4)
    nothing = {"unconfigured": 0, "without_body": 0, "busy": None}
    assert await rig.call("POST", "/replay?limit=2") == {"replayed": 2, "next": letters[1], **nothing}
    rest = await rig.call("POST", f"/replay?limit=3&after={letters[1]}")
    assert rest == {"replayed": 1, "next": None, **nothing, "unconfigured": 1}
    assert await rig.ids() == [other]
    assert len(await rig.relay.due("billing", NOW_MS)) == 3


async def test_no_more_are_put_back_than_the_callback_has_room_for(rig: Rig) -> None:
    one, two, three, _ = await rig.give_up("billing", 1, 2, 3, 4)
    rig.targets["billing"] = ReplayTarget(ALL, 1, 6)  # half of it: three
    first = await rig.call("POST", "/replay")
    assert (first["replayed"], first["busy"], first["next"]) == (3, "billing", three)
    again = await rig.call("POST", f"/replay?after={three}")
    assert (again["replayed"], again["busy"], again["next"]) == (0, "billing", three)
    assert [id_ for id_, _ in await rig.relay.due("billing", NOW_MS)] == [one, two, three]


async def test_one_is_dropped(rig: Rig) -> None:
    one, two = await rig.give_up("billing", 1, 2)
    assert await rig.call("DELETE", f"/{one}") == {"id": one, "dropped": True}
    await rig.call("DELETE", f"/{one}", 404)
    assert await rig.ids() == [two]
    assert (await rig.journal.figures(NOW_MS)).callbacks["billing"].dropped == 1


async def test_many_are_dropped_by_the_filters(rig: Rig) -> None:
    letters = await rig.give_up("billing", 1, 2, 3)
    (other,) = await rig.give_up("crm", 1)
    assert await rig.call("POST", "/drop?callback=billing&limit=2") == {"dropped": 2, "next": letters[1]}
    rest = await rig.call("POST", f"/drop?callback=billing&limit=2&after={letters[1]}")
    assert rest == {"dropped": 1, "next": None}
    assert await rig.ids() == [other]


@pytest.mark.parametrize(
    ("query", "detail"),
    [
        ("since=tomorrow", "since must be how long ago, 90m, 24h or 2d, or a time with its offset"),
        ("until=2026-02-12T08:00:00", "until must be how long ago"),
        ("status=1000", "status must be a whole number from 1 to 999"),
        ("limit=0", "limit must be a whole number from 1 to 1000"),
        ("after=-1", "after must be a whole number"),
    ],
)
async def test_wrong_filters(rig: Rig, query: str, detail: str) -> None:
    (one,) = await rig.give_up("billing", 1)
    for method, path in (("GET", ""), ("POST", "/replay"), ("POST", "/drop")):
        assert detail in (await rig.call(method, f"{path}?{query}", 400))["detail"]
    assert await rig.ids() == [one]


async def test_a_callback_that_is_none_is_a_wrong_filter_unless_it_left_dead_letters(rig: Rig) -> None:
    for method, path in (("GET", ""), ("POST", "/replay"), ("POST", "/drop")):
        told = await rig.call(method, path + "?callback=nobody", 400)
        assert told["detail"] == "there is no callback nobody in the configuration, nor a dead letter of it"
    assert await rig.ids("?callback=billing") == []
    (left,) = await rig.give_up("crm", 1)
    assert await rig.ids("?callback=crm") == [left]
    assert await rig.ids("?callback=crm&status=999") == []
    assert await rig.ids(f"?callback=nobody&after={left}") == []


async def test_one_that_never_was_is_not_said_to_have_been_replayed(rig: Rig) -> None:
    told = await rig.call("GET", "/1", 404)
    assert told["detail"] == "there is no dead letter 1; there was none, or it was replayed, dropped, or has expired"


async def test_nothing_without_the_token(rig: Rig) -> None:
    (one,) = await rig.give_up("billing", 1)
    for method, path in (("GET", ""), ("POST", "/replay"), ("DELETE", f"/{one}")):
        assert (await rig.client.request(method, "/api/v1/dead-letters" + path)).status == 401
    assert await rig.ids() == [one]


async def test_a_journal_that_cannot_be_asked(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    async def full(*_: object, **__: object) -> None:
        raise JournalFull("no room of +41 79 302 67 31")

    (one,) = await rig.give_up("billing", 1)
    monkeypatch.setattr(rig.journal, "drop_dead_letters", full)
    problem = await rig.call("DELETE", f"/{one}", 503)
    assert problem["detail"] == "not now: no room of ***31"
