"""XML bodies: every documented shape, the same events as from JSON, cuts, and what is refused."""

import json
import re
import time
from pathlib import Path

import pytest
from msgspec.structs import replace

from relay.domain.decode import decode_body
from tests.unit.domain.events import FIXTURES, decode, ids, rejected, reports, strict_json

XML_EXAMPLES = sorted((FIXTURES / "examples").glob("*.xml"))
KINDS = {"sms": "sms", "tts": "voice"}
ENTRY = "<messageId>m1</messageId><to>385981178</to><status><groupId>3</groupId><id>5</id></status>"
EVENT = {"messageId": "m1", "to": "385981178", "status": {"groupId": 3, "id": 5}}


def body(entries: str) -> str:
    return f"<reportResponse><results>{entries}</results></reportResponse>"


def event(members: str, *, kind: str = "sms") -> dict[str, object]:
    decoded = decode(body(f"<result><messageId>m1</messageId>{members}</result>"), kind=kind)
    value = strict_json(reports(decoded)[0].value)
    del value["messageId"]
    return value


@pytest.mark.parametrize("name", ["sms_reports_b1", "sms_reports_b3"])
def test_the_documented_sms_examples_give_the_same_events_as_json(name: str) -> None:
    from_json = reports(decode((FIXTURES / "examples" / f"{name}.json").read_bytes()))
    from_xml = reports(decode((FIXTURES / "examples" / f"{name}.xml").read_bytes()))
    assert len(from_json) == len(from_xml) > 0
    for one, other in zip(from_json, from_xml, strict=True):
        assert strict_json(one.value) == strict_json(other.value)
        assert replace(one, value=b"") == replace(other, value=b"")


def test_the_documented_voice_example() -> None:
    (report,) = reports(decode((FIXTURES / "examples" / "tts_reports_0.xml").read_bytes(), kind="voice"))
    assert strict_json(report.value) == {
        "bulkId": "8c20f086-d82b-48cc-b2b3-3ca5f7aca9fb",
        "messageId": "ff4804ef-6ab6-4abd-984d-ab3b1387e852",
        "to": "385981178",
        "sentAt": "2015-02-12T09:58:20.323+01:00",
        "doneAt": "2015-02-12T09:58:20.337+01:00",
        "duration": 10,
        "mccMnc": "21901",
        "dtmfCodes": "1",
        "recordedAudioFileUrl": "https://api.infobip.com/tts/3/files/ff4804ef-6ab6-4abd-984d-ab3b1387e852/385981178",
        "price": {"pricePerMessage": 0.01, "currency": "EUR"},
        "status": {
            "id": 5,
            "groupId": 3,
            "groupName": "DELIVERED",
            "name": "DELIVERED_TO_HANDSET",
            "description": "Message delivered to handset",
        },
        "error": {
            "groupId": 0,
            "groupName": "OK",
            "id": 5000,
            "name": "VOICE_ANSWERED",
            "description": "Call answered by human",
            "permanent": True,
        },
    }


def test_a_rejected_row_of_the_logs() -> None:
    (report,) = reports(decode((FIXTURES / "examples" / "tts_logs_1.xml").read_bytes(), kind="voice"))
    assert (report.outcome, report.status_group, report.final) == ("6:5003", 5, True)
    event = strict_json(report.value)
    assert (event["mccMnc"], event["price"]) == ("22801", {"pricePerMessage": 0.0, "currency": "EUR"})
    assert event["status"]["action"] == "Contact account manager"


