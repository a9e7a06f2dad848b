"""How each end of a read is answered."""

import asyncio
import base64
import gzip
import socket
import zlib
from pathlib import Path

import pytest

from relay.domain.report import GapCause
from tests.unit.sources.conftest import MakeSource
from tests.unit.sources.raw_server import (
    REPORTS,
    Peer,
    RawServer,
    answer,
    closing_after,
    playing,
    resetting_after,
    sending,
)

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


async def test_a_complete_answer(make_source: MakeSource) -> None:
    async with RawServer(playing(sending(answer()))) as server:
        got = await make_source(server.url).fetch_reports("sms", limit=1000)
    assert (got.sent, got.status, got.content_type) == (True, 200, "application/json")
    assert (got.body, got.complete, got.error, got.failure) == (REPORTS, True, "", None)
    assert (got.requested_at_ms, got.received_at_ms) == (1_700_000_000_000, 1_700_000_000_000)
    assert 0 < got.duration_seconds < 5


@pytest.mark.parametrize(
    ("kind", "limit", "line"),
    [
        ("sms", 1000, "GET /sms/1/reports?limit=1000 HTTP/1.1"),
        ("sms", None, "GET /sms/1/reports HTTP/1.1"),
        ("voice", 50, "GET /tts/3/reports?limit=50 HTTP/1.1"),
        ("email", 1, "GET /email/1/reports?limit=1 HTTP/1.1"),
    ],
)
async def test_what_is_asked(make_source: MakeSource, kind: str, limit: int | None, line: str) -> None:
    endpoints = ["sms", "voice", {"kind": "email", "path": "/email/1/reports"}]
    async with RawServer(playing()) as server:
        await make_source(server.url, endpoints=endpoints).fetch_reports(kind, limit=limit)
        head = server.requests[0].split("\r\n")
    assert head[0] == line
    assert "Accept: application/json" in head
    assert "Accept-Encoding: gzip" in head
    assert not [header for header in head if header.startswith("Cookie")]


async def test_a_path_prefix_of_the_base_url_is_kept(make_source: MakeSource) -> None:
    async with RawServer(playing()) as server:
        await make_source(f"{server.url}/restapi").fetch_reports("sms", limit=None)
        assert server.requests[0].startswith("GET /restapi/sms/1/reports HTTP/1.1\r\n")


@pytest.mark.parametrize(
    ("auth", "header"),
    [
        (
            {"type": "basic", "username": "Aladdin", "password": "open sesame"},
            "Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==",
        ),
        (
            {"type": "basic", "username": "žofie", "password": "p"},
            "Authorization: Basic " + base64.b64encode("žofie:p".encode()).decode(),
        ),
        ({"type": "api_key", "token": "k"}, "Authorization: App k"),
        ({"type": "bearer", "token": "t"}, "Authorization: Bearer t"),
        ({"type": "ibsso", "token": "s"}, "Authorization: IBSSO s"),
    ],
)
async def test_logging_in(make_source: MakeSource, auth: dict[str, str], header: str) -> None:
    async with RawServer(playing()) as server:
        await make_source(server.url, auth=auth).fetch_reports("sms", limit=None)
        assert header in server.requests[0].split("\r\n")


async def test_a_rotated_secret_is_used_at_the_next_request(make_source: MakeSource, tmp_path: Path) -> None:
    secret = tmp_path / "key"
    secret.write_text("old\n")
    async with RawServer(playing()) as server:
        source = make_source(server.url, auth={"type": "api_key", "token": {"file": str(secret)}})
        await source.fetch_reports("sms", limit=None)
        secret.write_text("rotated\n")
        await source.fetch_reports("sms", limit=None)
        keys = [line for head in server.requests for line in head.split("\r\n") if line.startswith("Authorization")]
    assert keys == ["Authorization: App old", "Authorization: App rotated"]


async def test_a_secret_that_cannot_be_read_sends_nothing(make_source: MakeSource, tmp_path: Path) -> None:
    async with RawServer(playing()) as server:
        source = make_source(server.url, auth={"type": "api_key", "token": {"file": str(tmp_path / "absent")}})
        got = await source.fetch_reports("sms", limit=None)
        assert server.requests == []
    assert (got.sent, got.failure) == (False, None)
    assert "absent" in got.error


async def test_nothing_is_sent_where_nobody_listens(make_source: MakeSource) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    got = await make_source(f"http://127.0.0.1:{port}").fetch_reports("sms", limit=None)
    assert (got.sent, got.status, got.failure, got.complete) == (False, None, None, False)
    assert got.error == f"cannot connect to 127.0.0.1:{port}: connection refused"


async def test_nothing_is_sent_to_a_name_that_does_not_resolve(make_source: MakeSource) -> None:
    got = await make_source("http://nowhere.invalid").fetch_reports("sms", limit=None)
    assert (got.sent, got.failure) == (False, None)


