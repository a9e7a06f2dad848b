"""The API as a client sees it: one-time, authorised, limited, filtered."""

import asyncio
import base64
import json
import socket
from contextlib import suppress

import aiohttp
import pytest

from relay.simulator.options import Credentials, SimulatorOptions, TrafficOptions
from relay.simulator.server import serve
from tests.unit.simulator.conftest import Start, ledger_lines, message_ids, read

SMS, VOICE = "/sms/1/reports", "/tts/3/reports"


def given(*numbers: int, bulk_id: str = "b") -> list[dict[str, object]]:
    return [{"bulkId": bulk_id, "messageId": f"m-{n}", "status": {"id": 5}, "error": {"id": 0}} for n in numbers]


async def test_a_report_is_read_once(start: Start, session: aiohttp.ClientSession) -> None:
    simulator = await start()
    simulator.enqueue("sms", given(1, 2))
    body = await read(session, simulator.base_url + SMS)
    assert json.loads(body) == {"results": given(1, 2)}
    assert await read(session, simulator.base_url + SMS) == b'{"results":[]}'


async def test_kinds_have_queues_of_their_own(start: Start, session: aiohttp.ClientSession) -> None:
    simulator = await start()
    simulator.enqueue("voice", given(1))
    assert await read(session, simulator.base_url + SMS) == b'{"results":[]}'
    assert message_ids(await read(session, simulator.base_url + VOICE)) == ["m-1"]


@pytest.mark.parametrize(("query", "count"), [("", 50), ("?limit=1", 1), ("?limit=70", 70), ("?limit=1000", 1000)])
async def test_limit(start: Start, session: aiohttp.ClientSession, query: str, count: int) -> None:
    simulator = await start(traffic={"sms": TrafficOptions(total=1200)})
    assert len(message_ids(await read(session, simulator.base_url + SMS + query))) == count
    assert simulator.state()["kinds"]["sms"]["waiting"] == 1200 - count


@pytest.mark.parametrize("limit", ["0", "1001", "-1", "ten", "", "99999999999", "1.5"])
async def test_a_bad_limit_takes_nothing(start: Start, session: aiohttp.ClientSession, limit: str) -> None:
    simulator = await start(traffic={"sms": TrafficOptions(total=5)})
    async with session.get(simulator.base_url + SMS, params={"limit": limit}) as response:
        assert response.status == 400
        assert (await response.json())["requestError"]["serviceException"]["messageId"] == "BAD_REQUEST"
    assert simulator.state()["kinds"]["sms"]["waiting"] == 5


async def test_filters_leave_the_others_in_order(start: Start, session: aiohttp.ClientSession) -> None:
    simulator = await start()
    simulator.enqueue("sms", given(1, 2) + given(3, 4, bulk_id="other") + given(5))
    url = simulator.base_url + SMS
    assert message_ids(await read(session, url + "?bulkId=other&limit=1")) == ["m-3"]
    assert message_ids(await read(session, url + "?messageId=m-2")) == ["m-2"]
    assert message_ids(await read(session, url + "?messageId=absent")) == []
    assert message_ids(await read(session, url)) == ["m-1", "m-4", "m-5"]


BASIC = "Basic " + base64.b64encode(b"simulator:simulator").decode()


@pytest.mark.parametrize("header", [BASIC, BASIC.replace("Basic", "basic"), "App simulator-key", "Bearer t", "IBSSO t"])
async def test_logging_in(start: Start, header: str) -> None:
    simulator = await start(credentials=Credentials(token="t"))
    async with aiohttp.ClientSession(headers={"Authorization": header}) as session:
        assert await read(session, simulator.base_url + SMS) == b'{"results":[]}'


@pytest.mark.parametrize("header", [None, "App wrong", "Basic !", "Basic QQ==", "Digest x", "simulator-key"])
async def test_others_get_401_and_take_nothing(start: Start, header: str | None) -> None:
    simulator = await start(traffic={"sms": TrafficOptions(total=5)})
    headers = {} if header is None else {"Authorization": header}
    async with aiohttp.ClientSession(headers=headers) as session, session.get(simulator.base_url + SMS) as response:
        assert response.status == 401
        assert await response.json() == {
            "requestError": {"serviceException": {"messageId": "UNAUTHORIZED", "text": "Invalid login details"}}
        }
    assert simulator.state()["kinds"]["sms"] == {"waiting": 5, "handed_out": 0, "requests": 1, "drained": False}
    assert ledger_lines(simulator, "handed_out") == []