@pytest.mark.parametrize(
    "document",
    [
        f"<reportResponse><results><result>{ENTRY}</result></results></reportResponse>",
        f"<reportResponse><results><results>{ENTRY}</results></results></reportResponse>",
        f"<SMSReportResponse><results>{ENTRY}</results></SMSReportResponse>",
        f"<smsLogsResponse><results><result>{ENTRY}</result></results></smsLogsResponse>",
        f"<SMSLogsResponse><results><results>{ENTRY}</results></results></SMSLogsResponse>",
        f"<voiceLogsResponse><results><result>{ENTRY}</result></results></voiceLogsResponse>",
        f"<DeliveryReports><results><result>{ENTRY}</result></results></DeliveryReports>",
        f"<omniReportsResponse><results>{ENTRY}</results></omniReportsResponse>",
        f"<results><result>{ENTRY}</result></results>",
        f"<r><bulkId>b</bulkId><results><result>{ENTRY}</result></results><more><a/></more></r>",
        f'<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n<r><results><result>{ENTRY}</result></results></r>',
        f'\ufeff \n<?xml version="1.0"?><r><results><result>{ENTRY}</result></results></r>',
        f'<ns2:r xmlns:ns2="urn:x"><ns2:results><ns2:result>{ENTRY}</ns2:result></ns2:results></ns2:r>',
        f"<r><!-- c --><results><?pi x?><result>{ENTRY}<!-- <result> --></result></results></r>",
    ],
)
def test_every_shape_gives_the_same_event(document: str) -> None:
    decoded = decode(document)
    assert [strict_json(report.value) for report in reports(decoded)] == [EVENT]
    assert (rejected(decoded), decoded.complete, decoded.reason) == ([], True, "")


def test_flat_results_repeat() -> None:
    decoded = decode(
        "<SMSReportResponse><results><messageId>a</messageId></results><results><messageId>b</messageId></results>"
        "</SMSReportResponse>"
    )
    assert (ids(decoded), decoded.complete) == (["a", "b"], True)


@pytest.mark.parametrize(
    "document",
    [
        "<reportResponse><results/></reportResponse>",
        "\ufeff<reportResponse><results/></reportResponse>",
        "<reportResponse><results>\n  </results></reportResponse>",
        "<reportResponse/>",
        "<SMSReportResponse></SMSReportResponse>",
        "<ns:DeliveryReports xmlns:ns='urn:x'/>",
    ],
)
def test_an_empty_answer(document: str) -> None:
    decoded = decode(document)
    assert (decoded.entries, decoded.complete) == ([], True)


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        ("<html><body>502 Bad Gateway</body></html>", "no results collection"),
        ("<html><body><br>502</body></html>", "not valid XML: mismatched tag"),
        ("<ApiException><requestError><messageId>X</messageId></requestError></ApiException>", "no results collection"),
        ("<!DOCTYPE html><html></html>", "a document type declaration is refused"),
        ("<", "not valid XML"),
    ],
)
def test_other_documents_are_rejected_whole(document: str, reason: str) -> None:
    decoded = decode(document)
    if document != "<":
        assert [(entry.reason, entry.raw) for entry in rejected(decoded)] == [(reason, document.encode())]
    assert reports(decoded) == []
    assert decoded.complete is False


ENTITY_BOMB = (
    '<!DOCTYPE r [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">'
    '<!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;">]>'
)


@pytest.mark.parametrize(
    "prologue",
    [
        ENTITY_BOMB,
        '<!DOCTYPE r [<!ENTITY x SYSTEM "file:///etc/passwd">]>',
        '<!DOCTYPE r SYSTEM "http://169.254.169.254/x.dtd">',
        '<!DOCTYPE r [<!ENTITY % p SYSTEM "http://169.254.169.254/x.dtd"> %p;]>',
        "<!DOCTYPE r>",
    ],
)
def test_document_types_are_refused_whole(prologue: str) -> None:
    document = f"{prologue}<r><results><result><messageId>&a;</messageId></result></results></r>"
    decoded = decode(document)
    assert [entry.raw for entry in rejected(decoded)] == [document.encode()]
    assert (reports(decoded), decoded.complete) == ([], False)
    assert decoded.reason == "a document type declaration is refused"


