"""Bodies that are cut, malformed, or hold what orjson refuses: whatever can be saved is, and nothing else."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from relay.domain.decode import decode_body, estimate_entries
from relay.domain.report import Report
from relay.domain.salvage import MOST_REJECTED
from tests.unit.domain.events import FIXTURES, ROOT, decode, ids, rejected, reports, strict_json

JSON_EXAMPLES = sorted((FIXTURES / "examples").glob("*.json"))
KINDS = {"sms": "sms", "tts": "voice"}


def ends_of_reports(body: bytes) -> list[tuple[int, str]]:
    """Where each report of a well-formed example ends, by counting braces; and its messageId."""
    ends, depth, start = [], 0, 0
    for offset, byte in enumerate(body):
        if byte == ord("{"):
            depth += 1
            start = offset if depth == 2 else start
        elif byte == ord("}"):
            depth -= 1
            if depth == 1:
                ends.append((offset + 1, json.loads(body[start : offset + 1])["messageId"]))
    return ends


@pytest.mark.parametrize("path", JSON_EXAMPLES, ids=lambda path: path.stem)
def test_a_body_cut_at_any_byte_gives_every_complete_report(path: Path) -> None:
    body = path.read_bytes()
    kind = KINDS[path.stem[:3]]
    whole = {report.message_id: report for report in reports(decode(body, kind=kind))}
    ends = ends_of_reports(body)
    collection_end = body.rindex(b"]") + 1
    for cut in range(len(body) + 1):
        decoded = decode_body(
            body[:cut], kind=kind, base_url="https://xyz.api.infobip.com", complete=cut % 2 == 0 and cut < len(body)
        )
        assert reports(decoded) == [whole[message_id] for end, message_id in ends if end <= cut]
        assert decoded.complete == (cut >= collection_end)
        assert bool(decoded.reason) == (cut < collection_end)
        for lost in rejected(decoded):
            assert body[:cut].endswith(lost.raw)


def test_the_tail_of_a_cut_body_is_kept() -> None:
    decoded = decode('{"results":[{"messageId":"a"}, {"messageId":"b","to', complete=False)
    assert ids(decoded) == ["a"]
    assert [entry.raw for entry in rejected(decoded)] == [b'{"messageId":"b","to']
    assert (decoded.complete, decoded.reason) == (False, "the body ends in the middle of an entry")


def test_a_whole_body_is_complete_even_if_the_connection_was_not() -> None:
    decoded = decode('{"results":[{"messageId":"a"}]}', complete=False)
    assert (ids(decoded), decoded.complete, decoded.reason) == (["a"], True, "")


@pytest.mark.parametrize("beginning", ["", "{", ' { "resu', '{"results" :', '{"results":['])
def test_a_body_that_begins_and_ends_holds_nothing(beginning: str) -> None:
    decoded = decode(beginning, complete=False)
    assert (decoded.entries, decoded.complete) == ([], False)
    assert decoded.reason


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ('{"requestError":{"serviceException":{"messageId":"UNAUTHORIZED"}}}', "no results collection"),
        ("{}", "no results collection"),
        ('{"messageId":"a"}', "no results collection"),
        ("NO_DATA", "no results collection"),
        ("null", "no results collection"),
        ('"results"', "no results collection"),
        ("\x00\x01\x02", "no results collection"),
    ],
)
def test_what_is_no_report_body_is_rejected_whole(body: str, reason: str) -> None:
    decoded = decode(body)
    assert [(entry.reason, entry.raw) for entry in rejected(decoded)] == [(reason, body.encode())]
    assert reports(decoded) == []
    assert (decoded.complete, decoded.reason) == (False, reason)


@pytest.mark.parametrize(
    ("body", "found", "complete", "reason"),
    [
        ('{"results":[]}', [], True, ""),
        ('{"results":null}', [], True, "results is null"),
        ('{"results":{"messageId":"a"}}', ["a"], True, ""),
        ('\ufeff{"results":[{"messageId":"a"}]}', ["a"], True, ""),
        (' \n{"results":[{"messageId":"a"}]}\n ', ["a"], True, ""),
        ('{"a":{"results":1},"b":[{}],"results":[{"messageId":"a"}],"c":"]"}', ["a"], True, ""),
        ('{"results":[{"messageId":"a","text":"results"}]}', ["a"], True, ""),
        ('{"results":[{"messageId":"a","x":{"results":[{"messageId":"x"}]}}]}', ["a"], True, ""),
        ('{"results":[{"messageId":"a"}],"results":[{"messageId":"b"}]}', ["a", "b"], True, ""),
        ('{"results":[{"messageId":"a"}]}{"results":[{"messageId":"b"}]}', ["a", "b"], True, ""),
        ('{"results":[{"messageId":"a"},]}', ["a"], True, ""),
        ('{"results":[{"messageId":"a"},,{"messageId":"b"}]}', ["a", "b"], True, ""),
        ('{"results":[{"messageId":"a"} {"messageId":"b"}]}', ["a", "b"], True, ""),
        ('{"results":[{"messageId":"a"}]', ["a"], True, ""),
        ('[{"messageId":"a"},{"messageId":"b"}]', ["a", "b"], False, "an array without results around it"),
        ('callback({"results":[{"messageId":"a"}]})', ["a"], False, "results are not where they belong"),
        ('{"data":{"results":[{"messageId":"a"}]}}', ["a"], False, "results are not where they belong"),
    ],
)
def test_bodies_of_other_shapes(body: str, found: list[str], complete: bool, reason: str) -> None:
    decoded = decode(body)
    assert (ids(decoded), decoded.complete, decoded.reason) == (found, complete, reason)


@pytest.mark.parametrize("value", ["1", '"text"', "true"])
def test_results_that_are_no_collection(value: str) -> None:
    decoded = decode('{"results":' + value + "}")
    assert [entry.raw for entry in rejected(decoded)] == [value.encode()]
    assert (decoded.complete, decoded.reason) == (False, "results is neither an array nor an object")


def test_a_sound_array_among_the_results_is_rejected_whole() -> None:
    decoded = decode('{"results":["\\ud800",[null,{"messageId":"x"},NaN],{"messageId":"a"}]}')
    assert ids(decoded) == ["a"]
    assert [entry.raw for entry in rejected(decoded)] == [b'"\\ud800"', b'[null,{"messageId":"x"},NaN]']


def test_reports_are_found_behind_damaged_results() -> None:
    decoded = decode('{"results":][{"messageId":"a"},{"messageId":"b"}]}')
    assert ids(decoded) == ["a", "b"]
    assert [entry.raw for entry in rejected(decoded)] == [b"["]
    assert (decoded.complete, decoded.reason) == (False, "results is neither an array nor an object")


def test_bytes_after_the_end_are_kept() -> None:
    decoded = decode('{"results":[{"messageId":"a"}]}\n<!-- served by lb-3 -->')
    assert ids(decoded) == ["a"]
    assert [entry.raw for entry in rejected(decoded)] == [b"<!-- served by lb-3 -->"]
    assert decoded.complete


BAD_ENTRIES = [
    (b"null", "not an object"),
    (b"1", "not an object"),
    (b'"{"', "not an object"),
    (b'[{"messageId":"x"}]', "not an object"),
    (b"[]", "not an object"),
    (b"{}", "no messageId"),
    (b"nul", "not valid JSON"),
    (b"{'messageId':'x'}", "not valid JSON"),
    (b'{"messageId":"x","text":"say "hi""}', "not valid JSON"),
    (b'{"messageId":"x",}', "not valid JSON"),
    (b'{"messageId":"x","n":01}', "not valid JSON"),
    (b'{"messageId":"x","n":undefined}', "not valid JSON"),
    (b'{"messageId":"x","n":[1}', "not valid JSON"),
    (b'{"messageId":"x","text":"5" screen"}', "not valid JSON"),
    (b'{"messageId":"x","status":{"id":1}', "not valid JSON"),
    (b'{"messageId":"x","text":"\\x"}', "not valid JSON"),
]


@pytest.mark.parametrize(("bad", "reason"), BAD_ENTRIES)
def test_a_bad_entry_harms_no_other(bad: bytes, reason: str) -> None:
    good = [b'{"messageId":"good-%d","text":"{[,"}' % number for number in range(4)]
    decoded = decode(b'{"results":[' + b",".join([good[0], good[1], bad, good[2], bad, good[3]]) + b"]}")
    assert ids(decoded) == ["good-0", "good-1", "good-2", "good-3"]
    assert [entry.raw for entry in rejected(decoded)] == [bad, bad]
    assert all(entry.reason.startswith(reason) or "does not end" in entry.reason for entry in rejected(decoded))
    assert decoded.complete


def test_nothing_nested_is_taken_for_a_report() -> None:
    bad = b'{"messageId":"outer","n":oops,"inner":{"messageId":"inner"}}'
    decoded = decode(b'{"results":[' + bad + b',{"messageId":"next"}]}')
    assert ids(decoded) == ["next"]
    assert [entry.raw for entry in rejected(decoded)] == [bad]


@pytest.mark.parametrize(
    ("members", "event"),
    [
        (b'"text":"half \\ud83d"', {"unparsed": {"/text": "half \\ud83d"}}),
        (b'"text":"caf\xe9"', {"unparsed": {"/text": "caf\\xe9"}}),
        (b'"text":"line\nfeed\x01"', {"text": "line\nfeed\x01"}),
        (b'"new":{"x":"\\udc00"}', {"new": {}, "unparsed": {"/new/x": "\\udc00"}}),
        (b'"new":["\\udc00"]', {"new": [None], "unparsed": {"/new/0": "\\udc00"}}),
        (b'"new\xff":1', {"new\\xff": 1}),
        (b'"new\\ud800":1', {"new\\ud800": 1}),
        (b'"new":NaN,"to":"1"', {"to": "1", "unparsed": {"/new": "NaN"}}),
        (b'"new":-Infinity', {"unparsed": {"/new": "-Infinity"}}),
        (b'"status":{"id":NaN}', {"status": {}, "unparsed": {"/status/id": "NaN"}}),
    ],
)
def test_only_the_field_concerned_suffers(members: bytes, event: dict[str, object]) -> None:
    body = b'{"results":[{"messageId":"before"},{"messageId":"m1",' + members + b'},{"messageId":"after"}]}'
    decoded = decode(body)
    assert ids(decoded) == ["before", "m1", "after"]
    assert strict_json(reports(decoded)[1].value) == {"messageId": "m1"} | event
    assert (rejected(decoded), decoded.complete) == ([], True)


@pytest.mark.parametrize("levels", [63, 64, 65, 253, 254, 255, 1023, 1025, 120_000])
@pytest.mark.parametrize(("opening", "closing"), ["[]", ('{"a":', "}")])
def test_deep_nesting_becomes_text(levels: int, opening: str, closing: str) -> None:
    deep = opening * levels + "1" + closing * levels
    decoded = decode('{"results":[{"messageId":"a"},{"messageId":"b","to":"1","deep":' + deep + "}]}")
    assert ids(decoded) == ["a", "b"]
    event = strict_json(reports(decoded)[1].value)
    if levels < 64:
        assert event == {"messageId": "b", "to": "1", "deep": json.loads(deep)}
    else:
        assert event == {"messageId": "b", "to": "1", "unparsed": {"/deep": deep}}


def test_deep_nesting_in_a_known_field_and_of_the_message_id() -> None:
    deep = '{"a":' * 200 + "1" + "}" * 200
    decoded = decode('{"results":[{"messageId":"a","status":' + deep + '},{"messageId":' + deep + "}]}")
    assert strict_json(reports(decoded)[0].value) == {"messageId": "a", "unparsed": {"/status": deep}}
    assert [entry.reason for entry in rejected(decoded)] == ["messageId is not valid text"]


def test_wide_nesting_stays() -> None:
    wide = [[[1], []]] * 5_000
    (report,) = reports(decode(json.dumps({"results": [{"messageId": "a", "wide": wide}]})))
    assert strict_json(report.value) == {"messageId": "a", "wide": wide}


@pytest.mark.parametrize("end", ['"}', ""], ids=["after all", "never"])
def test_what_nests_without_bounds_is_rejected_and_harms_no_other(end: str) -> None:
    levels = 600_000 if end else 100_000
    endless = '{"messageId":"b","deep":' + '{"a":' * levels + ('"}' + "}" * levels if end else "")
    decoded = decode('{"results":[{"messageId":"a"},' + endless + ',{"messageId":"c","to":"1"}]}')
    assert ids(decoded) == ["a", "c"]
    assert [(entry.reason, len(entry.raw)) for entry in rejected(decoded)] == [
        ("it does not end within a million brackets" if end else "it does not end", len(endless))
    ]


def test_when_too_much_was_looked_at_in_vain_that_is_the_reason() -> None:
    malformed = '{"a":x,"b":' + '[1,{"a":1,"b":' * 2_000 + "1" + "}]" * 2_000 + "}"
    decoded = decode('{"results":[' + malformed + ',{"messageId":"after"}]}')
    reason = "not looked at: too much before it cannot be read"
    assert [entry.raw for entry in rejected(decoded)] == [malformed.encode(), b'{"messageId":"after"}]}']
    assert (rejected(decoded)[1].reason, decoded.reason, decoded.complete) == (reason, reason, False)


def test_an_entry_is_the_same_whichever_way_it_was_read() -> None:
    for path in JSON_EXAMPLES:
        body, kind = path.read_bytes(), KINDS[path.stem[:3]]
        spoiled = body[: body.rindex(b"]")] + b',{"messageId":"spoiler","x":NaN}]}'
        assert reports(decode(spoiled, kind=kind))[:-1] == reports(decode(body, kind=kind))


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b'{"results":[' + b"{" * 2_000_000, id="braces"),
        pytest.param(b'{"results":[' + b'{"a":' * 100_000, id="open objects"),
        pytest.param(b'{"results":[' + b'{"a":1,' * 40_000, id="open objects with commas"),
        pytest.param(b'{"results":[' + b'"' * 1_000_001, id="quotes"),
        pytest.param(b'{"results":["' + b'\\"' * 1_000_000, id="escaped quotes"),
        pytest.param(b'{"results":[' + b'{"a":x},{"b":1},' * 20_000 + b"]}", id="every other malformed"),
        pytest.param(b'{"results":[' + b'{"messageId":1,"a":[},' * 12_000 + b"]}", id="none ends"),
        pytest.param(b'{"results":[' + b"1," * 1_000_000 + b"1]}", id="numbers"),
        pytest.param(b'{"results":[' + b"]" * 1_000_000, id="closing brackets"),
        pytest.param(b"[" * 2_000_000, id="arrays"),
        pytest.param(b" " * 4_000_000, id="blanks"),
        pytest.param(b'{"a":1,' * 200_000, id="keys without results"),
        pytest.param(b'{"results":[{"messageId":"a","n":' + b"9" * 2_000_000 + b"}]}", id="a long number"),
    ],
)
def test_time_is_bounded(body: bytes) -> None:
    began = time.process_time()
    decode_body(body, kind="sms", base_url="https://xyz.api.infobip.com", complete=True)
    assert time.process_time() - began < 5, "seconds of CPU: some ten times what the slowest takes"


def test_unreadable_entries_without_end_are_kept_in_one_piece() -> None:
    decoded = decode(b'{"results":[' + b"1," * 20_000 + b'{"messageId":"a"}]}')
    assert len(decoded.entries) == 10_001
    assert (decoded.complete, decoded.reason) == (False, "too many entries that cannot be read")
    assert rejected(decoded)[-1].raw.endswith(b'1,{"messageId":"a"}]}')


def test_unusable_entries_without_end_are_not_all_looked_at() -> None:
    began = time.process_time()
    decoded = decode(b'{"results":[%b{}]}' % (b"{}," * 1_000_000))
    assert time.process_time() - began < 3, "seconds of CPU: some ten times what it takes"
    assert len(decoded.entries) == MOST_REJECTED + 1
    assert (decoded.complete, decoded.reason) == (False, "too many entries that cannot be read")


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("complete", [True, False])
def test_utf_16(encoding: str, complete: bool) -> None:
    text = '{"results":[{"messageId":"m1","callbackData":"Žofie"},{"messageId":"m2'
    decoded = decode((text if not complete else text + '"}]}').encode(encoding), complete=complete)
    first = reports(decoded)[0]
    assert strict_json(first.value) == {"messageId": "m1", "callbackData": "Žofie"}
    assert ids(decoded) == (["m1", "m2"] if complete else ["m1"])
    assert decoded.complete is complete


def test_utf_16_that_holds_no_reports_is_kept_as_it_came() -> None:
    body = '{"error":"no"}'.encode("utf-16")
    assert [entry.raw for entry in rejected(decode(body))] == [body]


_RESIDENT = """
import sys
from relay.domain.decode import decode_body

