"""Where the documents contradict themselves, or the real API them: a test for each that touches decoding."""

from typing import Any

import pytest

from relay.domain.report import Report
from tests.unit.domain.events import FIXTURES, decode, reports, strict_json


def decoded(name: str, kind: str) -> list[Report]:
    return reports(decode((FIXTURES / "examples" / name).read_bytes(), kind=kind))


def events(name: str, kind: str = "voice") -> list[dict[str, Any]]:
    return [strict_json(report.value) for report in decoded(name, kind)]


def test_duplicate_keys_the_last_wins() -> None:
    (event,) = events("tts_reports_1.json")
    assert (event["sentAt"], event["doneAt"]) == ("2018-06-25T13:38:14.730+00:00", "2018-06-25T13:38:28.318+00:00")


def test_a_call_may_start_years_after_it_was_done() -> None:
    event = events("tts_reports_2.json")[0]
    assert (event["doneAt"], event["startTime"]) == ("2015-02-12T09:58:20.337+01:00", "2018-06-25T13:38:15.000+00:00")


def test_fields_come_and_go_within_one_answer() -> None:
    first, second = events("tts_reports_2.json")
    absent = {"startTime", "endTime", "answerTime", "fileDuration"}
    assert absent <= first.keys()
    assert not absent & second.keys()
    first, second = events("sms_reports_b3.json", "sms")
    assert ("mccMnc" in first, "mccMnc" in second) == (True, False)
    assert "callbackData" in events("sms_reports_0.json", "sms")[0]
    assert "callbackData" not in first


def test_the_recording_is_relative_in_json_and_absolute_in_xml() -> None:
    path = "/tts/3/files/ff4804ef-6ab6-4abd-984d-ab3b1387e852/385981178"
    assert events("tts_reports_0.json")[0]["recordedAudioFileUrl"] == f"https://xyz.api.infobip.com{path}"
    assert events("tts_reports_0.xml")[0]["recordedAudioFileUrl"] == f"https://api.infobip.com{path}"


def test_xml_leaves_out_what_json_has() -> None:
    only_json = {"callbackData", "fileDuration", "startTime", "answerTime", "endTime"}
    assert only_json <= events("tts_reports_0.json")[0].keys()
    assert not only_json & events("tts_reports_0.xml")[0].keys()


def test_durations_need_not_agree() -> None:
    event = events("tts_reports_0.json")[0]
    assert (event["duration"], event["fileDuration"]) == (10, 19.3)


@pytest.mark.parametrize("name", ["tts_logs_0.json", "tts_reports_0.json"])
def test_a_delivered_message_may_carry_a_permanent_error(name: str) -> None:
    (report,) = decoded(name, "voice")
    assert strict_json(report.value)["error"]["permanent"] is True
    assert (report.status_group, report.final) == (3, True)


def test_a_rejected_row_may_carry_the_error_group_ok() -> None:
    (report,) = decoded("tts_logs_1.xml", "voice")
    assert strict_json(report.value)["error"]["groupName"] == "OK"
    assert (report.outcome, report.status_group) == ("6:5003", 5)


def test_names_of_groups_differ_in_case_and_are_passed_on() -> None:
    assert {event["error"]["groupName"] for event in events("tts_logs_0.xml")} == {"Ok"}


def test_voice_logs_may_hold_what_looks_like_sms() -> None:
    event = events("tts_logs_0.xml")[0]
    assert (event["from"], event["text"], event["duration"]) == ("InfoSMS", "Test SMS.", 1)


def test_the_same_message_may_differ_between_json_and_xml() -> None:
    by_json = next(event for event in events("tts_logs_1.json") if event["messageId"].startswith("07e03aae"))
    by_xml = next(event for event in events("tts_logs_0.xml") if event["messageId"].startswith("07e03aae"))
    assert (by_json["text"], by_xml["text"]) == ("Test voice message 1.", "Test SMS.")
    assert by_json["price"] == {"pricePerSecond": 0.01, "currency": "EUR"}
    assert by_xml["price"] == {"pricePerMessage": 0.01, "currency": "EUR"}


def test_logs_spell_the_network_otherwise() -> None:
    assert [event["mccMnc"] for event in events("tts_logs_1.json")] == ["22801", "22801"]


def test_prices_are_written_with_any_number_of_digits() -> None:
    assert [event["price"]["pricePerMessage"] for event in events("tts_logs_2.xml")] == [0.01, 0.0]


def test_results_may_be_one_object() -> None:
    assert len(reports(decode('{"results":{"messageId":"m1"}}', kind="voice"))) == 1


def test_the_current_push_has_epoch_milliseconds_and_nulls() -> None:
    body = (
        '{"results":[{"messageId":"m1","startTime":1529933895000,"answerTime":1529933905000,"mccMnc":null,'
        '"callbackData":null,"dtmfCodes":null,"ivr":null,"price":{"pricePerSecond":0.0,"currency":"UNKNOWN"}}]}'
    )
    assert strict_json(reports(decode(body, kind="voice"))[0].value) == {
        "messageId": "m1",
        "startTime": "2018-06-25T13:38:15.000Z",
        "answerTime": "2018-06-25T13:38:25.000Z",
        "price": {"pricePerSecond": 0.0, "currency": "UNKNOWN"},
    }


def test_the_old_push_in_xml_has_sent_at_twice() -> None:
    body = (
        "<reportResponse><results><result><messageId>m1</messageId><sentAt>1529933894730</sentAt>"
        "<sentAt>1529933908318</sentAt></result></results></reportResponse>"
    )
    event = strict_json(reports(decode(body, kind="voice"))[0].value)
    assert event == {"messageId": "m1", "sentAt": "2018-06-25T13:38:28.318Z"}


@pytest.mark.parametrize(
    "member",
    [
        '"status":{"groupId":42,"groupName":"BRAND_NEW","id":4711,"name":"NEVER_SEEN"}',
        '"error":{"groupName":"Ok"}',
        '"messageCount":1',
        '"mccMnc":21901',
        '"callbackData":{"order":1}',
        '"smsCount":"1"',
        '"sentAt":""',
        '"duration":10.5',
    ],
)
def test_one_odd_report_never_stops_a_batch(member: str) -> None:
    body = '{"results":[{"messageId":"a"},{"messageId":"b",' + member + '},{"messageId":"c"}]}'
    assert [report.message_id for report in reports(decode(body, kind="voice"))] == ["a", "b", "c"]
