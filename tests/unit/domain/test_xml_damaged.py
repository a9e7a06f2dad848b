"""XML with a damaged value: the report flows, the value goes to `unparsed` as received, neighbours are as ever."""

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.domain.decode import decode_body
from relay.domain.infobip_push import as_pushed
from relay.domain.report import Rejected, Report
from tests.unit.domain.events import decode, ids, rejected, reports, strict_json

BEFORE = b"<result><messageId>before</messageId><text>a &amp; b</text></result>"
AFTER = b"<result><messageId>after</messageId><to>1</to></result>"


def wrapped(entry: bytes, *, name: bytes = b"result") -> bytes:
    return (b"<?xml version='1.0'?>\n<r><results>%b\n%b\n%b</results></r>" % (BEFORE, entry, AFTER)).replace(
        b"result>", name + b">"
    )


def between(entry: bytes) -> dict[str, Any]:
    """The event of an entry that stands between two others, which must be as ever."""
    decoded = decode(wrapped(entry))
    assert (rejected(decoded), decoded.complete, decoded.reason) == ([], True, "")
    first, event, last = (strict_json(report.value) for report in reports(decoded))
    assert (first, last) == ({"messageId": "before", "text": "a & b"}, {"messageId": "after", "to": "1"})
    return event


@pytest.mark.parametrize(
    ("members", "published"),
    [
        (b"<text>a\x01b</text>", {"/text": "a\x01b"}),
        (b"<text>a&#1;b</text>", {"/text": "a&#1;b"}),
        (b"<text>a&#x1;b</text>", {"/text": "a&#x1;b"}),
        (b"<text>&#xD800;</text>", {"/text": "&#xD800;"}),
        (b"<text>&#x110000;</text>", {"/text": "&#x110000;"}),
        (b"<text>a & b &amp; c</text>", {"/text": "a & b &amp; c"}),
        (b"<text>a &&lt; b</text>", {"/text": "a &&lt; b"}),
        (b"<text>a&nbsp;b</text>", {"/text": "a&nbsp;b"}),
        (b"<text>a < b</text>", {"/text": "a < b"}),
        (b"<text>a <3 b</text>", {"/text": "a <3 b"}),
        (b"<text>a<b</text>", {"/text": "a<b"}),
        (b"<text>if a<b and c>d</text>", {"/text": "if a<b and c>d"}),
        (b"<text>a]]>b</text>", {"/text": "a]]>b"}),
        (b"<text>caf\xe9</text>", {"/text": "caf\\xe9"}),
        (b"<text>\xed\xa0\x80</text>", {"/text": "\\xed\\xa0\\x80"}),
        (b"<text>\xef\xbf\xbf</text>", {"/text": "\uffff"}),
        (b"<text>a<![CDATA[\x01]]></text>", {"/text": "a<![CDATA[\x01]]>"}),
        (b"<text x='&'>a\x01</text>", {"/text": "a\x01"}),
        (b"<callbackData>&</callbackData><text>\x02</text>", {"/callbackData": "&", "/text": "\x02"}),
        (b"<smsCount>&nbsp;2</smsCount>", {"/smsCount": "&nbsp;2"}),
        (b"<sentAt>2015-02-12T09:58:20.323+0100\x00</sentAt>", {"/sentAt": "2015-02-12T09:58:20.323+0100\x00"}),
        (b"<price>&</price>", {"/price": "&"}),
        (b"<price><currency>&</currency></price>", {"price": {}, "/price/currency": "&"}),
        (b"<status><id>5</id>&<name>N</name></status>", {"status": {"id": 5, "name": "N"}, "/status/#text": "&"}),
        (b"<content><text>a & b</text></content>", {"/text": "a & b"}),
        (b"<mccmnc>&</mccmnc>", {"/mccmnc": "&"}),
        (b"<tag>a</tag><tag>&</tag>", {"tag": ["a", None], "/tag/1": "&"}),
        (b"<new a='&' b='1'><c/></new>", {"new": {"c": "", "@b": "1"}, "/new/@a": "&"}),
        (b"<new><deeper>&</deeper></new>", {"new": {}, "/new/deeper": "&"}),
        (b"& between \xff", {"/#text": "& between \\xff"}),
        (b"<!-- \x01 --><?pi \x01?><to>1</to>", {"to": "1"}),
    ],
)  # fmt: skip
def test_a_damaged_value_is_set_aside(members: bytes, published: dict[str, Any]) -> None:
    unparsed = {pointer: value for pointer, value in published.items() if pointer.startswith("/")}
    sound = {name: value for name, value in published.items() if not name.startswith("/")}
    event = {"messageId": "m1"} | sound | ({"unparsed": unparsed} if unparsed else {})
    assert between(b"<result><messageId>m1</messageId>%b</result>" % members) == event
    # Where it stands makes no difference.
    assert between(b"<result>%b<messageId>m1</messageId></result>" % members) == event


