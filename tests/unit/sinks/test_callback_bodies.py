"""Bodies and headers of callbacks, read by the libraries and programs that they are made for."""

import json
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

import pytest
from cloudevents.core.bindings.http import HTTPMessage, from_binary
from cloudevents.core.formats.json import JSONFormat
from msgspec.structs import replace
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from relay.config import Secret
from relay.domain.decode import decode_body
from relay.domain.report import Entry, EntryType, Origin, Report, Stream
from tests.receivers import infobip_push
from tests.receivers.callback import Behaviour, CallbackReceiver
from tests.unit.sinks.callback_rig import OLD_SECRET, SECRET, STREAM, Connect, entry, now_ms

EXAMPLES = Path(__file__).parents[2] / "fixtures" / "infobip" / "examples"


def documented(name: str, kind: str) -> list[Entry]:
    """The entries that become of an example body of Infobip's documents."""
    body = (EXAMPLES / name).read_bytes()
    decoded = decode_body(body, kind=kind, base_url="https://xyz.api.infobip.com", complete=True)
    seqs = count(1)
    return [
        Entry(next(seqs), EntryType.REPORT, item.message_id, 1, Origin.POLL, 1_700_000_000_123, 3, item.value)
        for item in decoded.entries
        if isinstance(item, Report)
    ]


async def test_the_signature_verifies_and_covers_the_body(receiver: CallbackReceiver, connect: Connect) -> None:
    await connect(secrets=[SECRET]).post(STREAM, [entry()], now_ms())
    (received,) = receiver.received
    assert Webhook(SECRET).verify(received.body, dict(received.headers)) == {
        "messageId": "m-1",
        "status": {"groupId": 3},
    }


async def test_the_cloudevents_library_reads_the_headers(receiver: CallbackReceiver, connect: Connect) -> None:
    await connect().post(STREAM, [entry('grüß "dich" 100%', revision=2, type_=EntryType.REVISION)], now_ms())
    (received,) = receiver.received
    event = from_binary(HTTPMessage(dict(received.headers), received.body), JSONFormat())
    assert event.get_specversion() == "1.0"
    assert event.get_id() == 'grüß "dich" 100%#2'
    assert event.get_source() == "/acme/voice"
    assert event.get_type() == "com.infobip.voice.report.v1"
    assert event.get_time().isoformat() == "2023-11-14T22:13:20.123000+00:00"
    assert event.get_extension("origin") == "poll"
    assert event.get_data() == {"messageId": 'grüß "dich" 100%', "status": {"groupId": 3}}


async def test_cloudevents_headers_are_those_of_each_entry(receiver: CallbackReceiver, connect: Connect) -> None:
    callback = connect()
    entries = [
        entry("a"),
        entry("b"),
        replace(entry("b", revision=2), origin=Origin.LOGS),
        replace(entry("c"), received_at_ms=1_700_000_001_000),
    ]
    for one in entries:
        await callback.post(STREAM, [one], now_ms())
    await callback.post(Stream("acme", "sms"), [entries[0]], now_ms())
    await callback.post(STREAM, [entries[3]], now_ms())
    await callback.post(Stream("acme", "sms"), [entries[3]], now_ms())
    assert [
        tuple(received.headers[f"ce-{name}"] for name in ("id", "time", "origin", "source", "type"))
        for received in receiver.received
    ] == [
        ("a", "2023-11-14T22:13:20.123Z", "poll", "/acme/voice", "com.infobip.voice.report.v1"),
        ("b", "2023-11-14T22:13:20.123Z", "poll", "/acme/voice", "com.infobip.voice.report.v1"),
        ("b#2", "2023-11-14T22:13:20.123Z", "logs", "/acme/voice", "com.infobip.voice.report.v1"),
        ("c", "2023-11-14T22:13:21.000Z", "poll", "/acme/voice", "com.infobip.voice.report.v1"),
        ("a", "2023-11-14T22:13:20.123Z", "poll", "/acme/sms", "com.infobip.sms.report.v1"),
        ("c", "2023-11-14T22:13:21.000Z", "poll", "/acme/voice", "com.infobip.voice.report.v1"),
        ("c", "2023-11-14T22:13:21.000Z", "poll", "/acme/sms", "com.infobip.sms.report.v1"),
    ]


