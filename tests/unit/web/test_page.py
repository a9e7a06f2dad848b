"""The page: figures for people, nothing in it that runs."""

from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestClient

from relay.observe import Health
from relay.web.page import render_page

Client = TestClient[web.Request, web.Application]
HOSTILE = '<script>alert("x")</script>'

STATUS: dict[str, Any] = {
    "status": "ok",
    "instance": "relay-0",
    "version": "1.2.3",
    "degraded": {},
    "started_at": "2023-11-14T22:13:30.000Z",
    "journal": {"writable": True, "size_bytes": 5_767_168, "free_bytes": 900},
    "streams": [],
    "callbacks": [],
}


async def test_the_page_shows_streams_and_callbacks(client: Client) -> None:
    response = await client.get("/")
    text = await response.text()
    assert (response.status, response.content_type) == (200, "text/html")
    assert "<td>acme/sms</td>" in text
    assert "<td>12,345</td>" in text
    assert "<td>2023-11-14 22:13:20</td>" in text
    assert "<td>billing</td><td>5</td><td>none</td><td>4</td>" in text


async def test_nothing_on_the_page_runs(client: Client, health: Health) -> None:
    health.degrade(HOSTILE, HOSTILE)
    response = await client.get("/")
    text = await response.text()
    assert "<script" not in text
    assert text.count("&lt;script&gt;alert(&quot;x&quot;)&lt;/script&gt;") == 2
    assert response.headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.headers["Cache-Control"] == "no-store"


async def test_the_page_shows_no_token(client: Client) -> None:
    assert "canary-token" not in await (await client.get("/")).text()


def test_sizes_are_legible() -> None:
    assert "Journal 5.5 MiB, 900 bytes free." in render_page(STATUS)
    huge = STATUS | {"journal": {"size_bytes": 3 * 1024**4, "free_bytes": 2048}}
    assert "Journal 3.0 TiB, 2.0 KiB free." in render_page(huge)


def test_a_page_without_a_journal() -> None:
    text = render_page(STATUS | {"journal": None, "status": "unavailable"})
    assert "The journal cannot be read." in text
    assert text.count("<p>None.</p>") == 2