@pytest.mark.parametrize(
    ("members", "published"),
    [
        ("<smsCount>2</smsCount>", {"smsCount": 2}),
        ("<smsCount>\n 2 </smsCount>", {"smsCount": 2}),
        ("<smsCount/>", {}),
        ("<smsCount>two</smsCount>", {"unparsed": {"/smsCount": "two"}}),
        ("<sentAt></sentAt>", {}),
        ("<sentAt>1423731500323</sentAt>", {"sentAt": "2015-02-12T08:58:20.323Z"}),
        ("<sentAt>x</sentAt><sentAt>1423731500323</sentAt>", {"sentAt": "2015-02-12T08:58:20.323Z"}),
        ("<dtmfCodes/>", {"dtmfCodes": ""}),
        ("<dtmfCodes>01</dtmfCodes>", {"dtmfCodes": "01"}),
        ("<text> a &lt;b&gt; &amp; &#x1F600; <![CDATA[<c>]]> </text>", {"text": " a <b> & 😀 <c> "}),
        ("<callbackData xsi:nil='true' xmlns:xsi='urn:x'/>", {}),
        ("<callbackData><a>1</a></callbackData>", {"unparsed": {"/callbackData": {"a": "1"}}}),
        ("<price/>", {}),
        ("<price>0.01</price>", {"unparsed": {"/price": "0.01"}}),
        ("<price><pricePerMessage>0.00787679</pricePerMessage></price>", {"price": {"pricePerMessage": 0.00787679}}),
        ("<error><permanent>false</permanent><id/></error>", {"error": {"permanent": False}}),
        ("<mccmnc>22801</mccmnc>", {"mccMnc": "22801"}),
        ("<recordedAudioFileUrl>/tts/3/f</recordedAudioFileUrl>", {"recordedAudioFileUrl": "https://xyz.api.infobip.com/tts/3/f"}),
        ("<entityId>e</entityId><new><a>1</a></new>", {"entityId": "e", "new": {"a": "1"}}),
        ("<tag>a</tag><tag>b</tag><tag>c</tag>", {"tag": ["a", "b", "c"]}),
        ("<new b='1' xmlns='urn:x'><a>1</a>stray</new>", {"new": {"a": "1", "@b": "1", "#text": "stray"}}),
        ("<parts><result><messageId>x</messageId></result></parts>", {"parts": {"result": {"messageId": "x"}}}),
        ("<result><messageId>x</messageId></result>", {"result": {"messageId": "x"}}),
    ],
)  # fmt: skip
def test_members(members: str, published: dict[str, object]) -> None:
    assert event(members, kind="voice") == published


def test_a_message_id_may_be_set_apart_by_blanks() -> None:
    assert ids(decode(body("<result><messageId>\n  m-1\n</messageId></result>"))) == ["m-1"]


@pytest.mark.parametrize(
    ("encoding", "document"),
    [
        ("utf-16", body(f"<result>{ENTRY}<text>é</text></result>")),
        ("iso-8859-1", f'<?xml version="1.0" encoding="ISO-8859-1"?>{body(f"<result>{ENTRY}<text>é</text></result>")}'),
        ("cp1252", f"<?xml version='1.0' encoding='windows-1252'?>{body(f'<result>{ENTRY}<text>é</text></result>')}"),
    ],
)
def test_encodings(encoding: str, document: str) -> None:
    decoded = decode(document.encode(encoding))
    assert [strict_json(report.value) for report in reports(decoded)] == [EVENT | {"text": "é"}]


@pytest.mark.parametrize(
    "declared",
    [
        "UTF-16",
        "utf-16le",
        "UTF-32",
        "utf8",
        "US-ASCII",
        "klingon",
        "gb18030",
        "base64",
        "utf-7",
        "cp037",
        "unicode_escape",
        "raw_unicode_escape",
        "punycode",
        "idna",
        "rot13",
        "undefined",
    ],
)
def test_an_encoding_that_the_bytes_disprove_is_passed_over(declared: str) -> None:
    document = f"<?xml version='1.0' encoding='{declared}'?>{body(f'<result>{ENTRY}<text>é</text></result>')}"
    decoded = decode(document)
    assert [strict_json(report.value) for report in reports(decoded)] == [EVENT | {"text": "é"}]
    assert decoded.complete