async def test_nothing_is_sent_when_tls_fails(make_source: MakeSource) -> None:
    async def not_tls(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(not_tls, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    got = await make_source(f"https://127.0.0.1:{port}").fetch_reports("sms", limit=None)
    server.close()
    assert (got.sent, got.failure) == (False, None)


async def test_the_deadline_while_waiting_for_an_answer(make_source: MakeSource) -> None:
    async with RawServer(playing(Peer.gone)) as server:
        got = await make_source(server.url, poll={"timeout_seconds": 0.1}).fetch_reports("sms", limit=None)
    assert (got.sent, got.status, got.failure, got.body) == (True, None, GapCause.TIMEOUT, b"")


async def test_the_deadline_in_the_body_keeps_what_came_and_closes(make_source: MakeSource) -> None:
    closed = asyncio.Event()

    async def stall(peer: Peer) -> None:
        await peer.send(answer(REPORTS[:20], length=len(REPORTS)))
        await peer.gone()
        closed.set()

    async with RawServer(playing(stall)) as server:
        got = await make_source(server.url, poll={"timeout_seconds": 0.2}).fetch_reports("sms", limit=None)
        await asyncio.wait_for(closed.wait(), 5)
    assert (got.status, got.complete, got.failure, got.body) == (200, False, GapCause.TIMEOUT, REPORTS[:20])


async def test_the_deadline_holds_for_an_answer_that_drips(make_source: MakeSource) -> None:
    async def drip(peer: Peer) -> None:
        await peer.send(answer(b"", length=10_000))
        while True:
            await peer.send(b" ")
            await asyncio.sleep(0.01)

    async with RawServer(playing(drip)) as server:
        got = await make_source(server.url, poll={"timeout_seconds": 0.3}).fetch_reports("sms", limit=None)
    assert (got.complete, got.failure) == (False, GapCause.TIMEOUT)
    assert 0 < len(got.body) < 1000


@pytest.mark.parametrize("breaking", [closing_after, resetting_after], ids=["closed", "reset"])
@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        (answer(REPORTS[:30], length=len(REPORTS)), REPORTS[:30]),
        (answer(b"", length=len(REPORTS)), b""),
        (CHUNKED + b"1e\r\n" + REPORTS[:30] + b"\r\n", REPORTS[:30]),
        (CHUNKED + b"ff\r\n" + REPORTS[:30], REPORTS[:30]),
    ],
    ids=["length", "no body", "chunk", "inside a chunk"],
)
async def test_what_came_before_the_connection_broke_is_kept(
    make_source: MakeSource, breaking, sent: bytes, kept: bytes
) -> None:
    async with RawServer(playing(breaking(sent))) as server:
        got = await make_source(server.url).fetch_reports("sms", limit=None)
    assert (got.sent, got.status, got.complete, got.failure) == (True, 200, False, GapCause.TRUNCATED)
    assert got.body == kept


async def test_all_of_a_large_body_is_kept_when_it_ends_early(make_source: MakeSource) -> None:
    async with RawServer(playing(closing_after(answer(b" " * 3_000_000, length=3_000_001)))) as server:
        got = await make_source(server.url).fetch_reports("sms", limit=None)
    assert (got.complete, got.failure, len(got.body)) == (False, GapCause.TRUNCATED, 3_000_000)


async def test_a_broken_connection_is_not_used_again(make_source: MakeSource) -> None:
    rest = REPORTS[30:]

    async def late(peer: Peer) -> None:
        await peer.send(answer(REPORTS[:30], length=len(REPORTS)))
        await asyncio.sleep(0.3)
        await peer.send(rest)

    async with RawServer(playing(late, sending(answer()))) as server:
        source = make_source(server.url, poll={"timeout_seconds": 0.1})
        assert (await source.fetch_reports("sms", limit=None)).complete is False
        assert (await source.fetch_reports("sms", limit=None)).body == REPORTS
        assert server.connections == 2


async def test_an_answer_that_is_not_http(make_source: MakeSource) -> None:
    async with RawServer(playing(closing_after(b"SSH-2.0-OpenSSH_9.2\r\n\r\n"))) as server:
        got = await make_source(server.url).fetch_reports("sms", limit=None)
    assert (got.sent, got.status, got.failure) == (True, None, GapCause.CONNECTION)


async def test_redirects_are_not_followed(make_source: MakeSource) -> None:
    async with RawServer(playing()) as other:
        moved = answer(b"", status="302 Found", headers=f"Location: {other.url}/sms/1/reports\r\n")
        async with RawServer(playing(sending(moved))) as server:
            got = await make_source(server.url).fetch_reports("sms", limit=None)
            assert len(server.requests) == 1
        assert other.requests == []
    assert (got.sent, got.status) == (True, 302)


async def test_cookies_are_not_kept(make_source: MakeSource) -> None:
    async with RawServer(playing(sending(answer(headers="Set-Cookie: a=b; Path=/\r\n")))) as server:
        source = make_source(server.url)
        await source.fetch_reports("sms", limit=None)
        await source.fetch_reports("sms", limit=None)
        assert "Cookie" not in server.requests[1]


