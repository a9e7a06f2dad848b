"""XML for whoever asks for it, giving the same events as JSON."""

from pathlib import Path

import aiohttp
import orjson
import pytest

from relay.domain.decode import decode_body
from relay.domain.report import Report
from relay.simulator.options import SimulatorOptions, TrafficOptions
from relay.simulator.rendering import as_xml
from relay.simulator.server import Simulator

XML = {"Accept": "application/xml", "Authorization": "App simulator-key"}
JSON = {"Accept": "application/json", "Authorization": "App simulator-key"}


def options(ledger: Path | None = None) -> SimulatorOptions:
    backlog = {"sms": TrafficOptions(backlog=40), "voice": TrafficOptions(backlog=40)}
    return SimulatorOptions(traffic=backlog, ledger=ledger)


async def ask(simulator: Simulator, path: str, headers: dict[str, str]) -> tuple[str, bytes]:
    async with aiohttp.ClientSession() as session, session.get(simulator.base_url + path, headers=headers) as answer:
        assert answer.status == 200
        return answer.content_type, await answer.read()


def events(body: bytes, kind: str) -> list[object]:
    decoded = decode_body(body, kind=kind, base_url="http://127.0.0.1", complete=True)
    assert decoded.complete
    return [orjson.loads(entry.value) for entry in decoded.entries if isinstance(entry, Report)]


@pytest.mark.parametrize(
    ("kind", "path"), [("sms", "/sms/1/reports"), ("voice", "/tts/3/reports"), ("sms", "/sms/1/logs")]
)
async def test_the_same_events_as_json(kind: str, path: str) -> None:
    async with Simulator(options()) as one, Simulator(options()) as other:
        content_type, xml = await ask(one, path, XML)
        _, json = await ask(other, path, JSON)

    assert content_type == "application/xml"
    found = events(xml, kind)
    assert len(found) == 40
    assert [_untimed(event) for event in found] == [_untimed(event) for event in events(json, kind)]


async def test_the_ledger_knows_how_many_left_whole(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger.jsonl"
    async with Simulator(options(ledger)) as simulator:
        await ask(simulator, "/sms/1/reports", XML)
    ended = orjson.loads(ledger.read_bytes().splitlines()[-1])
    assert (ended["whole_reports"], ended["completed"]) == (40, True)


def test_an_element_for_each_field() -> None:
    report = b'{"messageId":"a<b","smsCount":1,"price":{"currency":"EUR"},"permanent":true,"gone":null,"ids":["x","y"]}'
    assert as_xml(report) == (
        b"<result><messageId>a&lt;b</messageId><smsCount>1</smsCount><price><currency>EUR</currency></price>"
        b"<permanent>true</permanent><ids>x</ids><ids>y</ids></result>"
    )
    assert as_xml(b"not json") == b"not json"


def _untimed(event: object) -> object:
    """The two simulators were started a moment apart."""
    assert isinstance(event, dict)
    return {key: value for key, value in event.items() if key not in TIMES}


TIMES = {"sentAt", "doneAt", "startTime", "answerTime", "endTime"}
