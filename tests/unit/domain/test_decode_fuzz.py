"""Whatever arrives: decoding never fails, never loses an entry, and every event holds against its schema."""

import json
import math
from typing import Any

from hypothesis import assume, example, given
from hypothesis import strategies as st
from msgspec.structs import replace

from relay.domain.decode import decode_body, estimate_entries
from relay.domain.report import Decoded, Rejected, Report
from tests.unit.domain.events import FIXTURES, decode, rejected, reports, strict_json

EXAMPLES = [path.read_bytes() for path in sorted((FIXTURES / "examples").iterdir())]
JSON_EXAMPLES = [path.read_bytes() for path in sorted((FIXTURES / "examples").glob("*.json"))]
HOSTILE = [answer["body"].encode() for answer in json.loads((FIXTURES / "hostile.json").read_text())]
KNOWN = [
    "messageId", "bulkId", "to", "from", "text", "sentAt", "doneAt", "startTime", "smsCount", "duration",
    "fileDuration", "mccMnc", "mccmnc", "callbackData", "dtmfCodes", "recordedAudioFileUrl", "price",
    "status", "error", "unparsed", "id", "groupId", "groupName", "permanent", "pricePerMessage", "currency",
    "results", "a/b~c", "",
]  # fmt: skip
TIMES = [
    "2015-02-12T09:58:20.323+0100",
    "1423731500323",
    "2015-13-12T09:58:20.323+0100",
    "/tts/3/files/m1",
    "01",
    "0.0100",
]

scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(min_value=10**11, max_value=2 * 10**12)
    | st.floats()
    | st.text()
    | st.sampled_from(TIMES)
    | st.sampled_from([0.1 + 0.2, 2**70, math.nan, "\ud800"])  # what is read again, with more care
    | st.text(alphabet=st.characters(codec=None, categories=["Cs", "Cc", "Lu"]), max_size=4)
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(KNOWN) | st.text(), inner, max_size=4),
    max_leaves=8,
)
fields = st.dictionaries(st.sampled_from(KNOWN), values, max_size=6)
identified = st.builds(
    lambda own, message_id: own | {"messageId": message_id}, fields, st.sampled_from(["m-1", "é", 7])
)
"""Most would be rejected if their messageId were left to chance."""
entries = st.lists(identified | fields | values, max_size=4)


def check(body: bytes, *, complete: bool = True) -> Decoded:
    decoded = decode(body, kind="voice", complete=complete)
    assert decoded.complete or decoded.reason
    for lost in rejected(decoded):
        assert lost.raw
        assert lost.reason
    assert estimate_entries(body) >= 0
    return decoded


def told(entry: Report | Rejected) -> Report | Rejected:
    """Members in whatever order: those of a usual entry come in that of the documents, others as they were received."""
    return replace(entry, value=strict_json(entry.value)) if isinstance(entry, Report) else entry


@given(st.binary(max_size=300), st.booleans())
def test_any_bytes(body: bytes, complete: bool) -> None:
    check(body, complete=complete)


@given(st.text(alphabet='{}[]",:\\ \n0123eE+-.tfnulrsau<>/&;!?messagIdr', max_size=200), st.booleans())
def test_any_punctuation(text: str, complete: bool) -> None:
    check(text.encode(), complete=complete)
    check(b'{"results":[{"messageId":"a"},' + text.encode(), complete=complete)
    check(b"<r><results><result><messageId>a</messageId></result>" + text.encode(), complete=complete)


@given(st.sampled_from(EXAMPLES + HOSTILE), st.data())
def test_damaged_examples(body: bytes, data: st.DataObject) -> None:
    for _ in range(data.draw(st.integers(1, 4))):
        assume(body)
        start = data.draw(st.integers(0, len(body) - 1))
        end = min(len(body), start + data.draw(st.integers(0, 12)))
        body = body[:start] + data.draw(st.binary(max_size=4) | st.sampled_from([b'"', b"{", b"]", b"<"])) + body[end:]
    check(body, complete=data.draw(st.booleans()))


@given(entries)
def test_every_entry_is_a_report_or_rejected(results: list[Any]) -> None:
    body = json.dumps({"results": results}).encode("utf-8")
    decoded = check(body)
    assert len(decoded.entries) == len(results)
    assert decoded.complete
    for entry, sent in zip(decoded.entries, json.loads(body)["results"], strict=True):
        identified = isinstance(sent, dict) and usable(sent.get("messageId"))
        assert isinstance(entry, Rejected) != identified
        if isinstance(entry, Rejected):
            assert same(json.loads(entry.raw), sent)


@given(entries)
def test_the_way_it_is_read_makes_no_difference(results: list[Any]) -> None:
    body = json.dumps({"results": results}).encode("utf-8")
    whole, apart = check(body), check(body, complete=False)
    assert [told(entry) for entry in whole.entries] == [told(entry) for entry in apart.entries]
    assert (whole.complete, whole.reason) == (apart.complete, apart.reason)
    spaced = json.dumps({"results": results}, indent=2, ensure_ascii=False)
    # A lone surrogate has no UTF-8: as bytes it is another value than as an escape.
    assume(spaced == spaced.encode("utf-8", "replace").decode())
    assert [report.outcome for report in reports(check(spaced.encode()))] == [
        report.outcome for report in reports(whole)
    ]


@given(entries)
@example([{"messageId": 0, "bulkId": 0}])
def test_an_event_normalised_again_is_the_same(results: list[Any]) -> None:
    once = reports(check(json.dumps({"results": results}).encode()))
    plain = [report for report in once if "unparsed" not in strict_json(report.value)]
    again = reports(check(b'{"results":[%b]}' % b",".join(report.value for report in plain)))
    assert [told(report) for report in again] == [told(report) for report in plain]


@given(st.lists(st.sampled_from(JSON_EXAMPLES), min_size=1, max_size=3), st.data())
def test_a_cut_gives_a_beginning_of_the_whole(parts: list[bytes], data: st.DataObject) -> None:
    results = [entry for part in parts for entry in json.loads(part)["results"]]
    body = json.dumps({"results": results}).encode()
    whole = reports(check(body))
    cut = data.draw(st.integers(0, len(body)))
    some = reports(decode_body(body[:cut], kind="voice", base_url="https://xyz.api.infobip.com", complete=False))
    assert some == whole[: len(some)]


def usable(message_id: object) -> bool:
    if isinstance(message_id, bool) or not isinstance(message_id, (str, int)):
        return False
    text = str(message_id)
    return 0 < len(text) <= 256 and not any(control(character) for character in text)


def control(character: str) -> bool:
    return character < " " or "\x7f" <= character <= "\x9f" or "\ud800" <= character <= "\udfff"


def same(one: object, other: object) -> bool:
    return one == other or (isinstance(one, float) and math.isnan(one)) or repr(one) == repr(other)
