"""The usual entry: the same report as the thorough way makes, and left to that whenever something is not as usual."""

import json
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from relay.domain.fields import base_of
from relay.domain.identity import Unusable
from relay.domain.normalise import normaliser
from relay.domain.report import Report
from relay.domain.usual import Unusual, Usual, raw_results, usual
from relay.domain.values import Inexact

BASE_URL = "https://xyz.api.infobip.com"
EXAMPLES = sorted(Path("tests/fixtures/infobip/examples").glob("*_reports_*.json"))
STATUS = {"groupId": 3, "groupName": "DELIVERED", "id": 5, "name": "DELIVERED_TO_HANDSET", "description": "Delivered"}


def made(entry: dict[str, Any]) -> Report:
    return Usual(base_of(BASE_URL)).report(json.dumps(entry).encode())


def thorough(entry: dict[str, Any]) -> Report:
    return normaliser("voice", BASE_URL).report(orjson.loads(json.dumps(entry)))


def test_types_stay_nulls_go_and_timestamps_get_their_colon() -> None:
    report = made({
        "messageId": "m-1", "to": "385981234567", "bulkId": None, "sentAt": "2015-02-12T09:58:20.323+0100",
        "doneAt": "2015-02-12T09:58:20Z", "smsCount": 1, "fileDuration": 19.3, "mccMnc": None, "price": None,
        "recordedAudioFileUrl": "/tts/3/files/m-1", "status": {**STATUS, "action": None}, "error": {"id": 0},
    })  # fmt: skip

    assert replace(report, value=b"") == Report("m-1", "5:0", 3, True, b"")
    assert json.loads(report.value) == {
        "messageId": "m-1", "to": "385981234567", "sentAt": "2015-02-12T09:58:20.323+01:00",
        "doneAt": "2015-02-12T09:58:20Z", "smsCount": 1, "fileDuration": 19.3,
        "recordedAudioFileUrl": "https://xyz.api.infobip.com/tts/3/files/m-1", "status": STATUS, "error": {"id": 0},
    }  # fmt: skip


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_the_documents_examples_are_usual(path: Path) -> None:
    raws = raw_results(path.read_bytes())
    known = usual("voice", BASE_URL)

    assert raws
    assert known is not None
    assert all(known.takes(raw) for raw in raws)


@pytest.mark.parametrize(
    "change",
    [
        {"nobodyKnows": 1},
        {"sender": "InfoSMS"},
        {"mccmnc": "21901"},
        {"unparsed": {}},
        {"messageId": 7},
        {"messageId": ""},
        {"messageId": "a" * 257},
        {"messageId": "a\nb"},
        {"smsCount": "1"},
        {"smsCount": 1.0},
        {"smsCount": 2**60},
        {"fileDuration": "19.3"},
        {"sentAt": "yesterday"},
        {"sentAt": ""},
        {"doneAt": 1423731500323},
        {"to": 385981234567},
        {"recordedAudioFileUrl": "a b"},
        {"status": "DELIVERED"},
        {"status": {"id": "five"}},
        {"price": {"pricePerMessage": True}},
    ],
    ids=str,
)
def test_what_is_not_as_usual_is_left_to_the_thorough_way(change: dict[str, Any]) -> None:
    with pytest.raises(Unusual):
        made({"messageId": "m-1", "smsCount": 1, "status": STATUS, **change})


@pytest.mark.parametrize(
    "raw",
    [
        b'{"messageId":"a","price":{"currency":"\xff"}}',
        b'{"messageId":"a\xff"}',
        b'{"messageId":"\\ud800"}',
        b'{"messageId":"a","fileDuration":0.12345678901234567890}',
        b'{"messageId":"a","price":{"pricePerMessage":0.12345678901234567890}}',
        b'{"messageId":"a","error":' + b"[" * 5000 + b"]" * 5000 + b"}",
        b'["messageId"]',
        b"1",
    ],
    ids=range(8),
)
def test_bytes_that_need_care(raw: bytes) -> None:
    known = Usual(base_of(BASE_URL))
    assert not known.takes(raw)
    assert known.takes(b'{"messageId":"a"}')