VARIES = {"webhook-timestamp", "webhook-signature"}


@pytest.mark.parametrize(
    ("keys", "members"),
    [
        ({}, 1),
        ({"format": "infobip"}, 1),
        ({"batch_size": 3}, 3),
        ({"format": "infobip", "batch_size": 3}, 3),
    ],
)
async def test_the_next_attempt_differs_in_timestamp_and_signature_alone(
    receiver: CallbackReceiver, connect: Connect, keys: dict[str, object], members: int
) -> None:
    receiver.default = Behaviour(status=500)
    entries = [entry(f"m-{number}", seq=number) for number in range(members)]
    at_ms = now_ms()
    await connect(secrets=[SECRET], **keys).post(STREAM, entries, at_ms - 60_000)
    await connect(secrets=[SECRET], **keys).post(STREAM, entries, at_ms)  # as after a restart
    first, second = receiver.received
    assert first.body == second.body
    assert int(second.headers["webhook-timestamp"]) - int(first.headers["webhook-timestamp"]) == 60
    assert first.headers["webhook-signature"] != second.headers["webhook-signature"]
    assert {name: value for name, value in first.headers.items() if name not in VARIES} == {
        name: value for name, value in second.headers.items() if name not in VARIES
    }
    assert ("ce-id" in first.headers) == (members == 1)
    for received in (first, second):
        Webhook(SECRET).verify(received.body, dict(received.headers))


@pytest.mark.parametrize("known", [SECRET, OLD_SECRET])
async def test_while_rotating_receivers_with_either_secret_accept(
    receiver: CallbackReceiver, connect: Connect, known: str
) -> None:
    await connect(secrets=[SECRET, OLD_SECRET]).post(STREAM, [entry()], now_ms())
    (received,) = receiver.received
    assert Webhook(known).verify(received.body, dict(received.headers))["messageId"] == "m-1"
    with pytest.raises(WebhookVerificationError):
        Webhook("whsec_YSB0aGlyZCBzZWNyZXQgb2Ygb3RoZXJz").verify(received.body, dict(received.headers))


async def test_a_secret_rotated_in_its_file_signs_the_next_second(
    receiver: CallbackReceiver, connect: Connect, tmp_path: Path
) -> None:
    file = tmp_path / "secret"
    file.write_text(OLD_SECRET)
    callback = connect(secrets=[Secret(file=file)])
    at_ms = now_ms()
    await callback.post(STREAM, [entry()], at_ms)
    (tmp_path / "next").write_text(SECRET)
    (tmp_path / "next").rename(file)
    await callback.post(STREAM, [entry()], at_ms + 1000)
    before, after = receiver.received
    Webhook(OLD_SECRET).verify(before.body, dict(before.headers))
    Webhook(SECRET).verify(after.body, dict(after.headers))


async def test_a_batch_is_an_array_without_cloudevents_headers(receiver: CallbackReceiver, connect: Connect) -> None:
    await connect(batch_size=10, secrets=[SECRET]).post(STREAM, [entry("m-1"), entry("m-2", seq=2)], now_ms())
    (received,) = receiver.received
    assert [report["messageId"] for report in json.loads(received.body)] == ["m-1", "m-2"]
    assert not [name for name in received.headers if name.startswith("ce-")]
    Webhook(SECRET).verify(received.body, dict(received.headers))


async def test_format_infobip(receiver: CallbackReceiver, connect: Connect) -> None:
    await connect(format="infobip").post(STREAM, [entry("m-1")], now_ms())
    await connect(format="infobip", batch_size=2).post(STREAM, [entry("m-1"), entry("m-2", seq=2)], now_ms())
    single, batch = receiver.received
    assert json.loads(single.body) == {"results": [{"messageId": "m-1", "status": {"groupId": 3}}]}
    assert single.headers["ce-id"] == "m-1"
    assert [report["messageId"] for report in json.loads(batch.body)["results"]] == ["m-1", "m-2"]
    assert "ce-id" not in batch.headers


