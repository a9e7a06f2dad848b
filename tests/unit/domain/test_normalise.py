"""What becomes of each field, by what is received for it."""

import json

import pytest

from tests.unit.domain.events import decode, event, ids, rejected, reports, strict_json


@pytest.mark.parametrize(
    ("received", "published"),
    [
        ('"smsCount":1', {"smsCount": 1}),
        ('"smsCount":"1"', {"smsCount": 1}),
        ('"smsCount":" 12\\n"', {"smsCount": 12}),
        ('"smsCount":"+3"', {"smsCount": 3}),
        ('"smsCount":"-3"', {"smsCount": -3}),
        ('"smsCount":"007"', {"smsCount": 7}),
        ('"smsCount":2.0', {"smsCount": 2}),
        ('"smsCount":"2.0"', {"smsCount": 2}),
        ('"smsCount":1e3', {"smsCount": 1000}),
        ('"smsCount":9223372036854775807', {"smsCount": 9223372036854775807}),
        ('"smsCount":"9223372036854775808"', {"smsCount": 9223372036854775808}),
        ('"smsCount":null', {}),
        ('"smsCount":true', {"unparsed": {"/smsCount": True}}),
        ('"smsCount":1.5', {"unparsed": {"/smsCount": 1.5}}),
        ('"smsCount":"1.5"', {"unparsed": {"/smsCount": "1.5"}}),
        ('"smsCount":""', {"unparsed": {"/smsCount": ""}}),
        ('"smsCount":"one"', {"unparsed": {"/smsCount": "one"}}),
        ('"smsCount":"0x10"', {"unparsed": {"/smsCount": "0x10"}}),
        ('"smsCount":"1,000"', {"unparsed": {"/smsCount": "1,000"}}),
        ('"smsCount":"٣"', {"unparsed": {"/smsCount": "٣"}}),
        ('"smsCount":"e5"', {"unparsed": {"/smsCount": "e5"}}),
        ('"smsCount":"."', {"unparsed": {"/smsCount": "."}}),
        ('"smsCount":[1]', {"unparsed": {"/smsCount": [1]}}),
        ('"smsCount":{"n":null}', {"unparsed": {"/smsCount": {"n": None}}}),
        ('"smsCount":18446744073709551616', {"unparsed": {"/smsCount": 18446744073709551616}}),
    ],
)
def test_whole_numbers(received: str, published: dict[str, object]) -> None:
    assert event(received) == published


@pytest.mark.parametrize(
    ("received", "published"),
    [
        ("0.01", "0.01"),
        ('"0.0100"', "0.01"),
        ('"0.0000"', "0.0"),
        ("0", "0"),
        ("0.00787679", "0.00787679"),
        ('"0.00787679"', "0.00787679"),
        ("0.1234567890123456789", "0.1234567890123456789"),
        ('"0.1234567890123456789"', "0.1234567890123456789"),
        ("12345678901234567890123", "12345678901234567890123"),
        ('"0012345678901234567890123.50"', "12345678901234567890123.50"),
        ("1e-7", "1e-7"),
        ('"1E-7"', "1e-7"),
        ('".5"', "0.5"),
        ('"5."', "5"),
        ("-1.5", "-1.5"),
    ],
)
def test_prices_keep_every_digit(received: str, published: str) -> None:
    decoded = decode('{"results":[{"messageId":"m1","price":{"pricePerMessage":' + received + "}}]}")
    assert reports(decoded)[0].value == b'{"messageId":"m1","price":{"pricePerMessage":%b}}' % published.encode()


@pytest.mark.parametrize(
    ("received", "moved"),
    [
        ("NaN", "NaN"),
        ("Infinity", "Infinity"),
        ("-Infinity", "-Infinity"),
        ("1e400", "1e400"),
        ("-1e400", "-1e400"),
        ('"NaN"', "NaN"),
        ('"1e400"', "1e400"),
        ('"free"', "free"),
        ("true", True),
        ("9" * 400, "9" * 400),
    ],
)
def test_what_is_no_price_is_moved(received: str, moved: object) -> None:
    assert event(f'"price":{{"currency":"EUR","pricePerMessage":{received}}}') == {
        "price": {"currency": "EUR"},
        "unparsed": {"/price/pricePerMessage": moved},
    }


