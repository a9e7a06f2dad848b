"""The same queues under the paths and in the shapes of newer generations."""

import json
from typing import Any

import aiohttp
import pytest

from relay.simulator.options import TrafficOptions
from tests.unit.simulator.conftest import Start, ledger_lines, message_ids, read

SMS: dict[str, Any] = {
    "messageId": "m-1",
    "to": "41793026727",
    "from": "InfoSMS",
    "sentAt": "2023-10-25T09:58:20.323+0100",
    "smsCount": 2,
    "applicationId": "marketing",
}
VOICE: dict[str, Any] = {
    "messageId": "m-2",
    "doneAt": "2018-06-25T13:38:28.318+0000",
    "startTime": "2018-06-25T13:38:15.000+0000",
    "duration": 10,
    "recordedAudioFileUrl": "/tts/3/files/m-2",
}


async def results(session: aiohttp.ClientSession, url: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(await read(session, url))["results"]
    return found


async def test_sms_3(start: Start, session: aiohttp.ClientSession) -> None:
    simulator = await start()
    simulator.enqueue("sms", [SMS, "not JSON"])
    body = await read(session, simulator.base_url + "/sms/3/reports")
    assert body.endswith(b",not JSON]}")
    assert json.loads(body.replace(b",not JSON", b"")) == {
        "results": [
            {
                "messageId": "m-1",
                "to": "41793026727",
                "sender": "InfoSMS",
                "sentAt": "2023-10-25T09:58:20.323+0100",
                "messageCount": 2,
                "platform": {"applicationId": "marketing"},
            }
        ]
    }
    assert await results(session, simulator.base_url + "/sms/1/reports") == []


async def test_voice_1(start: Start, session: aiohttp.ClientSession) -> None:
    simulator = await start()
    simulator.enqueue("voice", [VOICE, {"messageId": "m-3", "doneAt": "2018-06-25T13:38:28.318+0000"}])
    assert await results(session, simulator.base_url + "/voice/1/reports") == [
        {
            "messageId": "m-2",
            "recordedAudioFileUrl": "/tts/3/files/m-2",
            "voiceCall": {"feature": "Voice-message", "startTime": "2018-06-25T13:38:15.000+0000", "duration": 10},
        },
        {"messageId": "m-3"},
    ]
    assert await results(session, simulator.base_url + "/tts/3/reports") == []


async def test_sms_3_logs(start: Start, session: aiohttp.ClientSession) -> None:
    simulator = await start()
    recent = {**SMS, "sentAt": "2999-01-01T00:00:00.000+0000"}
    simulator.enqueue("sms", [recent, {**recent, "messageId": "m-9", "from": "Other"}])
    assert await results(session, simulator.base_url + "/sms/3/logs?sender=InfoSMS&destination=41793026727") == [
        {
            "messageId": "m-1",
            "destination": "41793026727",
            "sender": "InfoSMS",
            "sentAt": "2999-01-01T00:00:00.000+0000",
            "messageCount": 2,
            "platform": {"applicationId": "marketing"},
            "content": {"text": "Test SMS."},
        }
    ]


@pytest.mark.parametrize(
    ("kind", "path"), [("sms", "/sms/3/reports"), ("voice", "/voice/1/reports"), ("email", "/email/1/reports")]
)
async def test_what_was_handed_out_is_in_the_ledger(
    start: Start, session: aiohttp.ClientSession, kind: str, path: str
) -> None:
    simulator = await start(traffic={kind: TrafficOptions(total=60)})
    first = message_ids(await read(session, simulator.base_url + path))
    second = message_ids(await read(session, f"{simulator.base_url}{path}?limit=1000"))
    assert [len(first), len(second), len({*first, *second})] == [50, 10, 60]
    lines = ledger_lines(simulator, "handed_out")
    assert [(line["kind"], line["ids"]) for line in lines] == [(kind, first), (kind, second)]
    assert [line["whole_reports"] for line in ledger_lines(simulator, "ended")] == [50, 10]
    assert simulator.drained


async def test_the_logs_of_a_kind_of_ones_own(start: Start, session: aiohttp.ClientSession) -> None:
    simulator = await start(traffic={"email": TrafficOptions(total=3)})
    (row, *_) = await results(session, simulator.base_url + "/email/1/logs")
    assert (row["from"], row["text"], row["channel"]) == ("news@example.com", "Test email.", "EMAIL")
