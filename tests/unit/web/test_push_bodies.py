"""What is pushed: how large, how coded, how it breaks off."""

import asyncio
import gzip
import socket
import tracemalloc
from collections.abc import AsyncIterator

import pytest
import structlog

from tests.unit.web.push_rig import BEARER, BODY, MOST_BYTES, SMS, Rig, detail


async def chunks(*pieces: bytes) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece


def filled(size: int) -> bytes:
    return b'{"results":[]}'.ljust(size)


async def test_as_large_as_allowed(pushing: Rig) -> None:
    assert (await pushing.post(filled(MOST_BYTES))).status == 200
    assert (await pushing.post(chunks(filled(MOST_BYTES)))).status == 200
    assert [len(body) for body in pushing.taken()] == [MOST_BYTES] * 2


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("told", [False, True])
async def test_larger_than_allowed(pushing: Rig, compressed: bool, told: bool) -> None:
    body = gzip.compress(filled(MOST_BYTES + 1)) if compressed else filled(MOST_BYTES + 1)
    headers = {**BEARER, "Content-Encoding": "gzip"} if compressed else BEARER
    response = await pushing.post(body if told else chunks(body), headers=headers)
    assert response.status == 413
    assert "max_body_bytes" in await detail(response)
    assert pushing.journal.fetches == []


async def test_a_bomb_is_not_inflated(pushing: Rig) -> None:
    bomb = gzip.compress(b'{"results":[]}' + bytes(900_000), compresslevel=9)
    assert len(bomb) < MOST_BYTES
    tracemalloc.start()
    try:
        response = await pushing.post(bomb, headers={**BEARER, "Content-Encoding": "gzip"})
        _, most_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert response.status == 413
    assert most_bytes < 450_000, "it would be 900,000 and more"


@pytest.mark.parametrize("label", ["gzip", "", "br"])
async def test_gzip_by_what_it_is(pushing: Rig, label: str) -> None:
    headers = {**BEARER, "Content-Encoding": label} if label else BEARER
    assert (await pushing.post(gzip.compress(BODY, mtime=0), headers=headers)).status == 200
    assert pushing.taken() == [BODY]


async def test_a_wrong_label_refuses_no_reports(pushing: Rig) -> None:
    assert (await pushing.post(BODY, headers={**BEARER, "Content-Encoding": "gzip"})).status == 200
    assert pushing.taken() == [BODY]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (gzip.compress(BODY, mtime=0)[:-12], "compressed body ended early"),
        (gzip.compress(BODY, mtime=0)[:20] + b"\xff" * 20, "compressed body"),
        (b"\x1bX\x00\x00", "content-encoding"),
    ],
)
async def test_what_cannot_be_inflated_comes_again(pushing: Rig, body: bytes, reason: str) -> None:
    label = "gzip" if "compressed" in reason else "br"
    response = await pushing.post(body, headers={**BEARER, "Content-Encoding": label})
    assert response.status == 400
    assert reason in await detail(response)
    assert pushing.journal.fetches == []


@pytest.mark.parametrize("body", [b"", b" \n", b"{}", b"<html><body>no</body></html>"])
async def test_what_is_no_collection(pushing: Rig, body: bytes) -> None:
    response = await pushing.post(body)
    assert response.status == 400
    assert await detail(response)
    assert pushing.journal.fetches == []
    assert pushing.woken == []


async def test_a_body_that_breaks_off(pushing: Rig) -> None:
    head = (
        b"POST /push/acme/sms HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer canary-push\r\nContent-Length: 100\r\n\r\n"
    )
    with structlog.testing.capture_logs() as logs:
        with socket.create_connection(("127.0.0.1", pushing.service.port)) as connection:
            await asyncio.get_running_loop().run_in_executor(None, connection.sendall, head + BODY)
        while not logs:  # noqa: ASYNC110 - nobody answers a connection that is gone, the line is all there is
            await asyncio.sleep(0.01)
    assert [(line["event"], line["status"], line["reason"]) for line in logs] == [
        ("push refused", 400, "the body did not come whole")
    ]
    assert pushing.journal.fetches == []


async def test_a_chunk_that_is_none(pushing: Rig) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", pushing.service.port)
    writer.write(
        b"POST /push/acme/sms HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer canary-push\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n31\r\n" + BODY + b"\r\nxyz\r\n"
    )
    assert b" 400 " in await reader.readline()
    writer.close()
    assert pushing.journal.fetches == []


async def test_a_body_that_takes_too_long(pushing: Rig) -> None:
    pushing.push._endpoints[SMS] = pushing.push._endpoints[SMS]._replace(timeout_seconds=0.05)
    reader, writer = await asyncio.open_connection("127.0.0.1", pushing.service.port)
    writer.write(
        b"POST /push/acme/sms HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer canary-push\r\nContent-Length: 99\r\n\r\n{"
    )
    assert b" 408 " in await reader.readline()
    writer.close()


async def test_bodies_in_hand_are_bounded_together(pushing: Rig) -> None:
    committing, committed = asyncio.Event(), asyncio.Event()

    async def wait() -> None:
        committing.set()
        await committed.wait()

    pushing.journal.wait = wait
    first = asyncio.ensure_future(pushing.post(filled(MOST_BYTES - 100)))
    await committing.wait()
    refused = await pushing.post(filled(101))
    assert (refused.status, refused.headers["Retry-After"]) == (503, "30")
    second = asyncio.ensure_future(pushing.post(filled(100)))
    await asyncio.sleep(0)
    committed.set()
    assert [(await answer).status for answer in (first, second)] == [200, 200]
    assert (await pushing.post(filled(MOST_BYTES))).status == 200