@pytest.mark.parametrize(
    ("received", "published"),
    [
        ("true", True),
        ("false", False),
        ('"true"', True),
        ('"False"', False),
        ('" TRUE "', True),
        ("1", True),
        ('"0"', False),
    ],
)
def test_flags(received: str, published: bool) -> None:
    assert event(f'"error":{{"permanent":{received}}}') == {"error": {"permanent": published}}


@pytest.mark.parametrize(("received", "moved"), [('"yes"', "yes"), ("2", 2), ("1.0", 1.0), ("[]", [])])
def test_what_is_no_flag_is_moved(received: str, moved: object) -> None:
    assert event(f'"error":{{"permanent":{received}}}') == {"error": {}, "unparsed": {"/error/permanent": moved}}


@pytest.mark.parametrize(
    ("received", "published"),
    [
        ('"dtmfCodes":"01"', {"dtmfCodes": "01"}),
        ('"dtmfCodes":""', {"dtmfCodes": ""}),
        ('"dtmfCodes":"3, 9"', {"dtmfCodes": "3, 9"}),
        ('"dtmfCodes":null', {}),
        ('"to":385981178', {"to": "385981178"}),
        ('"mccMnc":21901', {"mccMnc": "21901"}),
        ('"to":123456789012345678901234567890', {"to": "123456789012345678901234567890"}),
        ('"to":["385981178"]', {"unparsed": {"/to": ["385981178"]}}),
        ('"to":1.5', {"unparsed": {"/to": 1.5}}),
        ('"to":true', {"unparsed": {"/to": True}}),
        ('"callbackData":{"a":null,"b":1}', {"unparsed": {"/callbackData": {"a": None, "b": 1}}}),
        ('"callbackData":"say \\"hi\\" \\u00e9 \\ud83d\\ude00"', {"callbackData": 'say "hi" é 😀'}),
    ],
)
def test_texts_stay_as_they_are(received: str, published: dict[str, object]) -> None:
    assert event(received, kind="voice") == published


@pytest.mark.parametrize(
    ("received", "published"),
    [
        ('"sentAt":"2015-02-12T09:58:20.323+0100"', {"sentAt": "2015-02-12T09:58:20.323+01:00"}),
        ('"sentAt":1423731500323', {"sentAt": "2015-02-12T08:58:20.323Z"}),
        ('"sentAt":1423731500323.0', {"sentAt": "2015-02-12T08:58:20.323Z"}),
        ('"sentAt":"1423731500323"', {"sentAt": "2015-02-12T08:58:20.323Z"}),
        ('"sentAt":null', {}),
        (
            '"sentAt":"2015-13-12T09:58:20.323+0100"',
            {"unparsed": {"/sentAt": "2015-13-12T09:58:20.323+0100"}},
        ),
        ('"sentAt":"2015-02-12T09:58:20.323"', {"unparsed": {"/sentAt": "2015-02-12T09:58:20.323"}}),
        ('"sentAt":""', {"unparsed": {"/sentAt": ""}}),
        ('"sentAt":0', {"unparsed": {"/sentAt": 0}}),
        ('"sentAt":1423731500', {"unparsed": {"/sentAt": 1423731500}}),
        ('"sentAt":1423731500323.5', {"unparsed": {"/sentAt": 1423731500323.5}}),
        ('"sentAt":true', {"unparsed": {"/sentAt": True}}),
        ('"sentAt":{}', {"unparsed": {"/sentAt": {}}}),
    ],
)
def test_timestamps(received: str, published: dict[str, object]) -> None:
    assert event(received) == published


