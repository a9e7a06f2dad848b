"""Pushes over real connections: what is taken, what is refused, and what is on the disk when 200 is said."""

import asyncio
import base64
from typing import Any

import aiohttp
import pytest
import structlog
from aiohttp import web

from relay.config import Secret
from relay.domain.report import Origin
from relay.observe import Health, Telemetry
from relay.ports import Fetch, JournalError, JournalFatal, JournalFull, Pressure
from relay.web import HttpService, make_web
from tests.unit.web.push_rig import BEARER, BODY, NOW_MS, SMS, Rig, detail


async def test_a_push_is_committed_as_it_came(pushing: Rig) -> None:
    response = await pushing.post()
    assert (response.status, await response.json()) == (200, {"status": "ok"})
    assert pushing.journal.fetches == [
        (
            SMS,
            Fetch(
                origin=Origin.PUSH,
                requested_at_ms=NOW_MS,
                received_at_ms=NOW_MS,
                status=200,
                content_type="application/json",
                body=BODY,
                complete=True,
                entries_estimate=2,
                base_url="https://x.example",
            ),
        )
    ]
    assert pushing.woken == [SMS]


async def test_nothing_is_parsed_before_the_commit(pushing: Rig) -> None:
    broken = b'{"results":[{"messageId":"1"},{"messageId":'
    assert (await pushing.post(broken)).status == 200
    assert pushing.taken() == [broken]


async def test_200_waits_for_the_commit(pushing: Rig) -> None:
    committing, committed = asyncio.Event(), asyncio.Event()

    async def wait() -> None:
        committing.set()
        await committed.wait()

    pushing.journal.wait = wait
    answer = asyncio.ensure_future(pushing.post())
    await committing.wait()
    assert not answer.done()
    assert pushing.woken == []
    committed.set()
    assert (await answer).status == 200


def basic(user: str, password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


@pytest.mark.parametrize(
    "headers", [BEARER, {"Authorization": "bearer  canary-push"}, basic("", "canary-push"), basic("a", "canary-push")]
)
async def test_the_token_as_bearer_or_as_password(pushing: Rig, headers: dict[str, str]) -> None:
    assert (await pushing.post(headers=headers)).status == 200


async def test_the_token_in_the_url_that_is_called(pushing: Rig) -> None:
    async with aiohttp.ClientSession() as session:
        url = f"http://relay:canary-push@127.0.0.1:{pushing.service.port}/push/acme/sms"
        response = await session.post(url, data=BODY)
    assert response.status == 200


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": ""},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer canary-pus"},
        {"Authorization": "Bearer canary-push2"},
        {"Authorization": "Bearer \u00e4"},
        {"Authorization": "canary-push"},
        {"Authorization": "Basic canary-push"},
        {"Authorization": "Basic " + base64.b64encode(b"canary-push").decode()},
        basic("canary-push", ""),
        basic("relay", "canary"),
        basic("relay", "canary-push2"),
    ],
)
async def test_without_the_token(pushing: Rig, headers: dict[str, str]) -> None:
    response = await pushing.post(headers=headers)
    assert response.status == 401
    assert response.headers["WWW-Authenticate"] == 'Basic realm="relay push", Bearer realm="relay push"'
    assert "canary" not in await detail(response)
    assert pushing.journal.fetches == []


async def test_the_token_in_a_query_is_none(pushing: Rig) -> None:
    response = await pushing.post(path="/push/acme/sms?token=canary-push", headers={})
    assert response.status == 401


@pytest.mark.parametrize("path", ["/push/acme/voice", "/push/other/sms", "/push/acme%2Fsms/x"])
async def test_where_nothing_is_pushed_to(pushing: Rig, path: str) -> None:
    response = await pushing.post(path=path)
    assert response.status == 404
    assert "no push is enabled for" in await detail(response)


@pytest.mark.parametrize(
    "path", ["/", "/push", "/push/acme", "/push/acme/sms/", "/healthz", "/metrics", "/api/v1/status"]
)
async def test_the_push_port_has_nothing_else(pushing: Rig, path: str) -> None:
    assert (await pushing.post(path=path)).status == 404


