"""Reports of newer generations become the events that the documented ones become."""

import json
from typing import Any

import pytest

from tests.unit.domain.events import decode, event, reports, strict_json

STATUS: dict[str, Any] = {
    "groupId": 3,
    "groupName": "DELIVERED",
    "id": 5,
    "name": "DELIVERED_TO_HANDSET",
    "description": "Message delivered to handset",
}
NO_ERROR: dict[str, Any] = {
    "groupId": 0,
    "groupName": "OK",
    "id": 0,
    "name": "NO_ERROR",
    "description": "No Error",
    "permanent": False,
}

SMS_1 = {
    "bulkId": "2034072219640523072",
    "messageId": "2250be2d4219-3af1-78856-aabe-1362af1edfd2",
    "to": "41793026727",
    "from": "InfoSMS",
    "sentAt": "2023-10-25T09:58:20.323+0100",
    "doneAt": "2023-10-25T09:58:20.337+0100",
    "smsCount": 2,
    "mccMnc": "22801",
    "callbackData": "ref-0042",
    "applicationId": "marketing",
    "entityId": "promotions",
    "campaignReferenceId": "summersale",
    "price": {"pricePerMessage": 0.01, "currency": "EUR"},
    "status": STATUS,
    "error": NO_ERROR,
}
SMS_3 = {
    "bulkId": "2034072219640523072",
    "price": {"pricePerMessage": 0.01, "currency": "EUR"},
    "status": STATUS,
    "error": NO_ERROR,
    "messageId": "2250be2d4219-3af1-78856-aabe-1362af1edfd2",
    "to": "41793026727",
    "sender": "InfoSMS",
    "sentAt": "2023-10-25T09:58:20.323+0100",
    "doneAt": "2023-10-25T09:58:20.337+0100",
    "messageCount": 2,
    "mccMnc": "22801",
    "callbackData": "ref-0042",
    "platform": {"applicationId": "marketing", "entityId": "promotions"},
    "campaignReferenceId": "summersale",
}
SMS_3_LOG = {
    "sender": "InfoSMS",
    "destination": "41793026727",
    "bulkId": "2034072219640523072",
    "messageId": "2250be2d4219-3af1-78856-aabe-1362af1edfd2",
    "sentAt": "2023-10-25T09:58:20.323+0100",
    "doneAt": "2023-10-25T09:58:20.337+0100",
    "messageCount": 2,
    "price": {"pricePerMessage": 0.01, "currency": "EUR"},
    "status": STATUS,
    "error": NO_ERROR,
    "platform": {"applicationId": "marketing"},
    "content": {"text": "Ride the radio wave of your dreams", "language": {"languageCode": "NONE"}},
    "mccMnc": "22801",
}
VOICE_3 = {
    "bulkId": "8c20f086-d82b-48cc-b2b3-3ca5f7aca9fb",
    "messageId": "ff4804ef-6ab6-4abd-984d-ab3b1387e852",
    "from": "385333444",
    "to": "385981178",
    "sentAt": "2018-06-25T13:38:14.730+0000",
    "startTime": "2018-06-25T13:38:15.000+0000",
    "answerTime": "2018-06-25T13:38:25.000+0000",
    "endTime": "2018-06-25T13:38:28.316+0000",
    "duration": 10,
    "fileDuration": 19.3,
    "dtmfCodes": "01",
    "mccMnc": "21901",
    "callbackData": "DLR callback data",
    "scenarioId": "333",
    "scenarioName": "Reminder",
    "price": {"pricePerSecond": 0.01, "currency": "EUR"},
    "status": STATUS,
    "error": {**NO_ERROR, "id": 5000, "name": "VOICE_ANSWERED", "permanent": True},
}
VOICE_1 = {
    "bulkId": "8c20f086-d82b-48cc-b2b3-3ca5f7aca9fb",
    "messageId": "ff4804ef-6ab6-4abd-984d-ab3b1387e852",
    "from": "385333444",
    "to": "385981178",
    "sentAt": "2018-06-25T13:38:14.730+0000",
    "mccMnc": "21901",
    "callbackData": "DLR callback data",
    "voiceCall": {
        "startTime": "2018-06-25T13:38:15.000+0000",
        "answerTime": "2018-06-25T13:38:25.000+0000",
        "endTime": "2018-06-25T13:38:28.316+0000",
        "duration": 10,
        "fileDuration": 19.3,
        "dtmfCodes": "01",
        "ivr": {"scenarioId": "333", "scenarioName": "Reminder"},
    },
    "price": {"pricePerSecond": 0.01, "currency": "EUR"},
    "status": STATUS,
    "error": {**NO_ERROR, "id": 5000, "name": "VOICE_ANSWERED", "permanent": True},
}