@pytest.mark.parametrize(
    ("received", "published"),
    [
        ('"mccmnc":"22801"', {"mccMnc": "22801"}),
        ('"mccmnc":22801', {"mccMnc": "22801"}),
        ('"mccmnc":null', {}),
        ('"mccmnc":"22801","mccMnc":null', {"mccMnc": "22801"}),
        ('"mccMnc":null,"mccmnc":"22801"', {"mccMnc": "22801"}),
        ('"mccmnc":null,"mccMnc":"22801"', {"mccMnc": "22801"}),
        ('"mccMnc":"22801","mccmnc":"22801"', {"mccMnc": "22801"}),
        ('"mccMnc":"22801","mccmnc":"21901"', {"mccMnc": "22801", "unparsed": {"/mccmnc": "21901"}}),
        ('"mccmnc":{"mcc":228}', {"unparsed": {"/mccmnc": {"mcc": 228}}}),
    ],
)
def test_the_old_spelling_of_the_network(received: str, published: dict[str, object]) -> None:
    assert event(received) == published


@pytest.mark.parametrize(
    ("base_url", "received", "published"),
    [
        ("https://api.infobip.com", "/tts/3/files/m1/385", "https://api.infobip.com/tts/3/files/m1/385"),
        ("https://api.infobip.com/", "/tts/3/files/m1/385", "https://api.infobip.com/tts/3/files/m1/385"),
        ("http://107.20.199.106/restapi", "/tts/3/files/m1", "http://107.20.199.106/restapi/tts/3/files/m1"),
        ("http://107.20.199.106/restapi/", "/tts/3/files/m1", "http://107.20.199.106/restapi/tts/3/files/m1"),
        ("http://107.20.199.106/restapi", "/restapi/tts/3/files/m1", "http://107.20.199.106/restapi/tts/3/files/m1"),
        ("http://107.20.199.106/restapi", "/restapi2/m1", "http://107.20.199.106/restapi/restapi2/m1"),
        ("http://[::1]:8080/a/b", "tts/3/files/m1", "http://[::1]:8080/a/b/tts/3/files/m1"),
        ("https://api.infobip.com", "https://cdn.infobip.com/m1.wav", "https://cdn.infobip.com/m1.wav"),
        ("https://api.infobip.com", "http://169.254.169.254/latest", "http://169.254.169.254/latest"),
        ("https://api.infobip.com", "//cdn.infobip.com/m1.wav", "https://cdn.infobip.com/m1.wav"),
    ],
)
def test_recordings_have_absolute_addresses(base_url: str, received: str, published: str) -> None:
    made = event(f'"recordedAudioFileUrl":{json.dumps(received)}', kind="voice", base_url=base_url)
    assert made == {"recordedAudioFileUrl": published}


@pytest.mark.parametrize(
    ("base_url", "received"),
    [
        ("https://api.infobip.com", ""),
        ("https://api.infobip.com", "/tts/3/files/a b"),
        ("https://api.infobip.com", "/tts/3\r\nHost: evil"),
        ("https://api.infobip.com", "\\\\evil\\share"),
        ("https://api.infobip.com", 7),
        ("", "/tts/3/files/m1"),
    ],
)
def test_addresses_that_are_none_are_moved(base_url: str, received: object) -> None:
    made = event(f'"recordedAudioFileUrl":{json.dumps(received)}', kind="voice", base_url=base_url)
    assert made == {"unparsed": {"/recordedAudioFileUrl": received}}


def test_nulls_are_left_out_everywhere_but_in_arrays() -> None:
    received = (
        '"price":{"currency":null},"status":null,"error":{"id":0,"x":{"y":null}},"new":{"a":null,"b":[null,{"c":null}]}'
    )
    assert event(received) == {"price": {}, "error": {"id": 0, "x": {}}, "new": {"b": [None, {}]}}