async def test_only_post(pushing: Rig) -> None:
    async with aiohttp.ClientSession() as session:
        response = await session.get(f"http://127.0.0.1:{pushing.service.port}/push/acme/sms", headers=BEARER)
    assert (response.status, response.headers["Allow"]) == (405, "POST")


# --- while nothing can be taken in ---


@pytest.mark.parametrize("error", [JournalError("locked"), JournalFull("full"), JournalFatal("canary: I/O")])
async def test_a_journal_that_cannot_be_written(pushing: Rig, error: Exception) -> None:
    pushing.journal.error = error
    with structlog.testing.capture_logs() as logs:
        response = await pushing.post()
    assert (response.status, response.headers["Retry-After"]) == (503, "30")
    assert await detail(response) == "the journal cannot be written"
    assert pushing.woken == []
    assert [(line["event"], line["status"], line["error"]) for line in logs] == [("push refused", 503, str(error))]


@pytest.mark.parametrize(
    ("pressure", "word"), [(Pressure(100, 10**9), "max_unpublished"), (Pressure(0, 999), "min_free_bytes")]
)
async def test_no_room_until_there_is(pushing: Rig, pressure: Pressure, word: str) -> None:
    pushing.journal.pressure_now = pressure
    response = await pushing.post()
    assert (response.status, response.headers["Retry-After"]) == (503, "30")
    assert word in await detail(response)
    assert pushing.journal.fetches == []
    pushing.journal.pressure_now = Pressure(99, 1000)
    pushing.seconds += 1.0
    assert (await pushing.post()).status == 200


async def test_room_is_asked_for_once_a_second(pushing: Rig) -> None:
    for _ in range(3):
        await pushing.post()
    assert pushing.journal.asked == 1
    pushing.seconds += 1.0
    await pushing.post()
    assert pushing.journal.asked == 2


async def test_nobody_without_the_token_asks_the_journal(pushing: Rig) -> None:
    await pushing.post(headers={})
    assert pushing.journal.asked == 0


async def test_while_stopping(pushing: Rig) -> None:
    pushing.push.stop()
    response = await pushing.post()
    assert (response.status, response.headers["Retry-After"]) == (503, "30")
    assert await detail(response) == "relay is being stopped"
    assert pushing.journal.fetches == []


async def test_one_line_for_what_is_refused(pushing: Rig) -> None:
    with structlog.testing.capture_logs() as logs:
        await pushing.post(path="/push/" + "a" * 100 + "/sms%0Ax")
        await pushing.post()
    assert logs == [
        {
            "event": "push refused",
            "log_level": "warning",
            "source": "a" * 64,
            "kind": "sms\nx",
            "status": 404,
            "reason": f"no push is enabled for {'a' * 100}/sms\nx",
            "error": "",
            "peer": "127.0.0.1",
        }
    ]


# --- ports ---


@pytest.mark.parametrize(("push_there", "status"), [(True, 200), (False, 404)])
async def test_on_the_main_port_only_if_it_is_given(pushing: Rig, push_there: bool, status: int) -> None:
    class Figureless:
        async def figures(self, at_ms: int) -> Any:
            raise JournalError("none")

    application = make_web(
        instance="relay-0",
        token=Secret("canary-token"),
        journal=Figureless(),
        health=Health(),
        telemetry=Telemetry(),
        now_ms=lambda: NOW_MS,
        more=[pushing.push] if push_there else [],
    )
    assert isinstance(application, web.Application)
    service = HttpService(application, host="127.0.0.1", port=0)
    await service.start()
    async with aiohttp.ClientSession() as session:
        url = f"http://127.0.0.1:{service.port}/push/acme/sms"
        assert (await session.post(url, data=BODY, headers=BEARER)).status == status
        assert (await session.get(f"http://127.0.0.1:{service.port}/healthz")).status == 200
    await service.stop()