async def test_code_written_for_notify_url_accepts_sms_reports(receiver: CallbackReceiver, connect: Connect) -> None:
    entries = documented("sms_reports_b3.json", "sms")
    await connect(format="infobip", batch_size=100).post(Stream("acme", "sms"), entries, now_ms())
    (received,) = receiver.received
    first, second = infobip_push.reports_of(received.headers["content-type"], received.body)
    assert first == infobip_push.Report(
        bulk_id="80664c0c-e1ca-414d-806a-5caf146463df",
        message_id="bcfb828b-7df9-4e7b-8715-f34f5c61271a",
        to="38598111",
        sent_at=datetime(2015, 2, 12, 8, 58, 20, 323_000, tzinfo=UTC),
        done_at=datetime(2015, 2, 12, 8, 58, 20, 337_000, tzinfo=UTC),
        currency="EUR",
        price=0.01,
        status=infobip_push.Status(3, "DELIVERED", 5, "DELIVERED_TO_HANDSET", "Message delivered to handset"),
        error=infobip_push.Error(0, "OK", 0, "NO_ERROR", "No Error", permanent=False),
        sms_count=1,
        mcc_mnc="21901",
    )
    assert first.sent_at.utcoffset() == timedelta(hours=1)
    assert (second.message_id, second.mcc_mnc) == ("12db39c3-7822-4e72-a3ec-c87442c0ffc5", None)


async def test_code_written_for_notify_url_accepts_voice_reports(receiver: CallbackReceiver, connect: Connect) -> None:
    (one,) = documented("tts_reports_0.json", "voice")
    await connect(format="infobip").post(STREAM, [one], now_ms())
    (received,) = receiver.received
    (report,) = infobip_push.reports_of(received.headers["content-type"], received.body)
    assert report.message_id == "ff4804ef-6ab6-4abd-984d-ab3b1387e852"
    assert report.took == timedelta(seconds=13, milliseconds=588)
    assert report.start_time == datetime(2018, 6, 25, 13, 38, 15, tzinfo=UTC)
    assert (report.duration, report.file_duration, report.dtmf_codes) == (10, 19.3, "1")
    assert report.error == infobip_push.Error(0, "OK", 5000, "VOICE_ANSWERED", "Call answered by human", permanent=True)


async def test_the_same_reports_as_the_documents_show_them(receiver: CallbackReceiver, connect: Connect) -> None:
    """Nothing that stands in the example is missing in what is posted, or is spelt in another way."""
    for name, kind in (("sms_reports_0.json", "sms"), ("sms_reports_b3.json", "sms")):
        shown = json.loads((EXAMPLES / name).read_bytes())
        await connect(format="infobip", batch_size=100).post(Stream("acme", kind), documented(name, kind), now_ms())
        assert json.loads(receiver.received[-1].body) == shown


async def test_that_code_refuses_the_other_format(receiver: CallbackReceiver, connect: Connect) -> None:
    await connect(format="report").post(Stream("acme", "sms"), documented("sms_reports_0.json", "sms"), now_ms())
    (received,) = receiver.received
    with pytest.raises(infobip_push.Refused):
        infobip_push.reports_of(received.headers["content-type"], received.body)


async def test_a_batch_of_before_batch_size_became_1_is_still_a_batch(
    receiver: CallbackReceiver, connect: Connect
) -> None:
    members = [entry("a"), entry("b", seq=2)]
    before = await connect(batch_size=2).post(STREAM, members, now_ms())
    after = await connect(batch_size=1).post(STREAM, members, now_ms())
    assert (before.status, after.status) == (200, 200)
    first, again = receiver.received
    assert again.body == first.body
    assert again.message_ids == ("a", "b")
    assert again.webhook_id == first.webhook_id
    assert not [name for name in again.headers if name.startswith("ce-")]