SOUND = {
    "messageId": "m1", "to": "385981178", "smsCount": 2, "sentAt": "2015-02-12T09:58:20.323+01:00",
    "status": {"groupId": 3, "id": 5}, "new": {"a": "é <&>\"' \n", "@b": "1 2"}, "tag": ["", "x"], "from": " A\n ",
}  # fmt: skip
SOUND_XML = (
    "<to >385981178</to><smsCount>2</smsCount><sentAt>2015-02-12T09:58:20.323+0100</sentAt>"
    "<status><groupId>3</groupId><!-- 4 --><id> 5 </id></status><new b = '1&#32;2'><a>é &lt;&#38;&#x3E;&quot;&apos;"
    " \r\n</a></new><tag/><tag>x</tag><from> A<![CDATA[\r]]> </from><doneAt xsi:nil='true' xmlns:xsi='urn:x'/>"
).encode()


@pytest.mark.parametrize("prefix", [b"", b"x:"])
def test_what_is_sound_beside_it_is_as_ever(prefix: bytes) -> None:
    entry = b"<%bresult xmlns:x='urn:x'><messageId> m1 </messageId>%b%%b</%bresult>" % (prefix, SOUND_XML, prefix)
    assert between(entry % b"<text/>") == SOUND | {"text": ""}
    assert between(entry % b"<text>&</text>") == SOUND | {"unparsed": {"/text": "&"}}


def test_a_report_is_as_that_from_json() -> None:
    event = between(b"<result><messageId>m1</messageId><text>caf\xe9</text><status><id>5</id></status></result>")
    (report,) = reports(decode(b'{"results":[{"messageId":"m1","text":"caf\xe9","status":{"id":5}}]}'))
    assert event == strict_json(report.value)


@pytest.mark.parametrize("document", [b"<r>%b%b%b</r>", b"<r><results>%b%b%b</results></r>"])
def test_entries_that_are_called_results(document: bytes) -> None:
    damaged = b"<results> \x01 <messageId>m1</messageId><text>&</text></results>"
    before, after = (entry.replace(b"result>", b"results>") for entry in (BEFORE, AFTER))
    for order, expected in (
        ((before, damaged, after), ["before", "m1", "after"]),
        ((damaged, before, damaged), ["m1", "before", "m1"]),
    ):
        decoded = decode(document % order)
        assert (ids(decoded), rejected(decoded), decoded.complete) == (expected, [], True)


@pytest.mark.parametrize(
    ("encoding", "shown"), [("windows-1252", "Ž \\x81 &"), ("ISO-8859-1", "\x8e \x81 &"), ("utf-8", "\\x8e \\x81 &")]
)
def test_in_the_encoding_of_the_body(encoding: str, shown: str) -> None:
    entry = b"<result><messageId>m1</messageId><text>\x8e \x81 &</text></result>"
    decoded = decode(f"<?xml version='1.0' encoding='{encoding}'?>".encode() + b"<r><results>%b</results></r>" % entry)
    assert [strict_json(report.value)["unparsed"] for report in reports(decoded)] == [{"/text": shown}]


def test_an_entry_without_end_swallows_no_other() -> None:
    unclosed = b"<result><messageId>m1</messageId><text>&</text>"
    decoded = decode(wrapped(unclosed))
    assert ids(decoded) == ["before", "after"]
    assert [(entry.raw, entry.reason) for entry in rejected(decoded)] == [
        (unclosed, "not valid XML: not well-formed (invalid token)")
    ]


def test_damage_and_a_cut() -> None:
    entry = b"<result><messageId>m1</messageId><text>&</text></result>"
    document = b"<r><results>%b%b" % (entry, entry)
    for cut in range(len(document)):
        decoded = decode(document[:cut], complete=False)
        assert ids(decoded) == ["m1"] * ((cut >= len(document) - len(entry)) + (cut >= len(document)))
        assert not decoded.complete


