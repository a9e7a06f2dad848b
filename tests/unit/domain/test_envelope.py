"""Kafka records, CloudEvents headers and callback bodies, against the contract written out."""

import base64
import hashlib

import orjson
import pytest
from msgspec.structs import replace

from relay.domain.envelope import (
    KafkaRecord,
    StreamEnvelope,
    Topics,
    callback_body,
    ce_headers,
    quarantine_value,
    rfc3339_ms,
    webhook_id,
    without_bytes,
)
from relay.domain.report import Entry, EntryType, Origin, Stream

STREAM = Stream("acme", "sms")
TOPICS = Topics("infobip.sms.reports", "infobip.sms.revisions", "infobip.quarantine")
AT_MS = 1_423_731_500_323  # 2015-02-12T08:58:20.323Z


def entry(
    seq: int = 7,
    type_: EntryType = EntryType.REPORT,
    message_id: str = "ff4804ef",
    revision: int = 1,
    origin: Origin = Origin.POLL,
    value: bytes = b'{"messageId":"ff4804ef"}',
) -> Entry:
    return Entry(seq, type_, message_id, revision, origin, AT_MS, 3, value)


def record(of: Entry, *, revisions_inline: bool = False) -> KafkaRecord:
    return StreamEnvelope(STREAM, "j-1", TOPICS, revisions_inline=revisions_inline).records([of])[0]


def test_a_report_is_a_cloudevent_in_binary_mode() -> None:
    made = record(entry())
    assert (made.seq, made.topic, made.key) == (7, "infobip.sms.reports", b"ff4804ef")
    assert made.value == b'{"messageId":"ff4804ef"}'
    assert made.timestamp_ms == AT_MS
    assert len(made.headers) == 9
    assert dict(made.headers) == {
        "ce_specversion": b"1.0",
        "ce_id": b"ff4804ef",
        "ce_source": b"/acme/sms",
        "ce_type": b"com.infobip.sms.report.v1",
        "ce_time": b"2015-02-12T08:58:20.323Z",
        "ce_origin": b"poll",
        "content-type": b"application/json",
        "relay_journal": b"j-1",
        "relay_seq": b"7",
    }


@pytest.mark.parametrize(
    ("type_", "inline", "topic"),
    [
        (EntryType.REPORT, False, "infobip.sms.reports"),
        (EntryType.COMPLETION, False, "infobip.sms.reports"),
        (EntryType.REVISION, False, "infobip.sms.revisions"),
        (EntryType.REVISION, True, "infobip.sms.reports"),
        (EntryType.QUARANTINE, False, "infobip.quarantine"),
        (EntryType.RECORDING, False, "infobip.voice.recordings"),
    ],
)
def test_the_type_of_an_entry_decides_its_topic(type_: EntryType, inline: bool, topic: str) -> None:
    assert record(entry(type_=type_), revisions_inline=inline).topic == topic


def test_a_revision_is_numbered_in_its_id_and_keeps_its_key() -> None:
    made = record(entry(type_=EntryType.COMPLETION, revision=2, origin=Origin.LOGS))
    assert made.key == b"ff4804ef"
    assert dict(made.headers)["ce_id"] == b"ff4804ef#2"
    assert dict(made.headers)["ce_origin"] == b"logs"
    assert dict(made.headers)["ce_type"] == b"com.infobip.sms.report.v1"


def test_a_quarantine_entry_is_keyed_by_its_stream() -> None:
    made = record(entry(type_=EntryType.QUARANTINE, message_id="", origin=Origin.PUSH))
    assert made.key == b"acme/sms"
    assert dict(made.headers)["ce_id"] == b"quarantine-7"
    assert dict(made.headers)["ce_type"] == b"com.infobip.sms.quarantine.v1"


def test_a_recording_is_keyed_by_its_message() -> None:
    made = record(entry(type_=EntryType.RECORDING))
    assert made.key == b"ff4804ef"
    assert dict(made.headers)["ce_id"] == b"ff4804ef#recording"
    assert dict(made.headers)["ce_type"] == b"com.infobip.sms.recording.v1"


def test_each_record_has_its_own_time() -> None:
    envelope = StreamEnvelope(STREAM, "j-1", TOPICS, revisions_inline=False)
    times = [
        dict(envelope.records([replace(entry(), received_at_ms=at_ms)])[0].headers)["ce_time"]
        for at_ms in (AT_MS, AT_MS, AT_MS + 1, AT_MS)
    ]
    assert [time[-5:] for time in times] == [b".323Z", b".323Z", b".324Z", b".323Z"]