@pytest.mark.parametrize(
    "body", [b"", b"[]", b'{"results":{}}', b'{"results":[{}]', b'{"results":[NaN]}', b'{"results":[{"a":01}]}']
)
def test_a_body_that_is_not_sound_has_no_raw_results(body: bytes) -> None:
    assert raw_results(body) is None


def test_a_body_is_made_at_once_if_all_of_it_is_usual() -> None:
    known = Usual(base_of(BASE_URL))
    first, second, unusual = (b'{"messageId":"%b"}' % name for name in (b"a", b"b", b"c\x7f"))

    reports = known.reports(b'{"results":[%b,%b]}' % (first, second))

    assert reports == [known.report(first), known.report(second)]
    assert known.reports(b'{"results":[%b,%b]}' % (first, unusual)) is None
    assert known.reports(b'{"results":[%b]' % first) is None


def test_only_kinds_with_documents_have_something_usual() -> None:
    assert usual("sms", BASE_URL) is not None
    assert usual("email", BASE_URL) is None


texts = st.none() | st.text(max_size=8)
moments = st.sampled_from([None, "2015-02-12T09:58:20.323+0100", "2015-02-12T09:58:20Z", "1423731500323"])
whole = st.none() | st.integers(-(2**53), 2**53)
numbers = st.sampled_from([None, 0, 19, -3, 0.01, 19.3, 0.0075, 1e-7, -0.0, 1e15, 123456.789, 0.1234567890123456789])
codes = st.none() | st.fixed_dictionaries(
    {},
    optional={
        **dict.fromkeys(("groupId", "id"), whole),
        **dict.fromkeys(("groupName", "name", "currency"), texts),
        **dict.fromkeys(("pricePerMessage", "pricePerSecond"), numbers),
        "permanent": st.none() | st.booleans(),
        "other": st.lists(numbers | texts | st.booleans(), max_size=3),
    },
)
fields = {
    **dict.fromkeys(("bulkId", "to", "from", "text", "mccMnc", "callbackData", "dtmfCodes", "entityId"), texts),
    **dict.fromkeys(("sentAt", "doneAt", "startTime", "answerTime", "endTime"), moments),
    **dict.fromkeys(("smsCount", "duration"), whole),
    "recordedAudioFileUrl": st.sampled_from([None, "/a/b", "https://x/y", "//x/y"]),
    "fileDuration": numbers,
    **dict.fromkeys(("price", "status", "error"), codes),
}


@given(
    st.text(st.characters(exclude_categories=["C"]), min_size=1, max_size=8), st.fixed_dictionaries({}, optional=fields)
)
def test_it_is_the_report_that_the_thorough_way_makes(message_id: str, optional: dict[str, Any]) -> None:
    entry = {"messageId": message_id, **optional}
    try:
        report = made(entry)
    except Unusual:
        return
    try:
        expected = thorough(entry)
    except (Unusable, Inexact) as error:
        raise AssertionError(f"the thorough way refuses it: {error!r}") from error
    assert replace(report, value=b"") == replace(expected, value=b"")
    assert json.loads(report.value) == json.loads(expected.value)


@pytest.mark.parametrize("raw", [b'"a\0b"', b'"\0\0"', b'{"currency":"\0"}'])
@pytest.mark.parametrize("name", [b"price", b"status", b"error"])
def test_what_separates_the_remembered_fields_is_no_part_of_them(name: bytes, raw: bytes) -> None:
    entry = b'{"messageId":"m-1","%b":%b}' % (name, raw)

    assert not Usual(None).takes(entry)
    assert Usual(None).reports(b'{"results":[%b]}' % entry) is None