def test_unknown_fields_are_passed_on_as_they_came() -> None:
    received = '"entityId":"e","brandNew":{"a":[1,"01",2.50,{"sentAt":"2015"}]},"flag":false,'
    received += '"big":12345678901234567890123,"t":0.1000000000000000055511'
    decoded = decode('{"results":[{"messageId":"m1",' + received + "}]}")
    assert reports(decoded)[0].value == (
        b'{"messageId":"m1","entityId":"e","brandNew":{"a":[1,"01",2.5,{"sentAt":"2015"}]},"flag":false,'
        b'"big":12345678901234567890123,"t":0.1000000000000000055511}'
    )


@pytest.mark.parametrize(
    ("received", "published"),
    [
        ('"price":"0.01"', {"unparsed": {"/price": "0.01"}}),
        ('"price":0.01', {"unparsed": {"/price": 0.01}}),
        ('"price":[]', {"unparsed": {"/price": []}}),
        ('"status":"DELIVERED"', {"unparsed": {"/status": "DELIVERED"}}),
        ('"status":{"groupId":"3","id":"5"}', {"status": {"groupId": 3, "id": 5}}),
        ('"status":{"id":"five","x":1}', {"status": {"x": 1}, "unparsed": {"/status/id": "five"}}),
        ('"status":{"name":5003}', {"status": {"name": "5003"}}),
        ('"error":{"id":1.5}', {"error": {}, "unparsed": {"/error/id": 1.5}}),
    ],
)
def test_nested_objects(received: str, published: dict[str, object]) -> None:
    assert event(received) == published


def test_a_null_group_after_an_absent_one_and_the_other_way() -> None:
    body = '{"results":[{"messageId":"a"},{"messageId":"b","status":null,"price":null},{"messageId":"c"}]}'
    assert [report.value for report in reports(decode(body))] == [
        b'{"messageId":"a"}',
        b'{"messageId":"b"}',
        b'{"messageId":"c"}',
    ]


def test_what_looks_alike_is_not_remembered_as_the_same() -> None:
    received = ["1", '"1"', "1.0", "true", '"true"']
    assert [event(f'"status":{{"id":{id_}}}') for id_ in received] == [
        {"status": {"id": 1}},
        {"status": {"id": 1}},
        {"status": {"id": 1}},
        {"status": {}, "unparsed": {"/status/id": True}},
        {"status": {}, "unparsed": {"/status/id": "true"}},
    ]


def test_a_field_named_unparsed_moves_into_ours() -> None:
    assert event('"unparsed":{"/sentAt":"x"},"smsCount":"many"') == {
        "unparsed": {"/unparsed": {"/sentAt": "x"}, "/smsCount": "many"}
    }
    assert event('"unparsed":"text"') == {"unparsed": {"/unparsed": "text"}}
    assert event('"unparsed":null') == {"unparsed": {"/unparsed": None}}


def test_pointers_are_escaped() -> None:
    assert event('"a/b~c":{"d":NaN,"e":[1,NaN]}') == {
        "a/b~c": {"e": [1, None]},
        "unparsed": {"/a~1b~0c/d": "NaN", "/a~1b~0c/e/1": "NaN"},
    }


def test_another_kind_has_only_the_shared_fields() -> None:
    assert event('"smsCount":"2","callbackData":{"a":1},"sentAt":"2015-02-12T09:58:20.323+0100"', kind="email") == {
        "smsCount": "2",
        "callbackData": {"a": 1},
        "sentAt": "2015-02-12T09:58:20.323+01:00",
    }


def test_of_duplicate_keys_the_last_wins() -> None:
    assert event('"smsCount":1,"smsCount":2,"status":{"id":1},"status":{"id":5,"id":6}') == {
        "smsCount": 2,
        "status": {"id": 6},
    }


