"""The callback's HTTP client against a real server: what is on the wire, and how every failure is told."""

import asyncio
import contextlib
import json
import socket
import ssl
import threading
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import trustme
from cloudevents.core.bindings.http import HTTPMessage, from_binary
from cloudevents.core.formats.json import JSONFormat
from standardwebhooks.webhooks import Webhook

from relay.config import CallbackConfig, Secret
from relay.domain.report import Entry, EntryType, Origin, Stream
from relay.sinks.callback import HttpCallback, TlsFilesUnusable
from relay.sinks.http_channel import MAX_ANSWER_BYTES
from tests.receivers.callback import Behaviour, CallbackReceiver

SECRET = "whsec_bmV3IHNlY3JldCBvZiB0d2VudHktZm91cg=="
STREAM = Stream("acme", "voice")


def entry(message_id: str = "m-1", *, seq: int = 1, revision: int = 1, type_: EntryType = EntryType.REPORT) -> Entry:
    value = json.dumps({"messageId": message_id, "status": {"groupId": 3}}, separators=(",", ":")).encode()
    return Entry(seq, type_, message_id, revision, Origin.POLL, 1_700_000_000_123, 3, value)


def now_ms() -> int:
    return int(time.time() * 1000)


Connect = Callable[..., HttpCallback]


@pytest.fixture
async def receiver() -> AsyncIterator[CallbackReceiver]:
    async with CallbackReceiver() as receiver:
        yield receiver


@pytest.fixture
async def connect(receiver: CallbackReceiver) -> AsyncIterator[Connect]:
    opened: list[HttpCallback] = []

    def connect(url: str | None = None, **keys: Any) -> HttpCallback:
        callback = HttpCallback(CallbackConfig(name="billing", url=url or receiver.url, **keys))
        opened.append(callback)
        return callback

    yield connect
    for callback in opened:
        await callback.close()


async def test_a_single_report_as_it_is_on_the_wire(receiver: CallbackReceiver, connect: Connect) -> None:
    result = await connect(secrets=[SECRET]).post(STREAM, [entry()], now_ms())
    assert (result.status, result.error, result.retry_after_seconds, result.answer) == (200, "", None, b"")
    assert 0 < result.duration_seconds < 5
    (received,) = receiver.received
    assert received.body == b'{"messageId":"m-1","status":{"groupId":3}}'
    assert received.headers["content-type"] == "application/json"
    # msg_ and SHA-256 of "/acme/voice\nm-1"
    assert received.webhook_id == "msg_" + "5103f7e5fdec0ebfc17e76f16051f887"
    assert received.headers["user-agent"].startswith("infobip-relay/")
    assert received.headers["content-length"] == "42"
    assert "cookie" not in received.headers
    assert "authorization" not in received.headers


async def test_the_signature_verifies_and_covers_the_body(receiver: CallbackReceiver, connect: Connect) -> None:
    await connect(secrets=[SECRET]).post(STREAM, [entry()], now_ms())
    (received,) = receiver.received
    assert Webhook(SECRET).verify(received.body, dict(received.headers)) == {
        "messageId": "m-1",
        "status": {"groupId": 3},
    }


async def test_the_cloudevents_library_reads_the_headers(receiver: CallbackReceiver, connect: Connect) -> None:
    await connect().post(STREAM, [entry('grüß "dich" 100%', revision=2, type_=EntryType.REVISION)], now_ms())
    (received,) = receiver.received
    event = from_binary(HTTPMessage(dict(received.headers), received.body), JSONFormat())
    assert event.get_specversion() == "1.0"
    assert event.get_id() == 'grüß "dich" 100%#2'
    assert event.get_source() == "/acme/voice"
    assert event.get_type() == "com.infobip.voice.report.v1"
    assert event.get_time().isoformat() == "2023-11-14T22:13:20.123000+00:00"
    assert event.get_extension("origin") == "poll"
    assert event.get_data() == {"messageId": 'grüß "dich" 100%', "status": {"groupId": 3}}


async def test_the_next_attempt_has_the_same_id_and_body_and_a_new_timestamp(
    receiver: CallbackReceiver, connect: Connect
) -> None:
    callback = connect(secrets=[SECRET])
    at_ms = now_ms()
    await callback.post(STREAM, [entry()], at_ms - 60_000)
    await callback.post(STREAM, [entry()], at_ms)
    first, second = receiver.received
    assert first.webhook_id == second.webhook_id
    assert first.body == second.body
    assert first.headers["ce-id"] == second.headers["ce-id"]
    assert int(second.headers["webhook-timestamp"]) - int(first.headers["webhook-timestamp"]) == 60
    assert first.headers["webhook-signature"] != second.headers["webhook-signature"]


