"""Each generation from the simulator through the source and the decoder: the same events, all valid."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from relay.domain.report import Decoded
from relay.ports import LogQuery
from relay.simulator.options import SimulatorOptions, TrafficOptions
from relay.simulator.server import Simulator
from relay.sources.logs import InfobipLogs
from tests.unit.domain.events import decode, reports, strict_json
from tests.unit.sources.conftest import MakeSource

SMS: list[dict[str, Any]] = [
    {
        "bulkId": "b-1",
        "messageId": "m-1",
        "to": "41793026727",
        "from": "InfoSMS",
        "sentAt": "2999-10-25T09:58:20.323+0100",
        "doneAt": "2999-10-25T09:58:20.337+0100",
        "smsCount": 2,
        "mccMnc": "22801",
        "callbackData": "ref-0042",
        "applicationId": "marketing",
        "entityId": "promotions",
        "price": {"pricePerMessage": 0.01, "currency": "EUR"},
        "status": {"groupId": 3, "groupName": "DELIVERED", "id": 5, "name": "DELIVERED_TO_HANDSET"},
        "error": {"groupId": 0, "groupName": "OK", "id": 0, "name": "NO_ERROR", "permanent": False},
    },
    {"messageId": "m-2", "smsCount": "many", "status": {"groupId": 1, "groupName": "PENDING", "id": 7}},
]
VOICE: list[dict[str, Any]] = [
    {
        "messageId": "m-1",
        "from": "385333444",
        "to": "385981178",
        "sentAt": "2018-06-25T13:38:14.730+0000",
        "startTime": "2018-06-25T13:38:15.000+0000",
        "answerTime": "2018-06-25T13:38:25.000+0000",
        "endTime": "2018-06-25T13:38:28.316+0000",
        "duration": 10,
        "fileDuration": 19.3,
        "dtmfCodes": "01",
        "recordedAudioFileUrl": "/tts/3/files/m-1/385981178",
        "price": {"pricePerSecond": 0.01, "currency": "EUR"},
        "status": {"groupId": 3, "groupName": "DELIVERED", "id": 5},
        "error": {"groupId": 0, "groupName": "OK", "id": 5000, "permanent": True},
    },
    {"messageId": "m-2", "sentAt": "2018-06-25T13:38:14.730+0000", "duration": 0},
]


@pytest.fixture
async def simulator() -> AsyncIterator[Simulator]:
    traffic = {kind: TrafficOptions(total=300) for kind in ("sms", "voice", "email")}
    async with Simulator(SimulatorOptions(traffic=traffic)) as started:
        yield started


async def polled(make_source: MakeSource, simulator: Simulator, *, limit: int, **endpoint: Any) -> Decoded:
    source = make_source(simulator.base_url, auth={"type": "api_key", "token": "simulator-key"}, endpoints=[endpoint])
    answer = await source.fetch_reports(endpoint["kind"], limit=limit)
    assert (answer.status, answer.complete) == (200, True)
    return decode(answer.body, kind=endpoint["kind"], base_url=simulator.base_url)


def events(decoded: Decoded) -> list[dict[str, Any]]:
    return [strict_json(report.value) for report in reports(decoded)]


@pytest.mark.parametrize(
    ("kind", "version", "given", "unlike"),
    [("sms", 3, SMS, {}), ("voice", 1, VOICE, {"voiceCall": {"feature": "Voice-message"}})],
)
async def test_every_generation_gives_the_same_events(
    make_source: MakeSource,
    simulator: Simulator,
    kind: str,
    version: int,
    given: list[dict[str, Any]],
    unlike: dict[str, Any],
) -> None:
    simulator.enqueue(kind, [*given, *given])
    documented = events(await polled(make_source, simulator, limit=2, kind=kind))
    newer = events(await polled(make_source, simulator, limit=2, kind=kind, version=version))
    assert newer == [{**event, **unlike} for event in documented]
    assert [event["messageId"] for event in newer] == ["m-1", "m-2"]


@pytest.mark.parametrize(
    "endpoint",
    [
        {"kind": "sms", "version": 3},
        {"kind": "voice", "version": 1},
        {"kind": "email", "path": "/email/1/reports", "logs_path": "/email/1/logs"},
    ],
)
async def test_traffic_of_every_generation_is_valid(
    make_source: MakeSource, simulator: Simulator, endpoint: dict[str, Any]
) -> None:
    decoded = await polled(make_source, simulator, limit=1000, **endpoint)
    assert (len(reports(decoded)), len(decoded.entries), decoded.complete) == (300, 300, True)
    assert not [event for event in events(decoded) if "unparsed" in event]


@pytest.mark.parametrize(
    "endpoint",
    [
        {"kind": "sms", "version": 3},
        {"kind": "voice", "version": 1},
        {"kind": "email", "path": "/email/1/reports", "logs_path": "/email/1/logs"},
    ],
)
async def test_the_logs_tell_the_outcomes_that_the_reports_tell(
    make_source: MakeSource, simulator: Simulator, endpoint: dict[str, Any]
) -> None:
    source = make_source(simulator.base_url, auth={"type": "api_key", "token": "simulator-key"}, endpoints=[endpoint])
    kind = endpoint["kind"]
    rows = await InfobipLogs(source.account, requests_per_minute=6000).fetch_logs(kind, LogQuery(limit=1000))
    polled_now = decode((await source.fetch_reports(kind, limit=1000)).body, kind=kind)
    told = {(report.message_id, report.outcome) for report in reports(rows)}
    assert told == {(report.message_id, report.outcome) for report in reports(polled_now)}
    assert len(told) == 300


async def test_a_row_of_the_newer_logs_has_the_documented_fields(make_source: MakeSource, simulator: Simulator) -> None:
    simulator.enqueue("sms", SMS[:1])
    auth = {"type": "api_key", "token": "simulator-key"}
    source = make_source(simulator.base_url, auth=auth, endpoints=[{"kind": "sms", "version": 3}])
    rows = await InfobipLogs(source.account, requests_per_minute=6000).fetch_logs("sms", LogQuery(message_id="m-1"))
    (event,) = events(rows)
    assert (event["from"], event["to"], event["text"], event["smsCount"], event["mccMnc"]) == (
        "InfoSMS",
        "41793026727",
        "Test SMS.",
        2,
        "22801",
    )
    assert {"sender", "destination", "content", "platform"}.isdisjoint(event)
