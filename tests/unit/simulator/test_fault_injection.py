"""Each fault as a client sees it, and what the ledger says about it."""

import asyncio
import gzip
import json
import zlib

import aiohttp
import pytest

from relay.simulator.faults import Fault, Faults, What, parse_fault
from relay.simulator.server import Simulator
from tests.unit.simulator.conftest import APP, Start, ledger_lines, read, until

SMS = "/sms/1/reports"
REPORT = {"messageId": "m-1"}  # 19 bytes
BODY = b'{"results":[{"messageId":"m-1"},{"messageId":"m-1"}]}'


async def with_fault(start: Start, **fault: object) -> Simulator:
    simulator = await start(faults=(parse_fault({"times": 1, **fault}),))
    simulator.enqueue("sms", [REPORT, REPORT])
    return simulator


async def get(simulator: Simulator) -> tuple[int, bytes, aiohttp.typedefs.LooseHeaders]:
    """One request on a bare session that neither decompresses nor follows redirects."""
    async with (
        aiohttp.ClientSession(headers=APP, auto_decompress=False) as session,
        session.get(simulator.base_url + SMS, allow_redirects=False) as response,
    ):
        return response.status, await response.read(), dict(response.headers)


async def raw_get(simulator: Simulator) -> bytes:
    """All bytes that come until the connection ends, in whatever way."""
    host, port = simulator.base_url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(f"GET {SMS} HTTP/1.1\r\nHost: x\r\nAuthorization: App simulator-key\r\n\r\n".encode())
    received = b""
    try:
        while piece := await reader.read(65536):
            received += piece
    except ConnectionResetError:
        received += b"<reset>"
    writer.close()
    return received


async def left(simulator: Simulator) -> int:
    waiting: int = simulator.state()["kinds"]["sms"]["waiting"]
    return waiting


@pytest.mark.parametrize(
    ("fault", "status", "words", "header"),
    [
        ({"what": "status", "status": 500}, 500, b"GENERAL_ERROR", ("Content-Type", "application/json;charset=UTF-8")),
        ({"what": "status", "status": 401}, 401, b"UNAUTHORIZED", ("Content-Type", "application/json;charset=UTF-8")),
        ({"what": "status", "status": 429, "retry_after": "7"}, 429, b"TOO_MANY_REQUESTS", ("Retry-After", "7")),
        ({"what": "status", "status": 302, "location": "http://x/"}, 302, b"", ("Location", "http://x/")),
        ({"what": "html"}, 200, b"maintenance", ("Content-Type", "text/html")),
        (
            {"what": "answer", "status": 200, "body": "NO_DATA", "content_type": "text/plain"},
            200,
            b"NO_DATA",
            ("Content-Type", "text/plain"),
        ),
    ],
)
@pytest.mark.parametrize("consumes", [False, True])
async def test_answers_that_are_not_reports(start: Start, fault, status, words, header, consumes: bool) -> None:
    simulator = await with_fault(start, consumes=consumes, **fault)
    got_status, body, headers = await get(simulator)
    assert (got_status, headers[header[0]]) == (status, header[1])
    assert words in body
    assert await left(simulator) == (0 if consumes else 2)
    (ended,) = ledger_lines(simulator, "ended")
    assert (ended["status"], ended["fault"], ended["whole_reports"]) == (status, fault["what"], 0)
    assert len(ledger_lines(simulator, "handed_out")) == (1 if consumes else 0)


@pytest.mark.parametrize(("what", "end"), [("reset_before", b"<reset>"), ("close_before", b"")])
@pytest.mark.parametrize("consumes", [False, True])
async def test_nothing_comes(start: Start, what: str, end: bytes, consumes: bool) -> None:
    simulator = await with_fault(start, what=what, consumes=consumes)
    assert await raw_get(simulator) == end
    assert await left(simulator) == (0 if consumes else 2)
    (ended,) = ledger_lines(simulator, "ended")
    assert (ended["status"], ended["sent_bytes"], ended["whole_reports"], ended["completed"]) == (None, 0, 0, False)


@pytest.mark.parametrize(("what", "end"), [("reset_in_body", b"<reset>"), ("close_in_body", b"")])
@pytest.mark.parametrize(
    ("cut", "sent_bytes", "whole"), [(0.0, 1, 0), (0.57, 30, 0), (0.6, 31, 1), (0.9, 47, 1), (1.0, 52, 2)]
)
async def test_half_an_answer(start: Start, what: str, end: bytes, cut: float, sent_bytes: int, whole: int) -> None:
    simulator = await with_fault(start, what=what, cut=cut)
    head, _, body = (await raw_get(simulator)).partition(b"\r\n\r\n")
    assert f"Content-Length: {len(BODY)}".encode() in head
    assert body == BODY[:sent_bytes] + end
    assert await left(simulator) == 0
    (ended,) = ledger_lines(simulator, "ended")
    assert (ended["sent_bytes"], ended["whole_reports"], ended["completed"]) == (sent_bytes, whole, False)


