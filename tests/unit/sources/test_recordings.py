"""What is asked for a recording, what is refused, and what an answer comes to."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from yarl import URL

from relay.domain.recordings import Failure
from relay.sources.recordings import InfobipRecordings, own_address
from tests.unit.sources.conftest import MakeSource

BASE = "https://xyz.api.infobip.com/restapi"


class Api:
    """A server that notes what it is asked and answers as told."""

    def __init__(self) -> None:
        self.requests: list[web.Request] = []
        self.answers: list[web.StreamResponse] = []
        self.url = ""

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(request)
        return self.answers.pop(0)


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    api = Api()
    app = web.Application()
    app.router.add_get("/{path:.*}", api.answer)
    async with TestServer(app) as server:
        api.url = str(server.make_url("")).rstrip("/")
        yield api


@pytest.fixture
def fetch(make_source: MakeSource, api: Api) -> Callable[..., Any]:
    async def ask(url: str, *, max_bytes: int = 1000) -> tuple[Failure | None, bytes]:
        account = make_source(api.url).account
        received = bytearray()

        async def write(piece: bytes) -> None:
            received.extend(piece)

        client = InfobipRecordings(account, lambda: 1_700_000_000_000, max_bytes=max_bytes)
        return await client.fetch_recording(url, write), bytes(received)

    return ask


async def test_a_good_answer_is_written_whole(api: Api, fetch: Callable[..., Any]) -> None:
    api.answers.append(web.Response(body=b"RIFF" * 200))
    assert await fetch(f"{api.url}/tts/3/files/m-1/3859?a=b#c") == (None, b"RIFF" * 200)
    (request,) = api.requests
    assert request.path_qs == "/tts/3/files/m-1/3859?a=b"
    assert request.headers["Authorization"] == "App key-1"
    assert request.headers["Accept-Encoding"] == "identity"


@pytest.mark.parametrize(
    ("answer", "failure"),
    [
        (web.Response(status=404), Failure("the source answered 404")),
        (web.Response(status=401), Failure("the source answered 401")),
        (web.Response(status=410), Failure("the source answered 410", final=True)),
        (
            web.Response(status=429, headers={"Retry-After": "7"}),
            Failure("the source answered 429", retry_after_seconds=7.0),
        ),
        (
            web.Response(status=302, headers={"Location": "https://elsewhere.example/a.wav"}),
            Failure("the source answered 302"),
        ),
        (web.Response(status=204), Failure("the source answered 204")),
        (web.Response(status=206, body=b"RI"), Failure("the source answered 206")),
        (
            web.Response(body=b"\x1f\x8b", headers={"Content-Encoding": "gzip"}),
            Failure("the answer is encoded although that was not asked for"),
        ),
        (web.Response(body=b"x" * 1001), Failure("the recording is larger than 1000 bytes", final=True)),
    ],
)
async def test_other_answers(api: Api, fetch: Callable[..., Any], answer: web.Response, failure: Failure) -> None:
    api.answers.append(answer)
    assert await fetch(f"{api.url}/a") == (failure, b"")
    assert len(api.requests) == 1


async def test_an_answer_without_a_length_is_bounded_too(api: Api, fetch: Callable[..., Any]) -> None:
    response = web.Response(body=b"x" * 1001)
    response.enable_chunked_encoding()
    api.answers.append(response)
    failure, received = await fetch(f"{api.url}/a")
    assert failure == Failure("the recording is larger than 1000 bytes", final=True)
    assert len(received) <= 1000


async def test_an_answer_that_breaks_off_may_be_had_again(api: Api, fetch: Callable[..., Any]) -> None:
    class Cut(web.Response):
        async def write_eof(self, data: bytes = b"") -> None:
            assert self._req is not None
            assert self._req.transport is not None
            self._req.transport.abort()
            await asyncio.sleep(0)

    api.answers.append(Cut(body=b"x" * 500))
    failure, _ = await fetch(f"{api.url}/a")
    assert failure is not None
    assert not failure.final


async def test_a_source_that_is_away_may_come_back(api: Api, make_source: MakeSource) -> None:
    client = InfobipRecordings(make_source("http://127.0.0.1:1").account)
    failure = await client.fetch_recording("http://127.0.0.1:1/a", _nowhere)
    assert failure is not None
    assert failure.reason.startswith("cannot connect to 127.0.0.1:1: connection refused")
    assert not failure.final


async def test_what_cannot_be_written_is_not_the_sources_fault(api: Api, make_source: MakeSource) -> None:
    api.answers.append(web.Response(body=b"RIFF"))
    client = InfobipRecordings(make_source(api.url).account)
    with pytest.raises(OSError, match="No space left"):
        await client.fetch_recording(f"{api.url}/a", _full)


async def test_credentials_stay_at_home(api: Api, make_source: MakeSource) -> None:
    """The account's host is another port of the same machine: that is another origin."""
    client = InfobipRecordings(make_source("http://127.0.0.1:1").account)
    failure = await client.fetch_recording(f"{api.url}/a", _nowhere)
    assert failure is not None
    assert failure.final
    assert api.requests == []


async def _nowhere(_piece: bytes) -> None:
    raise AssertionError("there is nothing to write")


async def _full(_piece: bytes) -> None:
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize(
    "url",
    [
        "https://xyz.api.infobip.com/tts/3/files/m-1",
        "https://XYZ.API.infobip.com:443/tts/3/files/m-1",
        "HTTPS://xyz.api.infobip.com/a?b=c",
    ],
)
def test_own_addresses(url: str) -> None:
    address = own_address(url, BASE)
    assert isinstance(address, URL)
    assert address.host == "xyz.api.infobip.com"
    assert address.port == 443


@pytest.mark.parametrize(
    "url",
    [
        "http://xyz.api.infobip.com/a",
        "https://xyz.api.infobip.com:8443/a",
        "https://api.infobip.com/a",
        "https://xyz.api.infobip.com.evil.example/a",
        "https://evil.example/xyz.api.infobip.com",
        "https://xyz.api.infobip.com@evil.example/a",
        "https://xyz.api.infobip.com\\@evil.example/a",
        "https://user@xyz.api.infobip.com/a",
        "https://user:password@xyz.api.infobip.com/a",
        "https://evil.example#@xyz.api.infobip.com/a",
        "https://evil.example?@xyz.api.infobip.com/a",
        "https://xyz.api.infobip.com./a",
        "https://[::1]/a",
        "https://169.254.169.254/latest/meta-data",
        "ftp://xyz.api.infobip.com/a",
        "file:///etc/passwd",
        "//xyz.api.infobip.com/a",
        "/tts/3/files/m-1",
        "data:audio/wav;base64,AAAA",
        "https://",
        "https://xyz.api.infobip.com:99999/a",
        "",
    ],
)
def test_addresses_elsewhere_are_refused(url: str) -> None:
    failure = own_address(url, BASE)
    assert isinstance(failure, Failure)
    assert failure.final
