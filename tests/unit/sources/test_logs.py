"""What the logs client asks, when it asks again, and what it makes of each answer."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from typing import Any
from urllib.parse import unquote_to_bytes

import orjson
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from relay.config import SourceConfig
from relay.domain.report import Decoded, Report
from relay.ports import LogQuery, LogsRefused, LogsUnavailable
from relay.sources.account import Account
from relay.sources.logs import InfobipLogs
from tests.unit.sources.raw_server import RawServer, answer, closing_after, playing, resetting_after, sending

EMPTY = b'{"results":[]}'
ROW = b'{"results":[{"messageId":"m-1","from":"4179","text":"Hi","mccmnc":"22801","status":{"id":5},"error":{"id":0}}]}'


class Logs:
    """A client whose waits between tries are noted and over at once."""

    def __init__(self, base_url: str, *, requests_per_minute: int = 60_000, **keys: Any) -> None:
        given = {"auth": {"type": "api_key", "token": "key-1"}, "poll": {"timeout_seconds": 2}, **keys}
        config = SourceConfig.model_validate({"name": "acme", "base_url": base_url, **given})
        self.account = Account(config)
        self.waits: list[float] = []
        self.client = InfobipLogs(
            self.account,
            requests_per_minute=requests_per_minute,
            now_ms=lambda: 1_700_000_000_000,
            sleep=self._sleep,
        )

    async def _sleep(self, seconds: float) -> None:
        self.waits.append(seconds)

    async def ask(self, kind: str = "voice", **query: Any) -> Decoded:
        return await self.client.fetch_logs(kind, LogQuery(**query))


MakeLogs = Callable[..., Logs]


@pytest.fixture
async def make_logs() -> AsyncIterator[MakeLogs]:
    made: list[Logs] = []

    def make(base_url: str, **keys: Any) -> Logs:
        made.append(Logs(base_url, **keys))
        return made[-1]

    yield make
    for logs in made:
        await logs.account.close()


# --- what is asked ---


@pytest.mark.parametrize(
    ("kind", "query", "target"),
    [
        ("voice", {}, "/tts/3/logs"),
        ("sms", {"limit": 7}, "/sms/1/logs?limit=7"),
        ("email", {"message_id": "a b"}, "/email/1/logs?messageId=a+b"),
        (
            "voice",
            {"sender": "41793026700", "to": "41793026727", "limit": 1},
            "/tts/3/logs?from=41793026700&to=41793026727&limit=1",
        ),
        ("voice", {"bulk_ids": ("1dece649", "bafdeb3d")}, "/tts/3/logs?bulkId=1dece649,bafdeb3d"),
        ("voice", {"bulk_ids": ("one",)}, "/tts/3/logs?bulkId=one"),
        (
            "voice",
            {"sent_since_ms": 1424623325390, "general_status": "DELIVERED"},
            "/tts/3/logs?generalStatus=DELIVERED&sentSince=2015-02-22T16:42:05.390%2B00:00",
        ),
        (
            "voice",
            {"sent_until_ms": 1424623325009, "mcc": "228", "mnc": "01"},
            "/tts/3/logs?sentUntil=2015-02-22T16:42:05.009%2B00:00&mcc=228&mnc=01",
        ),
        ("voice", {"message_id": "50%+&=ü"}, "/tts/3/logs?messageId=50%25%2B%26%3D%C3%BC"),
    ],
)
async def test_each_documented_parameter_is_encoded_once(
    make_logs: MakeLogs, kind: str, query: dict[str, Any], target: str
) -> None:
    endpoints = ["sms", "voice", {"kind": "email", "path": "/email/1/reports", "logs_path": "/email/1/logs"}]
    async with RawServer(playing(sending(answer(EMPTY)))) as server:
        await make_logs(server.url, endpoints=endpoints).ask(kind, **query)
    assert server.requests[0].split("\r\n")[0] == f"GET {target} HTTP/1.1"


async def test_a_plus_arrives_as_a_plus(make_logs: MakeLogs, aiohttp_server: Callable[..., Any]) -> None:
    asked: list[tuple[str, dict[str, str]]] = []

    async def logs(request: web.Request) -> web.Response:
        asked.append((request.raw_path, dict(request.query)))
        return web.Response(body=EMPTY)

    application = web.Application()
    application.router.add_get("/restapi/tts/3/logs", logs)
    server: TestServer = await aiohttp_server(application)
    await make_logs(str(server.make_url("/restapi"))).ask(sent_since_ms=0, to="+4179")
    assert asked[0][1] == {"sentSince": "1970-01-01T00:00:00.000+00:00", "to": "+4179"}
    assert b"+" in unquote_to_bytes(asked[0][0])
    assert asked[0][0].count("%2B") == 2


async def test_it_logs_in_and_asks_as_the_reports_client_does(make_logs: MakeLogs) -> None:
    async with RawServer(playing(sending(answer(EMPTY)))) as server:
        await make_logs(server.url, auth={"type": "basic", "username": "Aladdin", "password": "open sesame"}).ask()
    head = server.requests[0].split("\r\n")
    assert "Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==" in head
    assert "Accept: application/json" in head
    assert "Accept-Encoding: gzip" in head


# --- what comes of it ---


async def test_rows_become_reports_and_keep_what_reports_do_not_have(make_logs: MakeLogs) -> None:
    async with RawServer(playing(sending(answer(ROW)))) as server:
        decoded = await make_logs(server.url).ask()
    (row,) = decoded.entries
    assert isinstance(row, Report)
    assert (row.message_id, row.outcome) == ("m-1", "5:0")
    value = orjson.loads(row.value)
    assert (value["from"], value["text"], value["mccMnc"]) == ("4179", "Hi", "22801")
    assert "mccmnc" not in value


async def test_a_large_answer_is_decoded_beside_the_loop(make_logs: MakeLogs) -> None:
    rows = b",".join(b'{"messageId":"m-%d","text":"%b"}' % (n, b"x" * 1000) for n in range(1200))
    async with RawServer(playing(sending(answer(b'{"results":[%b]}' % rows)))) as server:
        decoded = await make_logs(server.url).ask()
    assert len(decoded.entries) == 1200


async def test_no_content_is_no_rows(make_logs: MakeLogs) -> None:
    async with RawServer(playing(sending(b"HTTP/1.1 204 No Content\r\n\r\n"))) as server:
        assert await make_logs(server.url).ask() == Decoded([], complete=True)


async def test_a_kind_without_a_logs_endpoint_is_not_asked_for(make_logs: MakeLogs) -> None:
    async with RawServer(playing()) as server:
        logs = make_logs(server.url, endpoints=[{"kind": "email", "path": "/email/1/reports"}])
        with pytest.raises(LogsRefused, match="has no logs_path"):
            await logs.ask("email")
        assert server.requests == []


# --- asking again ---


@pytest.mark.parametrize(
    "first",
    [
        sending(answer(b"{}", status="500 Oops")),
        sending(answer(b"{}", status="429 Too Many Requests")),
        sending(answer(b"<html>", status="200 OK")),
        closing_after(),
        resetting_after(answer(ROW[:20], length=len(ROW))),
        closing_after(answer(ROW[:20], length=len(ROW))),
    ],
    ids=["500", "429", "not logs", "closed", "reset in the body", "cut"],
)
async def test_what_may_succeed_soon_is_asked_for_again(make_logs: MakeLogs, first: Any) -> None:
    async with RawServer(playing(first, sending(answer(ROW)))) as server:
        logs = make_logs(server.url)
        decoded = await logs.ask()
    assert len(decoded.entries) == 1
    assert len(server.requests) == 2
    assert len(logs.waits) == 1
    assert 0.25 <= logs.waits[0] <= 0.5


@pytest.mark.parametrize(("header", "waits"), [("7", [7.0]), ("Tue, 14 Nov 2023 22:13:30 GMT", [10.0]), ("0", [0.0])])
async def test_retry_after_is_honoured(make_logs: MakeLogs, header: str, waits: list[float]) -> None:
    busy = answer(b"{}", status="429 Too Many Requests", headers=f"Retry-After: {header}\r\n")
    async with RawServer(playing(sending(busy), sending(answer(ROW)))) as server:
        logs = make_logs(server.url)
        await logs.ask()
    assert logs.waits == waits


@pytest.mark.parametrize(("header", "seconds"), [("61", 61.0), ("31536000", 3600.0)])
async def test_a_long_retry_after_ends_the_call_and_says_how_long(
    make_logs: MakeLogs, header: str, seconds: float
) -> None:
    busy = answer(b"{}", status="429 Too Many Requests", headers=f"Retry-After: {header}\r\n")
    async with RawServer(playing(sending(busy))) as server:
        logs = make_logs(server.url)
        with pytest.raises(LogsUnavailable, match="answered 429") as raised:
            await logs.ask()
    assert raised.value.retry_after_seconds == seconds
    assert (logs.waits, len(server.requests)) == ([], 1)


async def test_it_gives_up_after_four_tries_with_growing_waits(make_logs: MakeLogs) -> None:
    async with RawServer(playing(*[sending(answer(b"{}", status="503 Busy"))] * 9)) as server:
        logs = make_logs(server.url)
        with pytest.raises(LogsUnavailable, match="answered 503"):
            await logs.ask()
    assert len(server.requests) == 4
    assert [lowest <= wait <= 2 * lowest for lowest, wait in zip((0.25, 0.5, 1.0), logs.waits, strict=True)] == [
        True
    ] * 3


@pytest.mark.parametrize("status", [400, 401, 403, 404, 302])
async def test_a_refusal_is_not_asked_for_again(make_logs: MakeLogs, status: int) -> None:
    async with RawServer(playing(sending(answer(b"{}", status=f"{status} No")))) as server:
        logs = make_logs(server.url)
        with pytest.raises(LogsRefused) as raised:
            await logs.ask()
    assert raised.value.status == status
    assert len(server.requests) == 1


async def test_the_time_out_of_polls_holds(make_logs: MakeLogs) -> None:
    async def silent(peer: Any) -> None:
        await peer.gone()

    async with RawServer(playing(*[silent] * 4)) as server:
        with pytest.raises(LogsUnavailable, match="TimeoutError"):
            await make_logs(server.url, poll={"timeout_seconds": 0.05}).ask()
    assert len(server.requests) == 4


async def test_requests_keep_the_pace_whoever_asks(make_logs: MakeLogs) -> None:
    async with RawServer(playing(*[sending(answer(EMPTY))] * 6)) as server:
        logs = make_logs(server.url, requests_per_minute=1200)  # one each 50 ms
        started = time.monotonic()
        await asyncio.gather(*(logs.ask(kind) for kind in ("sms", "voice") * 3))
        took_seconds = time.monotonic() - started
    assert len(server.requests) == 6
    assert took_seconds >= 0.24
