"""`/api/v1/callbacks`: how they are shown, and what may be asked."""

from collections.abc import Awaitable, Callable

import pytest
from aiohttp import web

from relay.config import Secret
from relay.domain.figures import JournalFigures
from relay.domain.pausing import GateState, Pause, PausedBy, Standing
from relay.domain.report import Stream
from relay.observe import Health, Telemetry
from relay.ports import JournalError, PostResult, SampleSent
from relay.web import CallbackRoutes, make_web
from tests.unit.web.conftest import Client, ToldJournal

TOKEN = {"Authorization": "Bearer canary-token"}
PATH = "/api/v1/callbacks"
NOW_MS = 1_700_000_010_000
OPEN = Standing(GateState.OPEN, "", None, 0, None, 3)
HALF_OPEN = Standing(GateState.HALF_OPEN, "HTTP 500 from 385981178000", None, 14, 42.5, 1)
GONE = Pause(PausedBy.GONE, "HTTP 410", NOW_MS - 60_000)
PAUSED = Standing(GateState.PAUSED, GONE.told, GONE, 0, None, 0)


class ToldControl:
    url = "https://billing.example/hook?configured"
    streams = (Stream("acme", "sms"), Stream("acme", "voice"))

    def __init__(self) -> None:
        self.standing = OPEN
        self.pauses: list[str] = []
        self.tested: list[Stream] = []
        self.error: Exception | None = None
        self.result = PostResult(200, "", None, 0.0123, b"thanks \xff")

    async def pause(self, reason: str) -> bool:
        self.pauses.append(reason)
        if self.error is not None:
            raise self.error
        return self.standing.pause is not None

    async def resume(self) -> bool:
        if self.error is not None:
            raise self.error
        return self.standing.state is not GateState.OPEN

    async def test(self, stream: Stream) -> SampleSent:
        self.tested.append(stream)
        return SampleSent("relay-test-1", "msg_1", self.result)


@pytest.fixture
def control() -> ToldControl:
    return ToldControl()


@pytest.fixture
def journal() -> ToldJournal:
    return ToldJournal()


@pytest.fixture
async def client(
    control: ToldControl, journal: ToldJournal, aiohttp_client: Callable[[web.Application], Awaitable[Client]]
) -> Client:
    application = make_web(
        instance="relay-0",
        token=Secret("canary-token"),
        journal=journal,
        health=Health(),
        telemetry=Telemetry(),
        now_ms=lambda: NOW_MS,
        more=[CallbackRoutes({"billing": control}, journal=journal, now_ms=lambda: NOW_MS)],
    )
    return await aiohttp_client(application)


async def test_everything_needs_the_token(client: Client, control: ToldControl) -> None:
    for method, path in (("GET", ""), ("GET", "/billing"), ("POST", "/billing/pause"), ("POST", "/billing/test")):
        assert (await client.request(method, PATH + path)).status == 401
    assert (control.pauses, control.tested) == ([], [])


async def test_an_open_callback(client: Client) -> None:
    answer = await client.get(PATH, headers=TOKEN)
    assert await answer.json() == {
        "callbacks": [
            {
                "name": "billing",
                "url": "https://billing.example/hook?configured",
                "state": "open",
                "paused_by": None,
                "reason": None,
                "since": None,
                "failures_in_a_row": 0,
                "in_flight": 3,
                "backlog": 5,
                "oldest_backlog_at": None,
                "dead_letters": 4,
            }
        ]
    }


async def test_a_half_open_callback_says_since_when_and_why(client: Client, control: ToldControl) -> None:
    control.standing = HALF_OPEN
    shown = await (await client.get(f"{PATH}/billing", headers=TOKEN)).json()
    assert (shown["state"], shown["paused_by"], shown["failures_in_a_row"]) == ("half_open", None, 14)
    assert shown["since"] == "2023-11-14T22:12:47.500Z"
    assert "385981178000" not in shown["reason"]  # masked like the log
    assert shown["reason"].startswith("HTTP 500")


async def test_a_paused_callback_says_by_whom(client: Client, control: ToldControl) -> None:
    control.standing = PAUSED
    shown = await (await client.get(f"{PATH}/billing", headers=TOKEN)).json()
    assert (shown["state"], shown["paused_by"]) == ("paused", "gone")
    assert (shown["since"], shown["reason"]) == (
        "2023-11-14T22:12:30.000Z",
        "the callback says that it is gone (HTTP 410)",
    )


async def test_how_it_stands_is_known_without_the_journal(client: Client, journal: ToldJournal) -> None:
    journal.error = JournalError("away")
    shown = await (await client.get(f"{PATH}/billing", headers=TOKEN)).json()
    assert (shown["state"], shown["backlog"], shown["dead_letters"]) == ("open", None, None)