async def test_the_environment_gives_no_proxy(make_source: MakeSource, monkeypatch: pytest.MonkeyPatch) -> None:
    async with RawServer(playing()) as proxy, RawServer(playing()) as server:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        monkeypatch.setenv("http_proxy", proxy.url)
        await make_source(server.url).fetch_reports("sms", limit=None)
        assert (len(proxy.requests), len(server.requests)) == (0, 1)


async def test_a_configured_proxy_is_used(make_source: MakeSource) -> None:
    async with RawServer(playing()) as proxy:
        got = await make_source("http://api.invalid", proxy=proxy.url).fetch_reports("sms", limit=None)
        assert proxy.requests[0].startswith("GET http://api.invalid/sms/1/reports HTTP/1.1")
    assert got.status == 200


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("Retry-After: 7\r\n", 7.0),
        ("Retry-After: Tue, 14 Nov 2023 22:13:30 GMT\r\n", 10.0),
        ("Retry-After: soon\r\n", None),
        ("", None),
    ],
)
async def test_retry_after(make_source: MakeSource, header: str, seconds: float | None) -> None:
    async with RawServer(playing(sending(answer(b"{}", status="429 Too Many Requests", headers=header)))) as server:
        got = await make_source(server.url).fetch_reports("sms", limit=None)
    assert (got.status, got.retry_after_seconds) == (429, seconds)


async def test_a_body_past_its_bound_is_cut(make_source: MakeSource) -> None:
    async def endless(peer: Peer) -> None:
        await peer.send(CHUNKED)
        while True:
            await peer.send(b"3e8\r\n" + b"x" * 1000 + b"\r\n")

    async with RawServer(playing(endless)) as server:
        got = await make_source(server.url, poll={"max_body_bytes": 5000}).fetch_reports("sms", limit=None)
    assert (got.complete, got.failure, got.body) == (False, GapCause.TOO_LARGE, b"x" * 5000)


async def test_a_body_of_exactly_the_bound_is_whole(make_source: MakeSource) -> None:
    async with RawServer(playing(sending(answer(b"x" * 5000)))) as server:
        got = await make_source(server.url, poll={"max_body_bytes": 5000}).fetch_reports("sms", limit=None)
    assert (got.complete, got.failure, len(got.body)) == (True, None, 5000)


async def test_gzip(make_source: MakeSource) -> None:
    packed = answer(gzip.compress(REPORTS), headers="Content-Encoding: gzip\r\n")
    async with RawServer(playing(sending(packed))) as server:
        got = await make_source(server.url).fetch_reports("sms", limit=None)
    assert (got.body, got.complete) == (REPORTS, True)


async def test_gzip_that_ends_early_is_incomplete_though_the_length_is_right(make_source: MakeSource) -> None:
    packed = gzip.compress(REPORTS * 100)
    cut = answer(packed[: len(packed) // 2], headers="Content-Encoding: gzip\r\n")
    async with RawServer(playing(sending(cut))) as server:
        got = await make_source(server.url).fetch_reports("sms", limit=None)
    assert (got.status, got.complete, got.failure) == (200, False, GapCause.TRUNCATED)
    assert len(got.body) > 0
    assert (REPORTS * 100).startswith(got.body)


async def test_a_gzip_bomb_is_cut_at_the_bound(make_source: MakeSource) -> None:
    bomb = gzip.compress(b"\0" * 50_000_000)
    assert len(bomb) < 60_000
    async with RawServer(playing(sending(answer(bomb, headers="Content-Encoding: gzip\r\n")))) as server:
        got = await make_source(server.url, poll={"max_body_bytes": 100_000}).fetch_reports("sms", limit=None)
    assert (got.complete, got.failure, len(got.body)) == (False, GapCause.TOO_LARGE, 100_000)


async def test_deflate(make_source: MakeSource) -> None:
    async with RawServer(
        playing(sending(answer(zlib.compress(REPORTS), headers="Content-Encoding: deflate\r\n")))
    ) as server:
        got = await make_source(server.url).fetch_reports("sms", limit=None)
    assert (got.body, got.complete) == (REPORTS, True)


async def test_a_content_type_that_is_not_ascii_can_be_stored(make_source: MakeSource) -> None:
    odd = b"HTTP/1.1 200 OK\r\nContent-Type: text/\xff\xfe\r\nContent-Length: 2\r\n\r\n{}"
    async with RawServer(playing(sending(odd))) as server:
        got = await make_source(server.url).fetch_reports("sms", limit=None)
    assert got.content_type == "text/??"


async def test_no_secret_in_errors(make_source: MakeSource) -> None:
    async with RawServer(playing(closing_after())) as server:
        got = await make_source(server.url, auth={"type": "api_key", "token": "canary-secret"}).fetch_reports(
            "sms", limit=None
        )
    assert "canary" not in repr(got)


async def test_closing_twice(make_source: MakeSource) -> None:
    source = make_source("http://127.0.0.1:1")
    await source.fetch_reports("sms", limit=None)
    await source.close()
    await source.close()