def test_the_entries_of_a_fetch_share_what_does_not_vary() -> None:
    envelope = StreamEnvelope(STREAM, "j-1", TOPICS, revisions_inline=False)
    of_a_fetch = [record.common for record in envelope.records([entry(7), entry(8)])]
    assert of_a_fetch[0] is of_a_fetch[1]
    assert dict(envelope.records([entry(9, origin=Origin.PUSH)])[0].common)["ce_origin"] == b"push"
    assert dict(envelope.records([entry(10, type_=EntryType.QUARANTINE)])[0].common)["ce_type"].endswith(
        b".quarantine.v1"
    )
    assert dict(envelope.records([entry(11)])[0].common)["ce_type"].endswith(b".report.v1")


def test_an_entry_read_back_with_plain_values_makes_the_same_record() -> None:
    plain = replace(entry(), type=3, origin="poll")
    assert record(plain) == record(entry(type_=EntryType.REVISION))


def test_ids_outside_ascii_are_utf8_in_kafka_and_percent_encoded_in_http() -> None:
    odd = entry(message_id='a b%"é#', revision=3)
    assert record(odd).key == 'a b%"é#'.encode()
    assert dict(record(odd).headers)["ce_id"] == 'a b%"é##3'.encode()
    assert ce_headers(STREAM, odd)["ce-id"] == "a%20b%25%22%C3%A9##3"


def test_http_headers_of_a_report() -> None:
    assert ce_headers(STREAM, entry()) == {
        "ce-specversion": "1.0",
        "ce-id": "ff4804ef",
        "ce-source": "/acme/sms",
        "ce-type": "com.infobip.sms.report.v1",
        "ce-time": "2015-02-12T08:58:20.323Z",
        "ce-origin": "poll",
    }


def test_the_webhook_id_follows_from_source_and_id() -> None:
    digest = hashlib.sha256(b"/acme/sms\nff4804ef").hexdigest()
    assert webhook_id(STREAM, [entry()]) == f"msg_{digest[:32]}"
    assert webhook_id(STREAM, [entry(seq=99, origin=Origin.PUSH)]) == f"msg_{digest[:32]}"


def test_the_webhook_id_of_a_batch_covers_all_members_in_order() -> None:
    first, second = entry(), entry(message_id="12db39c3", revision=2)
    digest = hashlib.sha256(b"/acme/sms\nff4804ef\n/acme/sms\n12db39c3#2").hexdigest()
    assert webhook_id(STREAM, [first, second]) == f"msg_{digest[:32]}"
    assert webhook_id(STREAM, [second, first]) != f"msg_{digest[:32]}"


@pytest.mark.parametrize(
    ("members", "infobip", "batch", "body"),
    [
        (1, False, False, b'{"n":1}'),
        (1, False, True, b'[{"n":1}]'),
        (2, False, True, b'[{"n":1},{"n":2}]'),
        (1, True, False, b'{"results":[{"n":1}]}'),
        (2, True, True, b'{"results":[{"n":1},{"n":2}]}'),
    ],
)
def test_bodies(members: int, infobip: bool, batch: bool, body: bytes) -> None:
    entries = [entry(value=b'{"n":%d}' % number) for number in range(1, members + 1)]
    assert callback_body(entries, infobip=infobip, batch=batch) == body


def test_a_quarantine_value_carries_reason_and_bytes() -> None:
    value = quarantine_value(STREAM, "no messageId", AT_MS, 42, b'{"messageId":null}')
    assert orjson.loads(value) == {
        "source": "acme",
        "kind": "sms",
        "reason": "no messageId",
        "received_at": "2015-02-12T08:58:20.323Z",
        "fetch": 42,
        "size": 18,
        "bytes": "eyJtZXNzYWdlSWQiOm51bGx9",
    }


def test_a_quarantine_value_is_bounded_and_may_lose_its_bytes() -> None:
    value = quarantine_value(STREAM, "half a \ud83d", AT_MS, None, b"x" * 70_000)
    fields = orjson.loads(value)
    assert (fields["reason"], fields["fetch"], fields["size"]) == ("half a ?", None, 70_000)
    assert base64.b64decode(fields["bytes"]) == b"x" * 65_536
    assert orjson.loads(without_bytes(value)) == fields | {"bytes": ""}


@pytest.mark.parametrize(
    ("at_ms", "text"),
    [
        (0, "1970-01-01T00:00:00.000Z"),
        (AT_MS, "2015-02-12T08:58:20.323Z"),
        (951_782_400_007, "2000-02-29T00:00:00.007Z"),
    ],
)
def test_times_are_utc_with_milliseconds(at_ms: int, text: str) -> None:
    assert rfc3339_ms(at_ms) == text