def published(report: dict[str, Any], kind: str) -> dict[str, Any]:
    (made,) = reports(decode(json.dumps({"results": [report]}), kind=kind))
    return strict_json(made.value)


@pytest.mark.parametrize(("newer", "documented", "kind"), [(SMS_3, SMS_1, "sms"), (VOICE_1, VOICE_3, "voice")])
def test_a_report_of_a_newer_generation_is_the_same_event(
    newer: dict[str, Any], documented: dict[str, Any], kind: str
) -> None:
    made = published(newer, kind)
    assert made == published(documented, kind)
    assert made["sentAt"].endswith(":00")
    assert "unparsed" not in made


def test_a_report_of_a_newer_generation_has_the_same_outcome() -> None:
    (made,) = reports(decode(json.dumps({"results": [VOICE_1]}), kind="voice"))
    assert (made.message_id, made.outcome, made.status_group, made.final) == (
        "ff4804ef-6ab6-4abd-984d-ab3b1387e852",
        "5:5000",
        3,
        True,
    )


def test_a_row_of_the_newer_logs() -> None:
    assert published(SMS_3_LOG, "sms") == {
        "messageId": "2250be2d4219-3af1-78856-aabe-1362af1edfd2",
        "bulkId": "2034072219640523072",
        "from": "InfoSMS",
        "to": "41793026727",
        "text": "Ride the radio wave of your dreams",
        "sentAt": "2023-10-25T09:58:20.323+01:00",
        "doneAt": "2023-10-25T09:58:20.337+01:00",
        "smsCount": 2,
        "mccMnc": "22801",
        "applicationId": "marketing",
        "content": {"language": {"languageCode": "NONE"}},
        "price": {"pricePerMessage": 0.01, "currency": "EUR"},
        "status": STATUS,
        "error": NO_ERROR,
    }


def test_a_page_of_the_newer_logs_may_have_a_cursor() -> None:
    decoded = decode(json.dumps({"results": [SMS_3_LOG], "cursor": {"limit": 10, "nextCursor": "abc"}}))
    assert (len(reports(decoded)), decoded.complete) == (1, True)