async def test_pausing_takes_a_reason_or_none(client: Client, control: ToldControl) -> None:
    assert (await client.post(f"{PATH}/billing/pause", headers=TOKEN)).status == 200
    answer = await client.post(f"{PATH}/billing/pause", headers=TOKEN, json={"reason": "a new version"})
    assert answer.status == 200
    assert control.pauses == ["", "a new version"]
    assert (await answer.json())["was_paused"] is False


async def test_pausing_says_whether_it_was_paused(client: Client, control: ToldControl) -> None:
    control.standing = PAUSED
    answer = await client.post(f"{PATH}/billing/pause", headers=TOKEN)
    assert (await answer.json())["was_paused"] is True


@pytest.mark.parametrize("body", [b"[]", b"{", b'{"why":"x"}', b'{"reason":7}', b'{"reason":"%b"}' % (b"x" * 201)])
async def test_what_cannot_be_asked(client: Client, control: ToldControl, body: bytes) -> None:
    answer = await client.post(f"{PATH}/billing/pause", headers=TOKEN, data=body)
    assert answer.status == 400
    assert control.pauses == []


async def test_a_pause_that_is_not_durable_is_told_as_such(client: Client, control: ToldControl) -> None:
    control.error = JournalError("disk full")
    for action in ("pause", "resume"):
        answer = await client.post(f"{PATH}/billing/{action}", headers=TOKEN)
        assert answer.status == 503
        assert "in force, but a restart may undo it" in (await answer.json())["detail"]
        assert "disk full" in (await answer.json())["detail"]


async def test_resuming_says_whether_there_was_something_to_resume(client: Client, control: ToldControl) -> None:
    assert (await (await client.post(f"{PATH}/billing/resume", headers=TOKEN)).json())["resumed"] is False
    control.standing = HALF_OPEN
    assert (await (await client.post(f"{PATH}/billing/resume", headers=TOKEN)).json())["resumed"] is True


async def test_a_sample_and_its_answer(client: Client, control: ToldControl) -> None:
    answer = await client.post(f"{PATH}/billing/test", headers=TOKEN)
    assert await answer.json() == {
        "callback": "billing",
        "source": "acme",
        "kind": "sms",
        "message_id": "relay-test-1",
        "webhook_id": "msg_1",
        "delivered": True,
        "status": 200,
        "error": None,
        "seconds": 0.012,
        "answer": "thanks �",
    }
    control.result = PostResult(None, "timeout", None, 15.0, b"")
    answer = await client.post(f"{PATH}/billing/test", headers=TOKEN, json={"kind": "voice"})
    assert answer.status == 200
    sent = await answer.json()
    assert (sent["delivered"], sent["status"], sent["error"], sent["kind"]) == (False, None, "timeout", "voice")
    assert control.tested == [Stream("acme", "sms"), Stream("acme", "voice")]


async def test_a_sample_of_a_kind_that_it_does_not_follow(client: Client, control: ToldControl) -> None:
    answer = await client.post(f"{PATH}/billing/test", headers=TOKEN, json={"kind": "email"})
    assert (answer.status, (await answer.json())["detail"]) == (409, "callback billing follows no stream of kind email")
    assert control.tested == []


async def test_a_name_that_is_none(client: Client) -> None:
    for method, path in (("GET", "/crm"), ("POST", "/crm/pause"), ("POST", "/crm/resume"), ("POST", "/crm/test")):
        answer = await client.request(method, PATH + path, headers=TOKEN)
        assert answer.status == 404
        assert "no callback crm" in (await answer.json())["detail"]


async def test_one_that_is_removed_while_they_are_listed_is_no_error(
    aiohttp_client: Callable[[web.Application], Awaitable[Client]],
) -> None:
    controls = {"billing": ToldControl(), "crm": ToldControl()}

    class Removing(ToldJournal):
        async def figures(self, at_ms: int) -> JournalFigures:
            controls.clear()
            return await super().figures(at_ms)

    journal = Removing()
    application = make_web(
        instance="relay-0",
        token=Secret("canary-token"),
        journal=journal,
        health=Health(),
        telemetry=Telemetry(),
        now_ms=lambda: NOW_MS,
        more=[CallbackRoutes(controls, journal=journal, now_ms=lambda: NOW_MS)],
    )
    client = await aiohttp_client(application)
    answer = await client.get(PATH, headers=TOKEN)
    assert [one["name"] for one in (await answer.json())["callbacks"]] == ["billing", "crm"]