def test_of_an_unknown_encoding_what_is_no_utf_8_is_set_aside() -> None:
    good, bad = f"<result>{ENTRY}</result>".encode(), b"<result><messageId>m2</messageId><text>\xe9</text></result>"
    decoded = decode(b"<?xml version='1.0' encoding='klingon'?><r><results>%b%b</results></r>" % (bad, good))
    assert [strict_json(report.value) for report in reports(decoded)] == [
        {"messageId": "m2", "unparsed": {"/text": "\\xe9"}},
        EVENT,
    ]
    assert decoded.complete


BAD_ENTRIES = [
    b"<result/>",
    b"<result>text</result>",
    b"<result><to>1</to></result>",
    b"<result><messageId/></result>",
    b"<result><messageId>a\x01b</messageId></result>",
    b"<result><messageId>a&#1;b</messageId></result>",
    b"<result><messageId>a & b</messageId></result>",
    b"<result><messageId>caf\xe9</messageId></result>",
    b"<result><messageId>a</messageId><messageId>&nbsp;</messageId></result>",
    b"<result><messageId>&nbsp;</messageId><messageId>a</messageId></result>",
    b"<result><messageId>a < b</messageId></result>",
    b"<result><messageId>a<b/></messageId><text>&</text></result>",
    b"<result><text>a & b</text></result>",
    b"<result><messageId>x</messageId><text></to></result>",
    b"<result><messageId>x</messageId><to>1</result>",
    b"<result><messageId>x</messageId><to>&</result>",
    b"<result><messageId>x</messageId><text>a <b> c</text></result>",
    b"<result><messageId>x</messageId><text>&<!-- </text></result>",
    b"<result><messageId>x</messageId><text>&<![CDATA[ </text></result>",
    b"<result><messageId>x</messageId><te\xe9xt>&</te\xe9xt></result>",
    b"<result><messageId>x</messageId><text>&</text\x01></result>",
    b"<result><messageId>x</messageId><text\x01>a</text></result>",
    b"<result><messageId>x</messageId><a b=c/></result>",
    b"<result><messageId>x</messageId><status><id b=c/></status></result>",
    b"<result><messageId>x</messageId><new><id b=c/><id>1</id></new></result>",
    b"<result><messageId>x</messageId><a b='1' b='2'/></result>",
    b"<result><messageId>x</messageId><text>&</text>" + b"<d>" * 65 + b"</d>" * 65 + b"</result>",
]


@pytest.mark.parametrize("bad", BAD_ENTRIES)
@pytest.mark.parametrize("name", [b"result", b"results"])
def test_a_bad_entry_harms_no_other(bad: bytes, name: bytes) -> None:
    bad = re.sub(rb"(</?)result", rb"\1" + name, bad)
    good = [b"<%b><messageId>good-%d</messageId></%b>" % (name, number, name) for number in range(4)]
    document = b"<reportResponse>\n<results>" + b"\n".join([good[0], good[1], bad, good[2], bad, good[3]])
    decoded = decode(document + b"</results></reportResponse>")
    assert ids(decoded) == ["good-0", "good-1", "good-2", "good-3"]
    assert [entry.raw for entry in rejected(decoded)] == [bad, bad]
    assert decoded.complete


def test_a_bad_flat_entry_harms_no_other() -> None:
    bad = b"<results><messageId>x</messageId><text>a <b> b</text></results>"
    good = [b"<results><messageId>good-%d</messageId></results>" % number for number in range(3)]
    decoded = decode(b"<SMSReportResponse>" + bad + good[0] + bad + good[1] + good[2] + b"</SMSReportResponse>")
    assert ids(decoded) == ["good-0", "good-1", "good-2"]
    assert [entry.raw for entry in rejected(decoded)] == [bad, bad]
    assert decoded.complete


def ends_of_entries(document: bytes) -> list[tuple[int, str]]:
    return [
        (match.end(), match[1].decode())
        for match in re.finditer(rb"<result>.*?<messageId>([^<]+)<.*?</result>", document, re.DOTALL)
    ]