@pytest.mark.parametrize(
    ("received", "made"),
    [
        ('"sender":"A"', {"from": "A"}),
        ('"sender":123', {"from": "123"}),
        ('"sender":null', {}),
        ('"from":null,"sender":"A"', {"from": "A"}),
        ('"from":"A","sender":"A"', {"from": "A"}),
        ('"from":"A","sender":null', {"from": "A"}),
        ('"from":"A","sender":"B"', {"from": "A", "sender": "B"}),
        ('"sender":"B","from":"A"', {"from": "A", "sender": "B"}),
        ('"smsCount":1,"messageCount":true', {"smsCount": 1, "messageCount": True}),
        ('"messageCount":"2"', {"smsCount": 2}),
        ('"messageCount":"two"', {"unparsed": {"/smsCount": "two"}}),
        ('"to":"1","destination":"2"', {"to": "1", "destination": "2"}),
        ('"platform":null', {}),
        ('"platform":{}', {}),
        ('"platform":"web"', {"platform": "web"}),
        ('"platform":{"applicationId":"a","region":"eu"}', {"applicationId": "a", "platform": {"region": "eu"}}),
        ('"entityId":"a","platform":{"entityId":"b"}', {"entityId": "a", "platform": {"entityId": "b"}}),
        ('"content":{}', {}),
        ('"content":"Hello"', {"content": "Hello"}),
        ('"content":{"text":null,"binary":{"hex":"00"}}', {"content": {"binary": {"hex": "00"}}}),
        ('"text":"a","content":{"text":"b"}', {"text": "a", "content": {"text": "b"}}),
        ('"voiceCall":{"duration":"10"}', {"duration": 10}),
        ('"voiceCall":{"startTime":1529933895000}', {"startTime": "2018-06-25T13:38:15.000Z"}),
        ('"voiceCall":{"startTime":"soon"}', {"unparsed": {"/startTime": "soon"}}),
        ('"voiceCall":{"fileDuration":0.12345678901234567}', {"fileDuration": 0.12345678901234567}),
        (
            '"duration":9,"voiceCall":{"feature":"Voice-message","duration":10,"chargedDuration":30}',
            {"duration": 9, "voiceCall": {"feature": "Voice-message", "duration": 10, "chargedDuration": 30}},
        ),
        (
            '"voiceCall":{"ivr":{"scenarioId":"1","collectedDtmfs":"{\\"a\\":\\"1\\"}"}}',
            {"scenarioId": "1", "voiceCall": {"ivr": {"collectedDtmfs": '{"a":"1"}'}}},
        ),
        ('"voiceCall":{"ivr":null}', {}),
        ('"voiceCall":{"ivr":[1]}', {"voiceCall": {"ivr": [1]}}),
        (
            '"voiceCall":{"recordedAudioFileUrl":"/tts/3/files/m1"}',
            {"recordedAudioFileUrl": "https://xyz.api.infobip.com/tts/3/files/m1"},
        ),
    ],
)
def test_what_was_renamed_or_nested(received: str, made: dict[str, Any]) -> None:
    assert event(received, kind="voice") == made
    assert event(received, kind="voice") == made, "the same when its layout is remembered"


def test_one_layout_may_be_followed_by_its_twin_of_the_other_generation() -> None:
    decoded = decode(json.dumps({"results": [SMS_3, {**SMS_1, "messageId": "b"}, {**SMS_3, "messageId": "c"}]}))
    events = [strict_json(report.value) for report in reports(decoded)]
    assert [made.pop("messageId") for made in events] == [SMS_3["messageId"], "b", "c"]
    assert events[0] == events[1] == events[2]


def test_other_kinds_keep_their_fields() -> None:
    received = '"sender":"a@b.example","destination":"c@d.example","messageCount":1,"content":{"subject":"x"}'
    assert event(received, kind="email") == {
        "sender": "a@b.example",
        "destination": "c@d.example",
        "messageCount": 1,
        "content": {"subject": "x"},
    }


def test_a_report_of_a_newer_generation_as_xml() -> None:
    body = (
        "<reportResponse><results><result><messageId>m1</messageId><sender>A</sender><messageCount>2</messageCount>"
        "<platform/><voiceCall><feature>IVR</feature><startTime>2018-06-25T13:38:15.000+0000</startTime><duration/>"
        "<fileDuration>19.3</fileDuration><ivr><scenarioId>333</scenarioId></ivr></voiceCall></result></results>"
        "</reportResponse>"
    )
    (made,) = reports(decode(body, kind="voice"))
    assert strict_json(made.value) == {
        "messageId": "m1",
        "from": "A",
        "smsCount": 2,
        "voiceCall": {"feature": "IVR"},
        "startTime": "2018-06-25T13:38:15.000+00:00",
        "fileDuration": 19.3,
        "scenarioId": "333",
    }
