"""Pushes over real connections: what is taken, what is refused, and what is on the disk when 200 is said."""

import asyncio
import base64
import gzip
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import aiohttp
import pytest
import structlog
from aiohttp import web

from relay.config import JournalConfig, Secret
from relay.domain.report import GapCause, Origin, Stream
from relay.observe import Health, Telemetry
from relay.ports import Fetch, JournalError, JournalFatal, JournalFull, Lease, Pressure
from relay.web import HttpService, Push, PushEndpoint, make_push_web, make_web

NOW_MS = 1_700_000_010_000
SMS = Stream("acme", "sms")
BODY = b'{"results":[{"messageId":"1"},{"messageId":"2"}]}'
BEARER = {"Authorization": "Bearer canary-push"}
LIMITS = JournalConfig(url="sqlite:////tmp/relay.db", max_unpublished=100, min_free_bytes=1000)
MOST_BYTES = 1000


class PushedJournal:
    """Keeps what is appended, or raises what it is told."""

    def __init__(self) -> None:
        self.fetches: list[tuple[Stream, Fetch]] = []
        self.pressure_now = Pressure(unpublished=0, free_bytes=10**9)
        self.error: Exception | None = None
        self.asked = 0
        self.wait: Callable[[], Awaitable[object]] | None = None

    async def append_fetch(self, lease: Lease | None, stream: Stream, fetch: Fetch, gap: GapCause | None) -> int:
        assert (lease, gap) == (None, None)
        if self.wait is not None:
            await self.wait()
        if self.error is not None:
            raise self.error
        self.fetches.append((stream, fetch))
        return len(self.fetches)

    async def pressure(self, stream: Stream) -> Pressure:
        self.asked += 1
        if isinstance(self.error, JournalFatal):
            raise self.error
        return self.pressure_now


