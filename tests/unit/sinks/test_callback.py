"""The callback's HTTP client against a real server: what is on the wire, and how every failure is told."""

import asyncio
import json
import socket
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import trustme
from cloudevents.core.bindings.http import HTTPMessage, from_binary
from cloudevents.core.formats.json import JSONFormat
from standardwebhooks.webhooks import Webhook

from relay.config import CallbackConfig, Secret
from relay.domain.report import Entry, EntryType, Origin, Stream
from relay.sinks.callback import MAX_ANSWER_BYTES, HttpCallback, TlsFilesUnusable
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


async def test_a_secret_that_cannot_be_used_fails_the_attempt(connect: Connect, receiver: CallbackReceiver) -> None:
    result = await connect(secrets=["whsec_!"]).post(STREAM, [entry()], now_ms())
    assert result.status is None
    assert result.error.startswith("signing: secrets[0] ")
    assert receiver.received == []


# --- a raw server: what aiohttp does with a connection that breaks ---

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class RawServer:
    """Counts requests; `answers` say what is written to the n-th connection's requests, b"" closes it."""

    def __init__(self, answers: list[bytes]) -> None:
        self.requests = 0
        self._answers = iter(answers)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
                await reader.readexactly(length)
                self.requests += 1
                answer = next(self._answers, b"")
                if not answer:
                    break
                writer.write(answer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


async def serve_raw(answers: list[bytes]) -> tuple[RawServer, asyncio.Server, str]:
    raw = RawServer(answers)
    server = await asyncio.start_server(raw.serve, "127.0.0.1", 0)
    return raw, server, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"


async def test_a_post_is_never_repeated_when_a_kept_alive_connection_drops(connect: Connect) -> None:
    raw, server, url = await serve_raw([b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", b""])
    async with server:
        callback = connect(url)
        assert (await callback.post(STREAM, [entry()], now_ms())).status == 200
        result = await callback.post(STREAM, [entry()], now_ms())
    assert (result.status, result.error) == (None, "connection: closed without an answer")
    assert raw.requests == 2


async def test_a_post_is_never_repeated_when_a_new_connection_drops(connect: Connect) -> None:
    raw, server, url = await serve_raw([b""])
    async with server:
        result = await connect(url).post(STREAM, [entry()], now_ms())
    assert (result.status, result.error) == (None, "connection: closed without an answer")
    assert raw.requests == 1


async def test_an_answer_that_is_not_http(connect: Connect) -> None:
    _, server, url = await serve_raw([b"SSH-2.0-OpenSSH_9.6\r\n\r\n"])
    async with server:
        result = await connect(url).post(STREAM, [entry()], now_ms())
    assert result.status is None
    assert result.error == "protocol: the answer is not HTTP, or broke off"


async def test_a_status_counts_though_its_body_broke_off(connect: Connect) -> None:
    _, server, url = await serve_raw([b"HTTP/1.1 202 Accepted\r\nContent-Length: 100\r\n\r\nshort", b""])
    async with server:
        result = await connect(url, timeout_seconds=0.3).post(STREAM, [entry()], now_ms())
    assert result.status == 202
    assert result.answer == b"short"
    assert result.error != ""


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
    url = tls_receiver.url.replace("localhost", "127.0.0.1")
    result = await connect(url, ca_file=tmp_path / "ca.pem").post(STREAM, [entry()], now_ms())
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
