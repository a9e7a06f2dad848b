"""Bodies and headers of callbacks, read by the libraries and programs that they are made for."""

import json

from cloudevents.core.bindings.http import HTTPMessage, from_binary
from cloudevents.core.formats.json import JSONFormat
from standardwebhooks.webhooks import Webhook

from relay.domain.report import EntryType, Origin, Stream
from tests.receivers.callback import CallbackReceiver
from tests.unit.sinks.callback_rig import SECRET, STREAM, Connect, entry, now_ms


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
        entry("b", revision=2)._replace(origin=Origin.LOGS),
        entry("c")._replace(received_at_ms=1_700_000_001_000),
    ]
    for one in entries:
        await callback.post(STREAM, [one], now_ms())
    await callback.post(Stream("acme", "sms"), [entries[0]], now_ms())
    assert [
        tuple(received.headers[f"ce-{name}"] for name in ("id", "time", "origin", "source", "type"))
        for received in receiver.received
    ] == [
        ("a", "2023-11-14T22:13:20.123Z", "poll", "/acme/voice", "com.infobip.voice.report.v1"),
        ("b", "2023-11-14T22:13:20.123Z", "poll", "/acme/voice", "com.infobip.voice.report.v1"),
        ("b#2", "2023-11-14T22:13:20.123Z", "logs", "/acme/voice", "com.infobip.voice.report.v1"),
        ("c", "2023-11-14T22:13:21.000Z", "poll", "/acme/voice", "com.infobip.voice.report.v1"),
        ("a", "2023-11-14T22:13:20.123Z", "poll", "/acme/sms", "com.infobip.sms.report.v1"),
    ]


async def test_the_next_attempt_has_the_same_id_and_body_and_a_new_timestamp(
    receiver: CallbackReceiver, connect: Connect
) -> None:
    callback = connect(secrets=[SECRET])
    at_ms = now_ms()
    await callback.post(STREAM, [entry()], at_ms - 60_000)
    await callback.post(STREAM, [entry()], at_ms)
    first, second = receiver.received
    assert first.webhook_id == second.webhook_id
    assert first.body == second.body
    assert first.headers["ce-id"] == second.headers["ce-id"]
    assert int(second.headers["webhook-timestamp"]) - int(first.headers["webhook-timestamp"]) == 60
    assert first.headers["webhook-signature"] != second.headers["webhook-signature"]


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