def resident_bytes():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096

entry = b'{"messageId":"m1","price":{"pricePerMessage":NaN}},'
decode_body(b'{"results":[%b{}]}' % (entry * 100), kind="sms", base_url="https://x", complete=True)
body, before = b'{"results":[%b{}]}' % (entry * 4_000), resident_bytes()
decoded = decode_body(body, kind="sms", base_url="https://x", complete=True)
print((resident_bytes() - before) // len(decoded.entries))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_report_in_hand_takes_little_more_than_its_value() -> None:
    printed = subprocess.run([sys.executable, "-c", _RESIDENT], check=True, capture_output=True, cwd=ROOT, timeout=60)
    assert int(printed.stdout) < 1000


def test_a_large_body_is_taken_apart() -> None:
    example = json.loads((FIXTURES / "examples" / "sms_reports_0.json").read_bytes())["results"][0]
    results = [example | {"messageId": f"m-{number}"} for number in range(9_000)]
    body = json.dumps({"results": results}).encode()
    assert len(body) > 4 * 1024 * 1024
    decoded = decode_body(body, kind="sms", base_url="", complete=True)
    assert ids(decoded) == [f"m-{number}" for number in range(9_000)]
    assert decoded.complete


@pytest.mark.parametrize(
    ("name", "entries"),
    [("sms_reports_b3.json", 2), ("sms_reports_b3.xml", 2), ("tts_logs_0.json", 1), ("tts_reports_1.xml", 2)],
)
def test_entries_are_estimated_without_parsing(name: str, entries: int) -> None:
    assert estimate_entries((FIXTURES / "examples" / name).read_bytes()) == entries


def test_reports_are_records() -> None:
    (report,) = decode('{"results":[{"messageId":"a","status":{"groupId":3,"id":5}}]}').entries
    assert report == Report("a", "5:-", 3, True, b'{"messageId":"a","status":{"groupId":3,"id":5}}')
