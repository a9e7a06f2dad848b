"""Recordings over HTTP: to whoever has the token, byte for byte, and nothing else of the disk."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from urllib.parse import quote

import pytest
from aiohttp import web
from yarl import URL

from relay.config import Secret
from relay.domain.recordings import recording_path
from relay.observe import Health, Telemetry
from relay.simulator.files import recording
from relay.sinks.recordings import RecordingArchive
from relay.web import RecordingRoutes, make_web
from tests.unit.web.conftest import Client, ToldJournal

BEARER = {"Authorization": "Bearer canary-token"}
ODD = ["m-1", "MESSAGE-1", "a b", "a/b", "../../secret", "..", "%2e%2e", "ž#?", "x" * 256]


class Shelf(RecordingArchive):
    """One that can be out of reach."""

    error: OSError | None = None

    async def find(self, source: str, message_id: str) -> Path | None:
        if self.error is not None:
            raise self.error
        return await super().find(source, message_id)


@pytest.fixture
async def shelf(tmp_path: Path) -> Shelf:
    shelf = Shelf(tmp_path / "recordings", min_free_bytes=0)
    for message_id in ODD:
        incoming = await shelf.receive(recording_path("acme", "2018-06-25", message_id))
        await incoming.write(recording(message_id))
        await incoming.keep()
    return shelf


@pytest.fixture
async def client(
    shelf: Shelf, aiohttp_client: Callable[[web.Application], Awaitable[Client]], tmp_path: Path
) -> Client:
    (tmp_path / "secret.wav").write_bytes(b"RIFF secret")
    (tmp_path / "secret").write_bytes(b"RIFF secret")
    return await aiohttp_client(
        make_web(
            instance="relay-0",
            token=Secret("canary-token"),
            journal=ToldJournal(),
            health=Health(),
            telemetry=Telemetry(),
            now_ms=lambda: 1_700_000_010_000,
            more=[RecordingRoutes({"acme": shelf})],
        )
    )


def url(message_id: str, source: str = "acme") -> str:
    return f"/api/v1/recordings/{quote(source, safe='')}/{quote(message_id, safe='')}"


def raw(client: Client, path: str) -> URL:
    """As it is: no client may tidy up what is encoded."""
    return URL(f"{client.make_url('/').origin()}{path}", encoded=True)


@pytest.mark.parametrize("message_id", ODD)
async def test_a_recording_as_it_was_stored(client: Client, message_id: str) -> None:
    async with client.session.get(raw(client, url(message_id)), headers=BEARER) as answer:
        assert answer.status == 200
        assert answer.content_type == "audio/wav"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert await answer.read() == recording(message_id)


async def test_a_range(client: Client) -> None:
    answer = await client.get(url("m-1"), headers={**BEARER, "Range": "bytes=8-11"})
    assert (answer.status, await answer.read()) == (206, b"WAVE")
    assert answer.headers["Content-Range"] == f"bytes 8-11/{len(recording('m-1'))}"
    beyond = await client.get(url("m-1"), headers={**BEARER, "Range": "bytes=9999999-"})
    assert beyond.status == 416


async def test_only_the_head(client: Client) -> None:
    answer = await client.head(url("m-1"), headers=BEARER)
    assert (answer.status, answer.headers["Content-Length"]) == (200, str(len(recording("m-1"))))


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer wrong"}])
async def test_nobody_else_hears_it(client: Client, headers: dict[str, str]) -> None:
    answer = await client.get(url("m-1"), headers=headers)
    assert answer.status == 401
    assert b"RIFF" not in await answer.read()


@pytest.mark.parametrize(
    "path",
    [
        url("m-2"),
        url("m-1", "beta"),
        url("m-1", ".."),
        url("m-1", "../recordings/acme"),
        url("secret"),
        url("../secret"),
        url("x" * 257),
        "/api/v1/recordings/acme/2018/06/25/m-1.wav",
        "/api/v1/recordings/acme/..%2f..%2fsecret.wav",
        "/api/v1/recordings/acme/%2fetc%2fpasswd",
        "/api/v1/recordings/acme/m-1%00",
        "/api/v1/recordings/acme/",
        "/api/v1/recordings/acme",
    ],
)
async def test_what_is_not_there(client: Client, path: str) -> None:
    async with client.session.get(raw(client, path), headers=BEARER) as answer:
        assert answer.status == 404
        assert answer.content_type == "application/problem+json"


async def test_a_disk_that_cannot_be_read(client: Client, shelf: Shelf) -> None:
    shelf.error = PermissionError(13, "Permission denied")
    answer = await client.get(url("m-1"), headers=BEARER)
    assert answer.status == 503