texts = st.text(st.characters(codec="utf-8") | st.sampled_from("&<>/;!?-[]#x'\" abcresultmessageId="), max_size=40)
damage = st.integers(0, 255) | st.sampled_from(b"&<>/;!?]\x00\x01\x80\xe9\xff")


@given(texts, damage, st.data(), st.sampled_from([b"result", b"results"]))
def test_whatever_byte_stands_in_a_text(text: str, byte: int, data: st.DataObject, name: bytes) -> None:
    escaped = bytearray(text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").encode() or b" ")
    escaped[data.draw(st.integers(0, len(escaped) - 1))] = byte
    place = data.draw(
        st.sampled_from([b"<text>%b</text>", b"<new><a>%b</a></new>", b"<status><name>%b</name></status>"])
    )
    decoded = decode(wrapped(b"<result><messageId>m1</messageId>%b</result>" % (place % escaped), name=name))
    assert [entry for entry in decoded.entries if isinstance(entry, Report) and entry.message_id != "m1"] == reports(
        decode(wrapped(b"", name=name))
    )
    damaged = [entry for entry in decoded.entries if isinstance(entry, Rejected) or entry.message_id == "m1"]
    assert damaged
    assert decoded.complete
    if byte != ord("<"):
        assert ids(decoded) == ["before", "m1", "after"]


@given(st.binary(max_size=60) | texts.map(str.encode))
def test_whatever_stands_in_an_entry(inner: bytes) -> None:
    document = wrapped(b"<result><messageId>m1</messageId><text>%b</text></result>" % inner)
    decoded = decode(document)
    assert ids(decoded)[0] == "before"
    for lost in rejected(decoded):
        assert lost.raw in document


OPEN = b"<r><results><result><messageId>1</messageId>"
DAMAGED = b"<result><messageId>1</messageId>&</result>"


@pytest.mark.parametrize(
    "document",
    [
        pytest.param(b"<r><results>" + DAMAGED * 2_500, id="each damaged"),
        pytest.param(b"<" + b"r" * 1_000_000 + b"><results>" + DAMAGED * 10_000, id="a long name around"),
        pytest.param(OPEN + b"&" + b"<!--" * 500_000, id="comments"),
        pytest.param(OPEN + b"&" + b"<![CDATA[" * 250_000, id="literal text"),
        pytest.param(OPEN + b"&" + b"<a b='" * 25_000, id="attributes"),
        pytest.param(OPEN + b"<t>" + b"< " * 500_000 + b"</t></result>", id="angles"),
        pytest.param(OPEN + b"&" + b"<a>" * 250_000, id="open elements"),
        pytest.param(OPEN + b"&<t>" + b"&#65;" * 200_000 + b"</t></result>", id="references"),
        pytest.param(b"<r><results>" + b"<results>&" * 1_500, id="open collections"),
    ],
)
def test_time_is_bounded(document: bytes) -> None:
    began = time.process_time()
    decode_body(document, kind="sms", base_url="", complete=True)
    assert time.process_time() - began < 5, "seconds of CPU: some ten times what the slowest takes"


def test_after_each_error_not_all_of_the_rest_is_copied() -> None:
    def seconds(rest: bytes) -> float:
        document = b"<r><results>" + DAMAGED * 1_000 + rest
        began = time.process_time()
        assert len(decode_body(document, kind="sms", base_url="", complete=True).entries) == 1_000
        return time.process_time() - began

    alone, with_a_rest = (min(seconds(b" " * size) for _ in range(3)) for size in (0, 4_000_000))
    assert with_a_rest < 4 * alone, "it is some ten times as much if all is copied"


def test_infobips_format_has_it_back_in_its_place() -> None:
    (report,) = reports(
        decode(b"<r><results><result><messageId>1</messageId><text>a & b</text></result></results></r>")
    )
    assert json.loads(as_pushed(report.value)) == {"messageId": "1", "text": "a & b"}


def test_an_entry_whose_own_tag_cannot_be_read_harms_no_other() -> None:
    # In UTF-16 without a mark of the order of bytes, that is so of all tags.
    sound = "<result><messageId>m1</messageId></result>"
    damaged = "<result><messageId>m2</messageId><to>&nonsense;</to></result>"
    decoded = decode(f"<reportResponse><results>{sound}{damaged}</results></reportResponse>".encode("utf-16-le"))
    assert [report.message_id for report in reports(decoded)] == ["m1"]
    assert len(rejected(decoded)) == 1
