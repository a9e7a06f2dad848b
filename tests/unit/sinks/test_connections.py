"""Connections between POSTs: kept while they are of use, given to whoever waits, closed when they are old."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from yarl import URL

from relay.sinks import connections as module
from relay.sinks.connections import Connections
from tests.receivers.callback import Behaviour, CallbackReceiver
from tests.receivers.raw import RawServer
from tests.unit.sinks.callback_rig import STREAM, Connect, entry, now_ms


@pytest.fixture
async def connections(receiver: CallbackReceiver) -> AsyncIterator[Connections]:
    opened = Connections(URL(receiver.url), connections=2, allow_private=True, tls=None)
    yield opened
    await opened.close()


def now() -> float:
    return asyncio.get_running_loop().time()


async def test_the_one_used_last_is_taken_first(connections: Connections) -> None:
    first, second = await connections.take(), await connections.take()
    connections.give_back(first, now())
    connections.give_back(second, now())
    assert connections.take_rested(now()) is second
    assert connections.take_rested(now()) is first
    assert connections.take_rested(now()) is None
    first.close()
    second.close()


async def test_one_that_has_rested_too_long_is_not_taken(connections: Connections) -> None:
    line = await connections.take()
    connections.give_back(line, now() - module.KEEPALIVE_SECONDS - 0.1)
    assert connections.take_rested(now()) is None
    assert not line.usable


async def test_one_that_the_other_side_closed_is_not_taken(connections: Connections) -> None:
    line = await connections.take()
    connections.give_back(line, now())
    line.handler.abort()
    assert connections.take_rested(now()) is None


async def test_whoever_waits_gets_the_one_that_is_given_back(connections: Connections) -> None:
    lines = [await connections.take(), await connections.take()]
    waiting = asyncio.ensure_future(connections.take())
    await asyncio.sleep(0.01)
    assert not waiting.done()  # there may be two
    connections.give_back(lines[0], now())
    taken = await asyncio.wait_for(waiting, 2)
    assert taken.handler is lines[0].handler
    taken.close()
    lines[1].close()


async def test_those_that_rest_are_closed_in_time(
    receiver: CallbackReceiver, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "KEEPALIVE_SECONDS", 0.05)
    receiver.default = Behaviour(delay_seconds=0.01)
    callback = connect(concurrency=3)
    await asyncio.gather(*(callback.post(STREAM, [entry(f"m-{n}")], now_ms()) for n in range(3)))
    resting = callback._channel._connections._resting
    lines = list(resting)
    assert len(lines) == 3
    async with asyncio.timeout(2):
        while resting:  # noqa: ASYNC110 - a timer closes them, and tells nobody
            await asyncio.sleep(0.005)
    assert not any(line.usable for line in lines)
    assert (await callback.post(STREAM, [entry("m-4")], now_ms())).status == 200  # and goes on with a new one


async def test_the_total_deadline_holds_on_a_kept_connection(receiver: CallbackReceiver, connect: Connect) -> None:
    receiver.script.extend([Behaviour(), Behaviour(mode="hang")])
    callback = connect(timeout_seconds=0.2)
    assert (await callback.post(STREAM, [entry()], now_ms())).status == 200
    result = await callback.post(STREAM, [entry()], now_ms())
    assert (result.status, result.error) == (None, "timeout: no whole answer within 0.2 s")
    assert 0.19 <= result.duration_seconds < 2
    assert (await callback.post(STREAM, [entry()], now_ms())).status == 200
    assert len(receiver.connections) == 2


async def test_a_dripping_answer_is_cut_on_a_kept_connection(receiver: CallbackReceiver, connect: Connect) -> None:
    receiver.script.extend([Behaviour(), Behaviour(status=500, mode="drip")])
    callback = connect(timeout_seconds=0.3)
    assert (await callback.post(STREAM, [entry()], now_ms())).status == 200
    result = await callback.post(STREAM, [entry()], now_ms())
    assert (result.status, result.error) == (500, "timeout: no whole answer within 0.3 s")
    assert 0 < len(result.answer) < 100


async def test_a_part_of_an_answer_too_many_is_not_taken_for_the_next(connect: Connect) -> None:
    ok = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
    async with RawServer(ok + b"HTTP/1.1 204 No Con", b"tent\r\n\r\n" + ok, ok) as raw:
        callback = connect(raw.url)
        assert (await callback.post(STREAM, [entry()], now_ms())).status == 200
        second = await callback.post(STREAM, [entry()], now_ms())
    assert second.status is None
    assert second.error.startswith("protocol: ")


async def test_closed_while_connections_rest_and_again(receiver: CallbackReceiver, connect: Connect) -> None:
    callback = connect()
    assert (await callback.post(STREAM, [entry()], now_ms())).status == 200
    await callback.close()
    await callback.close()
    assert callback._channel._connections._timer is None
