"""The callback's HTTP client against a real server: what is on the wire, and what is not."""

import asyncio
from pathlib import Path

import pytest

from relay.config import Secret
from tests.receivers.callback import Behaviour, CallbackReceiver
from tests.unit.sinks.callback_rig import SECRET, STREAM, Connect, entry, now_ms


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


async def test_a_secret_that_cannot_be_used_fails_the_attempt(connect: Connect, receiver: CallbackReceiver) -> None:
    result = await connect(secrets=["whsec_!"]).post(STREAM, [entry()], now_ms())
    assert result.status is None
    assert result.error.startswith("signing: secrets[0] ")
    assert receiver.received == []


async def test_the_query_and_the_port_are_on_the_wire(receiver: CallbackReceiver, connect: Connect) -> None:
    result = await connect(receiver.url + "/grüß?a=1&b=%20x").post(STREAM, [entry()], now_ms())
    assert result.status == 200
    assert receiver.received[0].headers["host"] == f"127.0.0.1:{receiver.port}"
    assert receiver.received[0].target == "/hook/gr%C3%BC%C3%9F?a=1&b=%20x"


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