async def test_a_batch_is_an_array_without_cloudevents_headers(receiver: CallbackReceiver, connect: Connect) -> None:
    await connect(batch_size=10, secrets=[SECRET]).post(STREAM, [entry("m-1"), entry("m-2", seq=2)], now_ms())
    (received,) = receiver.received
    assert [report["messageId"] for report in json.loads(received.body)] == ["m-1", "m-2"]
    assert not [name for name in received.headers if name.startswith("ce-")]
    Webhook(SECRET).verify(received.body, dict(received.headers))


async def test_format_infobip(receiver: CallbackReceiver, connect: Connect) -> None:
    await connect(format="infobip").post(STREAM, [entry("m-1")], now_ms())
    await connect(format="infobip", batch_size=2).post(STREAM, [entry("m-1"), entry("m-2", seq=2)], now_ms())
    single, batch = receiver.received
    assert json.loads(single.body) == {"results": [{"messageId": "m-1", "status": {"groupId": 3}}]}
    assert single.headers["ce-id"] == "m-1"
    assert [report["messageId"] for report in json.loads(batch.body)["results"]] == ["m-1", "m-2"]
    assert "ce-id" not in batch.headers


async def test_unsigned_without_secrets(receiver: CallbackReceiver, connect: Connect) -> None:
    await connect().post(STREAM, [entry()], now_ms())
    (received,) = receiver.received
    assert "webhook-signature" not in received.headers
    assert received.webhook_id.startswith("msg_")


async def test_configured_headers_are_added_and_cannot_replace_the_contract(
    receiver: CallbackReceiver, connect: Connect, tmp_path: Path
) -> None:
    file = tmp_path / "token"
    file.write_text("Bearer one")
    callback = connect(headers={"Authorization": Secret(file=file), "X-Team": "billing", "Webhook-Id": "mine"})
    await callback.post(STREAM, [entry()], now_ms())
    file.write_text("Bearer three")
    await callback.post(STREAM, [entry()], now_ms())
    first, second = receiver.received
    assert first.headers["authorization"] == "Bearer one"
    assert second.headers["authorization"] == "Bearer three"
    assert first.headers["x-team"] == "billing"
    assert first.webhook_id.startswith("msg_")


