"""Receivers that hang, break off, never end or speak something else: how it is told, and that it ends."""

import asyncio
import socket
import threading
from typing import Any

import pytest
from msgspec.structs import replace

from relay.sinks.connector import MAX_ANSWER_BYTES, MAX_WIRE_BYTES
from tests.receivers.callback import Behaviour, CallbackReceiver
from tests.receivers.raw import RawServer
from tests.unit.sinks.callback_rig import STREAM, Connect, entry, now_ms


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


async def test_refused(connect: Connect) -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        port = bound.getsockname()[1]
        result = await connect(f"http://127.0.0.1:{port}/").post(STREAM, [entry()], now_ms())
    assert (result.status, result.error) == (None, "connection: connection refused")


async def test_unknown_host(connect: Connect) -> None:
    result = await connect("http://no-such-host.invalid/").post(STREAM, [entry()], now_ms())
    assert result.status is None
    assert result.error in {"dns: unknown host name", "dns: temporary failure in name resolution"}


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
    large = replace(entry(), value=b'"' + b"x" * 20_000_000 + b'"')
    async with RawServer(answer, reads_bodies=False) as raw:
        result = await connect(raw.url).post(STREAM, [large], now_ms())
    assert (result.status, result.error) == (413, "")


async def test_a_handshake_that_never_ends_is_cut_by_the_total_deadline(connect: Connect) -> None:
    async with SilentServer() as silent:
        result = await connect(f"https://127.0.0.1:{silent.port}/", timeout_seconds=0.3).post(
            STREAM, [entry()], now_ms()
        )
    assert (result.status, result.error) == (None, "timeout: no whole answer within 0.3 s")
    assert result.duration_seconds < 2


async def test_a_receiver_that_does_not_read_is_cut_by_the_total_deadline(connect: Connect) -> None:
    large = replace(entry(), value=b'"' + b"x" * 20_000_000 + b'"')
    async with SilentServer() as silent:
        callback = connect(f"http://127.0.0.1:{silent.port}/", timeout_seconds=0.3)
        result = await callback.post(STREAM, [large], now_ms())
        async with asyncio.timeout(2):
            await callback.close()  # it does not wait for what nobody takes
    assert (result.status, result.error) == (None, "timeout: no whole answer within 0.3 s")
    assert result.duration_seconds < 2


async def test_whoever_waits_for_a_connection_waits_within_its_deadline(
    receiver: CallbackReceiver, connect: Connect
) -> None:
    receiver.default = Behaviour(mode="hang")
    callback = connect(concurrency=1, timeout_seconds=0.3)
    posts = [asyncio.create_task(callback.post(STREAM, [entry(f"m-{n}")], now_ms())) for n in range(4)]
    await asyncio.wait(posts, return_when=asyncio.FIRST_COMPLETED)
    # Not at the end: the next may be sent in its last moment, before the receiver has seen the first connection close.
    assert receiver.most_in_flight == 1
    results = await asyncio.gather(*posts)
    assert {result.error for result in results} == {"timeout: no whole answer within 0.3 s"}
    assert max(result.duration_seconds for result in results) < 1


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    ("head", "endless", "status"),
    [
        (b"", b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" * 500, None),
        (CHUNKED, b"1;" + b"e" * 8000 + b"\r\nx\r\n", 200),
        (b"HTTP/1.1 200 OK\r\n", b"X-Header: " + b"y" * 1000 + b"\r\n", None),
        (b"HTTP/1.1 200 ", b"O" * 10_000, None),
        (CHUNKED + b"0\r\n", b"X-Trailer: " + b"y" * 1000 + b"\r\n", 200),
    ],
    ids=["informational answers", "extensions of chunks", "headers", "reason", "trailers"],
)
async def test_what_is_around_a_body_has_an_end_too(
    connect: Connect, head: bytes, endless: bytes, status: int | None
) -> None:
    async with RawServer(head, endless=endless) as raw:
        result = await connect(raw.url, timeout_seconds=10).post(STREAM, [entry()], now_ms())
        async with asyncio.timeout(5):
            await raw.hung_up.wait()
        assert raw.bytes_taken < 16 * MAX_WIRE_BYTES  # what the sockets between hold is counted, too
    assert result.status == status
    assert result.error.startswith("protocol: ")
    assert result.duration_seconds < 5


async def test_how_an_answer_without_end_is_told(connect: Connect) -> None:
    async with RawServer(CHUNKED, endless=b"1;" + b"e" * 8000 + b"\r\nx\r\n") as raw:
        result = await connect(raw.url).post(STREAM, [entry()], now_ms())
    assert result.error == "protocol: the answer does not end: more than 512 KiB or 16 heads came"


async def test_the_bound_is_for_each_answer_of_a_connection(receiver: CallbackReceiver, connect: Connect) -> None:
    receiver.default = Behaviour(body=b"x" * (MAX_ANSWER_BYTES - 1))
    callback = connect()
    for number in range(12):  # together more than may come for one
        result = await callback.post(STREAM, [entry(f"m-{number}")], now_ms())
        assert (result.status, result.error, len(result.answer)) == (200, "", MAX_ANSWER_BYTES - 1)
    assert len(receiver.connections) == 1


class SilentServer:
    """Takes connections, reads nothing and says nothing."""

    async def __aenter__(self) -> "SilentServer":
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._socket.close()