@pytest.mark.parametrize(
    ("received", "message_id"),
    [
        ('"m-1"', "m-1"),
        ('"' + "m" * 256 + '"', "m" * 256),
        ('"é 😀"', "é 😀"),
        ('" "', " "),
        ('"\\u00a0"', "\u00a0"),
        ("42", "42"),
        ("0", "0"),
        ("-42", "-42"),
        ("18446744073709551616", "18446744073709551616"),
        ("1" * 256, "1" * 256),
    ],
)
def test_usable_message_ids(received: str, message_id: str) -> None:
    decoded = decode('{"results":[{"messageId":' + received + "}]}")
    assert ids(decoded) == [message_id]
    assert strict_json(reports(decoded)[0].value) == {"messageId": message_id}


@pytest.mark.parametrize(
    ("received", "reason"),
    [
        ("null", "no messageId"),
        ('""', "messageId is empty"),
        ('"' + "m" * 257 + '"', "messageId is longer than 256 characters"),
        ("1" * 257, "messageId is longer than 256 characters"),
        ('"a\\nb"', "messageId holds control characters"),
        ('"a\\u0000"', "messageId holds control characters"),
        ('"\\u007f"', "messageId holds control characters"),
        ('"\\u0085"', "messageId holds control characters"),
        ('"\\ud800"', "messageId is not valid text"),
        ("true", "messageId is neither a string nor an integer"),
        ("1.5", "messageId is neither a string nor an integer"),
        ("1.0", "messageId is neither a string nor an integer"),
        ("1e3", "messageId is neither a string nor an integer"),
        ("NaN", "messageId is not valid text"),
        ("{}", "messageId is neither a string nor an integer"),
        ("[]", "messageId is neither a string nor an integer"),
    ],
)
def test_unusable_message_ids_are_rejected_with_their_bytes(received: str, reason: str) -> None:
    bad = '{"to":"1", "messageId":' + received + "}"
    decoded = decode('{"results":[{"messageId":"good-1"}, ' + bad + ' ,{"messageId":"good-2"}]}')
    assert ids(decoded) == ["good-1", "good-2"]
    assert [(entry.reason, entry.raw) for entry in rejected(decoded)] == [(reason, bad.encode())]
    assert decoded.complete


@pytest.mark.parametrize(
    ("status_and_error", "outcome", "group", "final"),
    [
        ('"status":{"groupId":3,"id":5},"error":{"id":0}', "5:0", 3, True),
        ('"status":{"groupId":"3","id":"5"},"error":{"id":"5000"}', "5:5000", 3, True),
        ('"status":{"groupId":1,"groupName":"PENDING","id":26},"error":{"id":0}', "26:0", 1, False),
        ('"status":{"groupId":0,"groupName":"ACCEPTED","id":0}', "0:-", 0, False),
        ('"status":{"groupId":7,"groupName":"PENDING","id":7}', "7:-", 7, False),
        ('"status":{"groupName":"pending","id":3}', "3:-", None, False),
        ('"status":{"groupId":1,"id":3}', "3:-", 1, False),
        ('"status":{"groupId":1,"groupName":"DELIVERED","id":5}', "5:-", 1, False),
        ('"status":{"groupId":99,"groupName":"BRAND_NEW","id":4711}', "4711:-", 99, True),
        ('"status":{"groupId":3}', "g3:-", 3, True),
        ('"smsCount":1', "-:-", None, True),
        ('"status":null,"error":null', "-:-", None, True),
    ],
)
def test_outcome(status_and_error: str, outcome: str, group: int | None, final: bool) -> None:
    made = reports(decode('{"results":[{"messageId":"m1",' + status_and_error + "}]}"))[0]
    assert (made.outcome, made.status_group, made.final) == (outcome, group, final)


def test_outcomes_with_unusable_ids_differ_by_what_was_sent() -> None:
    received = ['{"id":"a b"}', '{"id":"c"}', '{"id":[]}', '"DELIVERED"', '"EXPIRED"', '{"id":"a b"}']
    outcomes = [
        reports(decode('{"results":[{"messageId":"m1","status":' + status + "}]}"))[0].outcome for status in received
    ]
    assert len(set(outcomes)) == 5
    assert outcomes[0] == outcomes[-1]
    assert not any(" " in outcome for outcome in outcomes)