async def test_nothing_from_the_environment(
    receiver: CallbackReceiver, connect: Connect, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password something\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    result = await connect().post(STREAM, [entry()], now_ms())
    assert result.status == 200
    assert "authorization" not in receiver.received[0].headers


async def test_cookies_are_forgotten(receiver: CallbackReceiver, connect: Connect) -> None:
    receiver.default = Behaviour(headers={"Set-Cookie": "session=1; Path=/"})
    callback = connect()
    await callback.post(STREAM, [entry()], now_ms())
    await callback.post(STREAM, [entry()], now_ms())
    assert "cookie" not in receiver.received[1].headers


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_redirects_are_not_followed(receiver: CallbackReceiver, connect: Connect, status: int) -> None:
    receiver.script.append(Behaviour(status=status, headers={"Location": receiver.url + "/elsewhere"}))
    result = await connect().post(STREAM, [entry()], now_ms())
    assert (result.status, result.error) == (status, "")
    assert len(receiver.received) == 1


@pytest.mark.parametrize(
    ("header", "seconds"), [("120", 120.0), ("soon", None), ("Wed, 21 Oct 2015 07:28:00 GMT", 0.0), ("-5", None)]
)
async def test_retry_after(receiver: CallbackReceiver, connect: Connect, header: str, seconds: float | None) -> None:
    receiver.default = Behaviour(status=503, headers={"Retry-After": header}, body=b"busy")
    result = await connect().post(STREAM, [entry()], now_ms())
    assert (result.status, result.retry_after_seconds, result.answer) == (503, seconds, b"busy")


async def test_a_hanging_server_is_left_after_the_time_out(receiver: CallbackReceiver, connect: Connect) -> None:
    receiver.default = Behaviour(mode="hang")
    result = await connect(timeout_seconds=0.2).post(STREAM, [entry()], now_ms())
    assert (result.status, result.error) == (None, "timeout: no whole answer within 0.2 s")
    assert 0.2 <= result.duration_seconds < 2


async def test_a_dripping_answer_is_cut_by_the_total_deadline(receiver: CallbackReceiver, connect: Connect) -> None:
    receiver.default = Behaviour(status=500, mode="drip")
    result = await connect(timeout_seconds=0.3).post(STREAM, [entry()], now_ms())
    assert result.status == 500
    assert result.error == "timeout: no whole answer within 0.3 s"
    assert 0 < len(result.answer) < 100
    assert result.duration_seconds < 2


async def test_of_an_endless_answer_64_kib_are_read(receiver: CallbackReceiver, connect: Connect) -> None:
    receiver.default = Behaviour(mode="endless")
    result = await connect().post(STREAM, [entry()], now_ms())
    assert (result.status, result.error, len(result.answer)) == (200, "", MAX_ANSWER_BYTES)
    await receiver.until(lambda: receiver.in_flight == 0)  # the connection was closed on it
    assert receiver.bytes_answered < 64 * MAX_ANSWER_BYTES


async def test_a_compressed_answer_is_kept_as_it_came(receiver: CallbackReceiver, connect: Connect) -> None:
    receiver.default = Behaviour(headers={"Content-Encoding": "gzip"}, body=b"\x1f\x8b not gzip at all")
    result = await connect().post(STREAM, [entry()], now_ms())
    assert (result.status, result.error, result.answer) == (200, "", b"\x1f\x8b not gzip at all")


async def test_connections_are_reused_and_at_most_concurrency(receiver: CallbackReceiver, connect: Connect) -> None:
    receiver.default = Behaviour(delay_seconds=0.02)
    callback = connect(concurrency=3)
    await asyncio.gather(*(callback.post(STREAM, [entry(f"m-{n}")], now_ms()) for n in range(12)))
    assert len(receiver.received) == 12
    assert receiver.most_in_flight == 3
    assert len(receiver.connections) == 3


async def test_refused(connect: Connect) -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        port = bound.getsockname()[1]
        result = await connect(f"http://127.0.0.1:{port}/").post(STREAM, [entry()], now_ms())
    assert result.status is None
    assert result.error.startswith("connection: ")


async def test_unknown_host(connect: Connect) -> None:
    result = await connect("http://no-such-host.invalid/").post(STREAM, [entry()], now_ms())
    assert result.status is None
    assert result.error.startswith("dns: ")


async def test_a_name_server_that_hangs_holds_up_neither_us_nor_others(
    receiver: CallbackReceiver, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    look_up, hanging = socket.getaddrinfo, threading.Event()

    def look_up_slowly(host: str, *arguments: Any, **keys: Any) -> Any:
        if host == "slow.invalid":
            hanging.wait(10)
        return look_up(host, *arguments, **keys)

    monkeypatch.setattr(socket, "getaddrinfo", look_up_slowly)
    slow = [connect("http://slow.invalid/", timeout_seconds=0.3).post(STREAM, [entry()], now_ms()) for _ in range(40)]
    tasks = [asyncio.ensure_future(one) for one in slow]
    await asyncio.sleep(0)
    named = connect(f"http://localhost:{receiver.port}/")
    assert (await named.post(STREAM, [entry()], now_ms())).status == 200
    assert not any(task.done() for task in tasks)
    assert {(await task).error for task in tasks} == {"timeout: no whole answer within 0.3 s"}
    hanging.set()


async def test_a_secret_that_cannot_be_used_fails_the_attempt(connect: Connect, receiver: CallbackReceiver) -> None:
    result = await connect(secrets=["whsec_!"]).post(STREAM, [entry()], now_ms())
    assert result.status is None
    assert result.error.startswith("signing: secrets[0] ")
    assert receiver.received == []


# --- a raw server: what aiohttp does with a connection that breaks ---


class RawServer:
    """Counts requests; each is answered by the next of `answers`, verbatim. b"" and HTTP/1.0 answers close."""

    def __init__(self, *answers: bytes, reads_bodies: bool = True) -> None:
        self.requests = 0
        self.url = ""
        self._answers = iter(answers)
        self._reads_bodies = reads_bodies
        self._writers: list[asyncio.StreamWriter] = []

    async def __aenter__(self) -> "RawServer":
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=1 << 16)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for writer in self._writers:
            writer.transport.abort()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.append(writer)
        with contextlib.suppress(asyncio.IncompleteReadError, asyncio.LimitOverrunError, ConnectionError):
            while await self._answer(reader, writer):
                pass
        writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = await reader.readuntil(b"\r\n\r\n")
        if self._reads_bodies:
            await reader.readexactly(int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0]))
        self.requests += 1
        answer = next(self._answers, b"")
        writer.write(answer)
        await writer.drain()
        return bool(answer) and not answer.startswith(b"HTTP/1.0")