@pytest.mark.parametrize("path", XML_EXAMPLES, ids=lambda path: path.stem)
def test_a_body_cut_at_any_byte_gives_every_complete_report(path: Path) -> None:
    document = path.read_bytes()
    kind = KINDS[path.stem[:3]]
    whole = {report.message_id: report for report in reports(decode(document, kind=kind))}
    ends = ends_of_entries(document)
    assert len(ends) == len(whole) > 0
    collection_end = document.rindex(b"</results>") + len(b"</results>")
    for cut in range(len(document) + 1):
        decoded = decode_body(document[:cut], kind=kind, base_url="", complete=False)
        assert reports(decoded) == [whole[message_id] for end, message_id in ends if end <= cut]
        assert decoded.complete == (cut >= collection_end)
        assert bool(decoded.reason) == (cut < collection_end)
        for lost in rejected(decoded):
            assert document[:cut].rstrip().endswith(lost.raw)


def test_the_tail_of_a_cut_body_is_kept() -> None:
    decoded = decode("<r><results><result><messageId>a</messageId></result><result><messageId>b</mess", complete=False)
    assert ids(decoded) == ["a"]
    assert [(entry.raw, entry.reason) for entry in rejected(decoded)] == [
        (b"<result><messageId>b</mess", "the body ends in the middle of an entry")
    ]
    assert not decoded.complete


def test_bytes_after_the_end_are_kept() -> None:
    decoded = decode(body("<result><messageId>a</messageId></result>") + "<!-- ok --> served by lb-3")
    assert (ids(decoded), decoded.complete) == (["a"], True)
    assert [entry.raw for entry in rejected(decoded)] == [b"served by lb-3"]


@pytest.mark.parametrize("levels", [62, 63, 64, 65, 1000])
def test_deep_nesting_becomes_text(levels: int) -> None:
    deep = "<d>" * levels + "x" + "</d>" * levels
    decoded = decode(body(f"<result><messageId>a</messageId>{deep}</result><result>{ENTRY}</result>"))
    assert ids(decoded) == ["a", "m1"]
    made = strict_json(reports(decoded)[0].value)
    if levels <= 64:
        for _ in range(levels):
            made = made["d"]
        assert made == "x"
    else:
        assert made == {"messageId": "a", "unparsed": {"/d": deep}}


@pytest.mark.parametrize(
    "document",
    [
        pytest.param(b"<a>" * 300_000, id="open elements"),
        pytest.param(b"<r><results>" + b"<result>" * 100_000, id="open entries"),
        pytest.param(b"<r><results>" * 100_000, id="open collections"),
        pytest.param(b"<r><results>" + b"<result>&</result>" * 2_000, id="each malformed"),
        pytest.param(b"<r><results><result><a" + b" b='1'" * 300_000, id="attributes"),
        pytest.param(b"<r><results><result>" + b"<a/>" * 50_000 + b"</result></results></r>", id="members"),
        pytest.param(b"<r>" + b"<a/>" * 50_000 + b"</r>", id="no results"),
        pytest.param(b"<" * 2_000_000, id="angles"),
        pytest.param(b"<r><results><result><t>" + b"&#65;" * 500_000, id="references"),
    ],
)
def test_time_is_bounded(document: bytes) -> None:
    began = time.process_time()
    decoded = decode_body(document, kind="sms", base_url="", complete=True)
    assert time.process_time() - began < 5, "seconds of CPU: some ten times what the slowest takes"
    assert reports(decoded) == []
    assert len(decoded.entries) <= 10_001


def test_an_entry_too_large_is_rejected_whole() -> None:
    large = "<result><messageId>x</messageId>" + "<a>1</a>" * 1000 + "<t>" + "x" * 2**23 + "</t></result>"
    decoded = decode(body(f"{large}<result>{ENTRY}</result>"))
    assert ids(decoded) == ["m1"]
    assert [(entry.reason, len(entry.raw)) for entry in rejected(decoded)] == [
        ("an entry is larger than 8 MiB", len(large))
    ]


def test_an_example_as_xml_and_json_by_content_not_by_label() -> None:
    example = json.loads((FIXTURES / "examples" / "sms_reports_0.json").read_bytes())
    assert len(reports(decode(json.dumps(example)))) == 1
    assert len(reports(decode((FIXTURES / "examples" / "sms_reports_b1.xml").read_bytes()))) == 1