class Rig:
    """A service that takes pushes for acme/sms, and who pushes."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self.journal = PushedJournal()
        self.woken: list[Stream] = []
        self.seconds = 1000.0
        self.push = Push(
            [PushEndpoint(SMS, Secret("canary-push"), "https://x.example", MOST_BYTES, 5.0)],
            journal=self.journal,
            limits=LIMITS,
            now_ms=lambda: NOW_MS,
            wake_unpack=self.woken.append,
            monotonic=lambda: self.seconds,
        )
        self.service = HttpService(make_push_web(self.push), host="127.0.0.1", port=0)
        self._session = session

    async def post(
        self, body: Any = BODY, path: str = "/push/acme/sms", headers: dict[str, str] = BEARER
    ) -> aiohttp.ClientResponse:
        url = f"http://127.0.0.1:{self.service.port}{path}"
        response = await self._session.post(url, data=body, headers={"Content-Type": "application/json", **headers})
        await response.read()
        return response

    def taken(self) -> list[bytes]:
        return [fetch.body for _, fetch in self.journal.fetches]


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    async with aiohttp.ClientSession() as session:
        rig = Rig(session)
        await rig.service.start()
        yield rig
        await rig.service.stop()


async def detail(response: aiohttp.ClientResponse) -> str:
    assert response.content_type == "application/problem+json"
    body = await response.json(content_type=None)
    assert body["status"] == response.status
    return str(body["detail"])


async def test_a_push_is_committed_as_it_came(rig: Rig) -> None:
    response = await rig.post()
    assert (response.status, await response.json()) == (200, {"status": "ok"})
    assert rig.journal.fetches == [
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
    assert rig.woken == [SMS]


async def test_nothing_is_parsed_before_the_commit(rig: Rig) -> None:
    broken = b'{"results":[{"messageId":"1"},{"messageId":'
    assert (await rig.post(broken)).status == 200
    assert rig.taken() == [broken]


async def test_200_waits_for_the_commit(rig: Rig) -> None:
    committing, committed = asyncio.Event(), asyncio.Event()

    async def wait() -> None:
        committing.set()
        await committed.wait()

    rig.journal.wait = wait
    answer = asyncio.ensure_future(rig.post())
    await committing.wait()
    assert not answer.done()
    assert rig.woken == []
    committed.set()
    assert (await answer).status == 200


def basic(user: str, password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


@pytest.mark.parametrize(
    "headers", [BEARER, {"Authorization": "bearer  canary-push"}, basic("", "canary-push"), basic("a", "canary-push")]
)
async def test_the_token_as_bearer_or_as_password(rig: Rig, headers: dict[str, str]) -> None:
    assert (await rig.post(headers=headers)).status == 200


async def test_the_token_in_the_url_that_is_called(rig: Rig) -> None:
    async with aiohttp.ClientSession() as session:
        url = f"http://relay:canary-push@127.0.0.1:{rig.service.port}/push/acme/sms"
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
async def test_without_the_token(rig: Rig, headers: dict[str, str]) -> None:
    response = await rig.post(headers=headers)
    assert response.status == 401
    assert response.headers["WWW-Authenticate"] == 'Basic realm="relay push", Bearer realm="relay push"'
    assert "canary" not in await detail(response)
    assert rig.journal.fetches == []


async def test_the_token_in_a_query_is_none(rig: Rig) -> None:
    response = await rig.post(path="/push/acme/sms?token=canary-push", headers={})
    assert response.status == 401


@pytest.mark.parametrize("path", ["/push/acme/voice", "/push/other/sms", "/push/acme%2Fsms/x"])
async def test_where_nothing_is_pushed_to(rig: Rig, path: str) -> None:
    response = await rig.post(path=path)
    assert response.status == 404
    assert "no push is enabled for" in await detail(response)


@pytest.mark.parametrize(
    "path", ["/", "/push", "/push/acme", "/push/acme/sms/", "/healthz", "/metrics", "/api/v1/status"]
)
async def test_the_push_port_has_nothing_else(rig: Rig, path: str) -> None:
    assert (await rig.post(path=path)).status == 404


async def test_only_post(rig: Rig) -> None:
    async with aiohttp.ClientSession() as session:
        response = await session.get(f"http://127.0.0.1:{rig.service.port}/push/acme/sms", headers=BEARER)
    assert (response.status, response.headers["Allow"]) == (405, "POST")


# --- sizes and codings ---


async def chunks(*pieces: bytes) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece


def filled(size: int) -> bytes:
    return b'{"results":[]}'.ljust(size)


async def test_as_large_as_allowed(rig: Rig) -> None:
    assert (await rig.post(filled(MOST_BYTES))).status == 200
    assert (await rig.post(chunks(filled(MOST_BYTES)))).status == 200
    assert [len(body) for body in rig.taken()] == [MOST_BYTES] * 2


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("told", [False, True])
async def test_larger_than_allowed(rig: Rig, compressed: bool, told: bool) -> None:
    body = gzip.compress(filled(MOST_BYTES + 1)) if compressed else filled(MOST_BYTES + 1)
    headers = {**BEARER, "Content-Encoding": "gzip"} if compressed else BEARER
    response = await rig.post(body if told else chunks(body), headers=headers)
    assert response.status == 413
    assert "max_body_bytes" in await detail(response)
    assert rig.journal.fetches == []


async def test_a_bomb_is_not_inflated(rig: Rig) -> None:
    bomb = gzip.compress(gzip.compress(b'{"results":[]}' + bytes(100_000_000), compresslevel=9), compresslevel=9)
    assert len(bomb) < MOST_BYTES
    outer = gzip.decompress(bomb)
    assert len(outer) > MOST_BYTES
    response = await rig.post(bomb, headers={**BEARER, "Content-Encoding": "gzip"})
    assert response.status == 413


@pytest.mark.parametrize("label", ["gzip", "", "br"])
async def test_gzip_by_what_it_is(rig: Rig, label: str) -> None:
    headers = {**BEARER, "Content-Encoding": label} if label else BEARER
    assert (await rig.post(gzip.compress(BODY, mtime=0), headers=headers)).status == 200
    assert rig.taken() == [BODY]


async def test_a_wrong_label_refuses_no_reports(rig: Rig) -> None:
    assert (await rig.post(BODY, headers={**BEARER, "Content-Encoding": "gzip"})).status == 200
    assert rig.taken() == [BODY]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (gzip.compress(BODY, mtime=0)[:-12], "compressed body ended early"),
        (gzip.compress(BODY, mtime=0)[:20] + b"\xff" * 20, "compressed body"),
        (b"\x1bX\x00\x00", "content-encoding"),
    ],
)
async def test_what_cannot_be_inflated_comes_again(rig: Rig, body: bytes, reason: str) -> None:
    label = "gzip" if "compressed" in reason else "br"
    response = await rig.post(body, headers={**BEARER, "Content-Encoding": label})
    assert response.status == 400
    assert reason in await detail(response)
    assert rig.journal.fetches == []


@pytest.mark.parametrize("body", [b"", b" \n", b"{}", b"<html><body>no</body></html>"])
async def test_what_is_no_collection(rig: Rig, body: bytes) -> None:
    response = await rig.post(body)
    assert response.status == 400
    assert await detail(response)
    assert rig.journal.fetches == []
    assert rig.woken == []


async def test_a_body_that_breaks_off(rig: Rig) -> None:
    head = (
        b"POST /push/acme/sms HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer canary-push\r\nContent-Length: 100\r\n\r\n"
    )
    with structlog.testing.capture_logs() as logs:
        with socket.create_connection(("127.0.0.1", rig.service.port)) as connection:
            await asyncio.get_running_loop().run_in_executor(None, connection.sendall, head + BODY)
        while not logs:  # noqa: ASYNC110 - nobody answers a connection that is gone, the line is all there is
            await asyncio.sleep(0.01)
    assert [(line["event"], line["status"], line["reason"]) for line in logs] == [
        ("push refused", 400, "the body did not come whole")
    ]
    assert rig.journal.fetches == []


async def test_a_chunk_that_is_none(rig: Rig) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", rig.service.port)
    writer.write(
        b"POST /push/acme/sms HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer canary-push\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n31\r\n" + BODY + b"\r\nxyz\r\n"
    )
    assert b" 400 " in await reader.readline()
    writer.close()
    assert rig.journal.fetches == []


async def test_a_body_that_takes_too_long(rig: Rig) -> None:
    rig.push._endpoints[SMS] = rig.push._endpoints[SMS]._replace(timeout_seconds=0.05)
    reader, writer = await asyncio.open_connection("127.0.0.1", rig.service.port)
    writer.write(
        b"POST /push/acme/sms HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer canary-push\r\nContent-Length: 99\r\n\r\n{"
    )
    assert b" 408 " in await reader.readline()
    writer.close()


async def test_bodies_in_hand_are_bounded_together(rig: Rig) -> None:
    committing, committed = asyncio.Event(), asyncio.Event()

    async def wait() -> None:
        committing.set()
        await committed.wait()

    rig.journal.wait = wait
    first = asyncio.ensure_future(rig.post(filled(MOST_BYTES - 100)))
    await committing.wait()
    refused = await rig.post(filled(101))
    assert (refused.status, refused.headers["Retry-After"]) == (503, "30")
    second = asyncio.ensure_future(rig.post(filled(100)))
    await asyncio.sleep(0)
    committed.set()
    assert [(await answer).status for answer in (first, second)] == [200, 200]
    assert (await rig.post(filled(MOST_BYTES))).status == 200


# --- while nothing can be taken in ---


@pytest.mark.parametrize("error", [JournalError("locked"), JournalFull("full"), JournalFatal("canary: I/O")])
async def test_a_journal_that_cannot_be_written(rig: Rig, error: Exception) -> None:
    rig.journal.error = error
    with structlog.testing.capture_logs() as logs:
        response = await rig.post()
    assert (response.status, response.headers["Retry-After"]) == (503, "30")
    assert await detail(response) == "the journal cannot be written"
    assert rig.woken == []
    assert [(line["event"], line["status"], line["error"]) for line in logs] == [("push refused", 503, str(error))]


@pytest.mark.parametrize(
    ("pressure", "word"), [(Pressure(100, 10**9), "max_unpublished"), (Pressure(0, 999), "min_free_bytes")]
)
async def test_no_room_until_there_is(rig: Rig, pressure: Pressure, word: str) -> None:
    rig.journal.pressure_now = pressure
    response = await rig.post()
    assert (response.status, response.headers["Retry-After"]) == (503, "30")
    assert word in await detail(response)
    assert rig.journal.fetches == []
    rig.journal.pressure_now = Pressure(99, 1000)
    rig.seconds += 1.0
    assert (await rig.post()).status == 200


async def test_room_is_asked_for_once_a_second(rig: Rig) -> None:
    for _ in range(3):
        await rig.post()
    assert rig.journal.asked == 1
    rig.seconds += 1.0
    await rig.post()
    assert rig.journal.asked == 2


async def test_nobody_without_the_token_asks_the_journal(rig: Rig) -> None:
    await rig.post(headers={})
    assert rig.journal.asked == 0


async def test_while_stopping(rig: Rig) -> None:
    rig.push.stop()
    response = await rig.post()
    assert (response.status, response.headers["Retry-After"]) == (503, "30")
    assert await detail(response) == "relay is being stopped"
    assert rig.journal.fetches == []


async def test_one_line_for_what_is_refused(rig: Rig) -> None:
    with structlog.testing.capture_logs() as logs:
        await rig.post(path="/push/" + "a" * 100 + "/sms%0Ax")
        await rig.post()
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
async def test_on_the_main_port_only_if_it_is_given(rig: Rig, push_there: bool, status: int) -> None:
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
        more=[rig.push] if push_there else [],
    )
    assert isinstance(application, web.Application)
    service = HttpService(application, host="127.0.0.1", port=0)
    await service.start()
    async with aiohttp.ClientSession() as session:
        url = f"http://127.0.0.1:{service.port}/push/acme/sms"
        assert (await session.post(url, data=BODY, headers=BEARER)).status == status
        assert (await session.get(f"http://127.0.0.1:{service.port}/healthz")).status == 200
    await service.stop()