async def test_a_post_is_never_repeated_when_a_kept_alive_connection_drops(connect: Connect) -> None:
    async with RawServer(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", b"") as raw:
        callback = connect(raw.url)
        assert (await callback.post(STREAM, [entry()], now_ms())).status == 200
        result = await callback.post(STREAM, [entry()], now_ms())
    assert (result.status, result.error) == (None, "connection: closed without an answer")
    assert raw.requests == 2


async def test_a_post_is_never_repeated_when_a_new_connection_drops(connect: Connect) -> None:
    async with RawServer(b"") as raw:
        result = await connect(raw.url).post(STREAM, [entry()], now_ms())
    assert (result.status, result.error) == (None, "connection: closed without an answer")
    assert raw.requests == 1


async def test_an_answer_that_is_not_http(connect: Connect) -> None:
    async with RawServer(b"SSH-2.0-OpenSSH_9.6\r\n\r\n") as raw:
        result = await connect(raw.url).post(STREAM, [entry()], now_ms())
    assert result.status is None
    assert result.error == "protocol: the answer is not HTTP, or broke off"


async def test_a_status_counts_though_its_body_broke_off(connect: Connect) -> None:
    async with RawServer(b"HTTP/1.1 202 Accepted\r\nContent-Length: 100\r\n\r\nshort", b"") as raw:
        result = await connect(raw.url, timeout_seconds=0.3).post(STREAM, [entry()], now_ms())
    assert result.status == 202
    assert result.answer == b"short"
    assert result.error != ""


async def test_an_answer_in_chunks_and_one_that_ends_with_the_connection(connect: Connect) -> None:
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n"
    async with RawServer(chunked, b"HTTP/1.0 500 Oops\r\n\r\nuntil the end") as raw:
        callback = connect(raw.url, timeout_seconds=0.5)
        first = await callback.post(STREAM, [entry()], now_ms())
        second = await callback.post(STREAM, [entry()], now_ms())
    assert (first.status, first.answer, first.error) == (200, b"onetwo", "")
    assert (second.status, second.answer) == (500, b"until the end")
    assert raw.requests == 2


async def test_informational_answers_are_passed_over(connect: Connect) -> None:
    answer = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n"
    async with RawServer(answer) as raw:
        result = await connect(raw.url).post(STREAM, [entry()], now_ms())
    assert (result.status, result.error) == (204, "")


async def test_a_stray_answer_is_not_taken_for_that_of_the_next_post(connect: Connect) -> None:
    ok = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
    async with RawServer(ok + ok, b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n") as raw:
        callback = connect(raw.url)
        assert (await callback.post(STREAM, [entry()], now_ms())).status == 200
        assert (await callback.post(STREAM, [entry()], now_ms())).status == 503
    assert raw.requests == 2


async def test_an_answer_that_comes_before_the_request_is_out(connect: Connect) -> None:
    answer = b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n"
    large = entry()._replace(value=b'"' + b"x" * 20_000_000 + b'"')
    async with RawServer(answer, reads_bodies=False) as raw:
        result = await connect(raw.url).post(STREAM, [large], now_ms())
    assert (result.status, result.error) == (413, "")


@pytest.mark.parametrize("headers", [{"X-Team": "a\r\nX-Evil: 1"}, {"X Team": "a"}, {"X-Team\r\nX-Evil": "1"}])
async def test_headers_that_cannot_be_sent_fail_the_attempt(
    receiver: CallbackReceiver, connect: Connect, headers: dict[str, str], tmp_path: Path
) -> None:
    (name, value), *_ = headers.items()
    file = tmp_path / "value"
    file.write_bytes(value.encode())
    result = await connect(headers={name: Secret(file=file)}).post(STREAM, [entry()], now_ms())
    assert result.status is None
    assert result.error.startswith("request: headers: ")
    assert receiver.received == []


async def test_cloudevents_headers_are_those_of_each_entry(receiver: CallbackReceiver, connect: Connect) -> None:
    callback = connect()
    entries = [
        entry("a"),
        entry("b"),
        entry("b", revision=2)._replace(origin=Origin.LOGS),
        entry("c")._replace(received_at_ms=1_700_000_001_000),
    ]
    for one in entries:
        await callback.post(STREAM, [one], now_ms())
    await callback.post(Stream("acme", "sms"), [entries[0]], now_ms())
    assert [
        tuple(received.headers[f"ce-{name}"] for name in ("id", "time", "origin", "source", "type"))
        for received in receiver.received
    ] == [
        ("a", "2023-11-14T22:13:20.123Z", "poll", "/acme/voice", "com.infobip.voice.report.v1"),
        ("b", "2023-11-14T22:13:20.123Z", "poll", "/acme/voice", "com.infobip.voice.report.v1"),
        ("b#2", "2023-11-14T22:13:20.123Z", "logs", "/acme/voice", "com.infobip.voice.report.v1"),
        ("c", "2023-11-14T22:13:21.000Z", "poll", "/acme/voice", "com.infobip.voice.report.v1"),
        ("a", "2023-11-14T22:13:20.123Z", "poll", "/acme/sms", "com.infobip.sms.report.v1"),
    ]


async def test_the_query_and_the_port_are_on_the_wire(receiver: CallbackReceiver, connect: Connect) -> None:
    result = await connect(receiver.url + "/grüß?a=1&b=%20x").post(STREAM, [entry()], now_ms())
    assert result.status == 200
    assert receiver.received[0].headers["host"] == f"127.0.0.1:{receiver.port}"
    assert receiver.received[0].target == "/hook/gr%C3%BC%C3%9F?a=1&b=%20x"


# --- TLS ---


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
async def tls_receiver(authority: trustme.CA) -> AsyncIterator[CallbackReceiver]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    async with CallbackReceiver(tls=context) as receiver:
        yield receiver


async def test_a_certificate_of_the_configured_authority(
    tls_receiver: CallbackReceiver, authority: trustme.CA, connect: Connect, tmp_path: Path
) -> None:
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    result = await connect(tls_receiver.url, ca_file=tmp_path / "ca.pem").post(STREAM, [entry()], now_ms())
    assert (result.status, result.error) == (200, "")


async def test_an_unknown_authority_is_refused(tls_receiver: CallbackReceiver, connect: Connect) -> None:
    result = await connect(tls_receiver.url).post(STREAM, [entry()], now_ms())
    assert result.status is None
    assert result.error.startswith("tls: ")
    assert tls_receiver.received == []


async def test_another_host_name_is_refused(
    tls_receiver: CallbackReceiver, authority: trustme.CA, connect: Connect, tmp_path: Path
) -> None:
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    result = await connect(tls_receiver.url.replace("localhost", "127.0.0.1"), ca_file=tmp_path / "ca.pem").post(
        STREAM, [entry()], now_ms()
    )
    assert result.error.startswith("tls: ")


async def test_a_server_without_tls(receiver: CallbackReceiver, connect: Connect) -> None:
    result = await connect(receiver.url.replace("http://", "https://")).post(STREAM, [entry()], now_ms())
    assert result.status is None
    assert result.error.startswith("tls: ")


async def test_a_client_certificate_is_shown(authority: trustme.CA, connect: Connect, tmp_path: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.verify_mode = ssl.CERT_REQUIRED
    authority.configure_trust(context)
    authority.issue_cert("localhost").configure_cert(context)
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    client = authority.issue_cert("relay.example")
    client.cert_chain_pems[0].write_to_path(tmp_path / "client.pem")
    client.private_key_pem.write_to_path(tmp_path / "client.key")
    async with CallbackReceiver(tls=context) as receiver:
        shown = connect(
            receiver.url,
            ca_file=tmp_path / "ca.pem",
            cert_file=tmp_path / "client.pem",
            key_file=tmp_path / "client.key",
        )
        assert (await shown.post(STREAM, [entry()], now_ms())).status == 200
        result = await connect(receiver.url, ca_file=tmp_path / "ca.pem").post(STREAM, [entry()], now_ms())
        assert result.status is None


async def test_tls_files_that_cannot_be_used(connect: Connect, tmp_path: Path) -> None:
    with pytest.raises(TlsFilesUnusable, match=r"callback billing: cannot use .*missing\.pem"):
        connect("https://localhost/", ca_file=tmp_path / "missing.pem")