async def test_truncated_gzip(start: Start) -> None:
    simulator = await with_fault(start, what="truncated_gzip", cut=0.5)
    _, body, headers = await get(simulator)
    assert headers["Content-Encoding"] == "gzip"
    assert int(headers["Content-Length"]) == len(body)
    with pytest.raises(EOFError):
        gzip.decompress(body)
    assert BODY.startswith(zlib.decompressobj(31).decompress(body))
    (ended,) = ledger_lines(simulator, "ended")
    assert ended["whole_reports"] < 2


async def test_a_late_answer(start: Start) -> None:
    simulator = await with_fault(start, what="delay", seconds=0.05)
    begun = asyncio.get_running_loop().time()
    assert (await get(simulator))[1] == BODY
    assert asyncio.get_running_loop().time() - begun >= 0.05


async def test_an_answer_that_drips(start: Start) -> None:
    simulator = await with_fault(start, what="drip", seconds=0.1)
    begun = asyncio.get_running_loop().time()
    assert (await get(simulator))[1] == BODY
    assert asyncio.get_running_loop().time() - begun >= 0.1
    (ended,) = ledger_lines(simulator, "ended")
    assert (ended["fault"], ended["whole_reports"], ended["completed"]) == ("drip", 2, True)


async def test_an_answer_that_drips_for_too_long_is_cut_by_its_reader(start: Start) -> None:
    simulator = await with_fault(start, what="drip", seconds=10)
    async with aiohttp.ClientSession(headers=APP, timeout=aiohttp.ClientTimeout(total=0.2)) as session:
        with pytest.raises(TimeoutError):
            async with session.get(simulator.base_url + SMS) as response:
                await response.read()
    assert await left(simulator) == 0


async def test_an_answer_too_late_for_its_reader_is_lost(start: Start) -> None:
    simulator = await with_fault(start, what="delay", seconds=0.3)
    async with aiohttp.ClientSession(headers=APP, timeout=aiohttp.ClientTimeout(total=0.05)) as session:
        with pytest.raises(TimeoutError):
            await session.get(simulator.base_url + SMS)
    await until(lambda: ledger_lines(simulator, "ended"))
    lines = ledger_lines(simulator, "ended")
    assert (lines[0]["sent_bytes"], lines[0]["whole_reports"], lines[0]["completed"]) == (0, 0, False)
    assert await left(simulator) == 0


async def test_hanging_ends_with_the_client_or_with_the_simulator(start: Start) -> None:
    simulator = await start(faults=(Fault(What.HANG),))
    simulator.enqueue("sms", [REPORT])
    async with aiohttp.ClientSession(headers=APP, timeout=aiohttp.ClientTimeout(total=0.05)) as session:
        with pytest.raises(TimeoutError):
            await session.get(simulator.base_url + SMS)
    await until(lambda: ledger_lines(simulator, "ended"))
    assert await left(simulator) == 1
    hanging = asyncio.create_task(raw_get(simulator))
    await until(lambda: simulator.faults.injected["hang"] == 2)
    await simulator.stop()
    assert await asyncio.wait_for(hanging, 5) == b""


async def test_faults_over_http(start: Start, session: aiohttp.ClientSession) -> None:
    simulator = await start()
    url = simulator.base_url + "/simulator/faults"
    async with session.post(url, json=[{"what": "status", "status": 503, "times": 2}, {"what": "html", "rate": 0.5}]):
        pass
    async with session.get(simulator.base_url + SMS) as response:
        assert response.status == 503
    rules = json.loads(await read(session, url))
    assert [(rule["what"], rule["times"], rule["rate"]) for rule in rules] == [("status", 1, 1.0), ("html", None, 0.5)]
    async with session.delete(url):
        pass
    assert json.loads(await read(session, url)) == []
    assert await read(session, simulator.base_url + SMS) == b'{"results":[]}'
    state = json.loads(await read(session, simulator.base_url + "/simulator/state"))
    assert state["faults_injected"] == {"status": 1}


def test_rules_are_asked_in_order_and_used_up() -> None:
    faults = Faults([Fault(What.HTML, kind="voice"), Fault(What.HANG, times=2), Fault(What.DELAY)], seed=1)
    assert [fault and fault.what for fault in (faults.draw("sms") for _ in range(4))] == [
        What.HANG,
        What.HANG,
        What.DELAY,
        What.DELAY,
    ]
    assert faults.injected == {"hang": 2, "delay": 2}


def test_a_rate_is_kept_and_seeded() -> None:
    def drawn(seed: int) -> list[bool]:
        faults = Faults([Fault(What.HTML, rate=0.2)], seed)
        return [faults.draw("sms") is not None for _ in range(1000)]

    assert drawn(1) == drawn(1) != drawn(2)
    assert 150 < sum(drawn(1)) < 250