async def test_gzip_for_those_who_accept_it(start: Start, session: aiohttp.ClientSession) -> None:
    simulator = await start(compress=True)
    simulator.enqueue("sms", given(1))
    async with session.get(simulator.base_url + SMS) as response:
        assert response.headers["Content-Encoding"] == "gzip"
        assert message_ids(await response.read()) == ["m-1"]
    async with session.get(simulator.base_url + SMS, headers={"Accept-Encoding": "identity"}) as response:
        assert "Content-Encoding" not in response.headers


async def test_reports_over_http_also_broken_ones(start: Start, session: aiohttp.ClientSession) -> None:
    simulator = await start()
    order = {"kind": "sms", "reports": [{"messageId": "a"}, '{"messageId":NaN']}
    async with session.post(simulator.base_url + "/simulator/reports", json=order) as response:
        assert (response.status, await response.json()) == (200, {"queued": 2})
    assert await read(session, simulator.base_url + SMS) == b'{"results":[{"messageId":"a"},{"messageId":NaN]}'


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("reports", b"{"),
        ("reports", b'{"kind":"fax","reports":[]}'),
        ("reports", b'{"kind":"sms"}'),
        ("reports", b'{"kind":"sms","reports":[1]}'),
        ("faults", b"[]x"),
        ("faults", b'{"what":"fire"}'),
        ("faults", b'{"rate":1}'),
        ("faults", b'{"what":"delay","rate":2}'),
        ("faults", b'{"what":"delay","speed":2}'),
    ],
)
async def test_bad_orders_are_explained(start: Start, session: aiohttp.ClientSession, path: str, body: bytes) -> None:
    simulator = await start()
    async with session.post(f"{simulator.base_url}/simulator/{path}", data=body) as response:
        assert response.status == 400
        assert (await response.json())["error"]
    assert simulator.faults.rules == ()


async def test_state(start: Start, session: aiohttp.ClientSession) -> None:
    simulator = await start(traffic={"sms": TrafficOptions(total=60)})
    await read(session, simulator.base_url + SMS)
    assert json.loads(await read(session, simulator.base_url + "/simulator/state")) == {
        "kinds": {
            "sms": {"waiting": 10, "handed_out": 50, "requests": 1, "drained": False},
            "voice": {"waiting": 0, "handed_out": 0, "requests": 0, "drained": True},
            "email": {"waiting": 0, "handed_out": 0, "requests": 0, "drained": True},
        },
        "logs": {kind: {"requests": 0, "refused": 0} for kind in ("sms", "voice", "email")},
        "faults_injected": {},
    }
    await read(session, simulator.base_url + SMS)
    assert simulator.drained


async def test_the_ledger_of_a_whole_answer(start: Start, session: aiohttp.ClientSession) -> None:
    simulator = await start()
    simulator.enqueue("sms", given(1, 2))
    body = await read(session, simulator.base_url + SMS)
    await read(session, simulator.base_url + SMS)
    (handed_out,) = ledger_lines(simulator, "handed_out")
    del handed_out["at_ms"]
    assert handed_out == {
        "event": "handed_out",
        "response": 1,
        "kind": "sms",
        "ids": ["m-1", "m-2"],
        "outcomes": ["5:0", "5:0"],
    }
    ended, empty = ledger_lines(simulator, "ended")
    assert (ended["status"], ended["completed"], ended["whole_reports"]) == (200, True, 2)
    assert ended["body_bytes"] == ended["sent_bytes"] == len(body)
    assert (empty["response"], empty["whole_reports"], empty["body_bytes"]) == (2, 0, 14)


async def test_stopping_and_starting_again_keeps_queue_port_and_ledger(
    start: Start, session: aiohttp.ClientSession
) -> None:
    simulator = await start(traffic={"sms": TrafficOptions(total=60)})
    url = simulator.base_url
    await read(session, url + SMS)
    await simulator.stop()
    with pytest.raises(aiohttp.ClientConnectionError):
        await read(session, url + SMS)
    await simulator.start()
    assert simulator.base_url == url
    assert len(message_ids(await read(session, url + SMS))) == 10
    assert [line["response"] for line in ledger_lines(simulator, "handed_out")] == [1, 2]


async def test_serving_until_cancelled(session: aiohttp.ClientSession) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    serving = asyncio.create_task(serve(SimulatorOptions(port=port)))
    body = None
    while body is None:
        with suppress(aiohttp.ClientConnectionError):
            body = await read(session, f"http://127.0.0.1:{port}{SMS}")
        await asyncio.sleep(0)
    serving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await serving
    assert body == b'{"results":[]}'
    with pytest.raises(aiohttp.ClientConnectionError):
        await read(session, f"http://127.0.0.1:{port}{SMS}")
