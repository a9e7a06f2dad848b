"""schemas/asyncapi.yaml describes the topics and records that the relay makes, and nothing else."""

import json
from collections.abc import Iterator
from typing import Any

import jsonschema_rs
import pytest
from ruamel.yaml import YAML

from relay.config import KafkaConfig
from relay.domain.envelope import KafkaRecord, StreamEnvelope, quarantine_value
from relay.domain.recordings import StoredRecording, recording_value
from relay.domain.report import Entry, EntryType, Origin, Stream
from relay.sinks.kafka import topics_of
from tests.unit.domain.events import ROOT

DOCUMENT: dict[str, Any] = YAML(typ="safe").load(ROOT / "schemas" / "asyncapi.yaml")
KAFKA = KafkaConfig(bootstrap_servers="localhost")
REPORT = b'{"messageId":"m-1","status":{"groupId":3,"id":5}}'
RECORDING = recording_value("acme", "m-1", StoredRecording("acme/2018/06/25/m-1.wav", 160_044, "0" * 64, 10.0))


def resolved(node: Any) -> Any:
    """`node`, or what its reference means: a part of the document, or a schema beside it."""
    if not isinstance(node, dict) or "$ref" not in node:
        return node
    file, _, pointer = node["$ref"].partition("#/")
    if file:
        return json.loads((ROOT / "schemas" / file).read_text())
    target: Any = DOCUMENT
    for key in pointer.split("/"):
        target = target[key]
    return target


def references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if "$ref" in node:
            yield node["$ref"]
        for value in node.values():
            yield from references(value)
    elif isinstance(node, list):
        for value in node:
            yield from references(value)


def made(kind: str, type_: EntryType, value: bytes, *, revision: int = 1) -> KafkaRecord:
    stream = Stream("acme", kind)
    envelope = StreamEnvelope(stream, "j-1", topics_of(KAFKA, kind), revisions_inline=False)
    message_id = "" if type_ is EntryType.QUARANTINE else "m-1"
    return envelope.records([Entry(7, type_, message_id, revision, Origin.PUSH, 1_423_731_500_323, 3, value)])[0]


RECORDS = [
    ("smsReports", made("sms", EntryType.REPORT, REPORT)),
    ("smsReports", made("sms", EntryType.COMPLETION, REPORT, revision=2)),
    ("smsRevisions", made("sms", EntryType.REVISION, REPORT, revision=3)),
    ("voiceReports", made("voice", EntryType.REPORT, REPORT)),
    ("voiceRevisions", made("voice", EntryType.REVISION, REPORT, revision=2)),
    ("voiceRecordings", made("voice", EntryType.RECORDING, RECORDING)),
    ("reports", made("email", EntryType.REPORT, REPORT)),
    ("revisions", made("email", EntryType.REVISION, REPORT, revision=2)),
    ("quarantine", made("sms", EntryType.QUARANTINE, quarantine_value(Stream("acme", "sms"), "x", 0, None, b"y"))),
]


def message_of(channel: str) -> dict[str, Any]:
    (message,) = DOCUMENT["channels"][channel]["messages"].values()
    found: dict[str, Any] = resolved(message)
    return found


def headers_of(record: KafkaRecord) -> dict[str, str]:
    return {name: value.decode() for name, value in record.headers}


def headers_validator(channel: str) -> jsonschema_rs.Validator:
    schema = resolved(message_of(channel)["headers"])
    return jsonschema_rs.validator_for({**schema, "components": DOCUMENT["components"]}, validate_formats=True)


@pytest.mark.parametrize(("channel", "record"), RECORDS, ids=[f"{name}-{one.seq}" for name, one in RECORDS])
def test_a_record_is_as_described(channel: str, record: KafkaRecord) -> None:
    kind = headers_of(record)["ce_source"].rpartition("/")[2]
    assert DOCUMENT["channels"][channel]["address"].replace("{kind}", kind) == record.topic
    message = message_of(channel)
    headers_validator(channel).validate(headers_of(record))
    payload = resolved(message["payload"]["schema"])
    jsonschema_rs.Draft202012Validator(payload, validate_formats=True).validate(json.loads(record.value))
    key = resolved(message["bindings"]["kafka"])["key"]
    jsonschema_rs.Draft202012Validator(key).validate(record.key.decode())
    assert message["name"].replace("{kind}", kind) == headers_of(record)["ce_type"]
    assert message["contentType"] == headers_of(record)["content-type"]


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("ce_specversion", "0.3"),
        ("ce_type", "com.infobip.sms.quarantine.v1"),
        ("ce_source", "acme/sms"),
        ("ce_time", "2015-02-12T09:58:20+01:00"),
        ("ce_origin", "guess"),
        ("relay_seq", "0"),
        ("relay_page", "1"),
    ],
)
def test_other_headers_are_not(header: str, value: str) -> None:
    headers = headers_of(RECORDS[0][1])
    assert not headers_validator("smsReports").is_valid({**headers, header: value})


def test_every_header_is_always_there() -> None:
    headers = headers_of(RECORDS[0][1])
    for missing in headers:
        left = {name: value for name, value in headers.items() if name != missing}
        assert not headers_validator("smsReports").is_valid(left)


def test_every_channel_has_records_and_one_operation() -> None:
    assert {channel for channel, _ in RECORDS} == set(DOCUMENT["channels"])
    sent = [operation["channel"]["$ref"] for operation in DOCUMENT["operations"].values()]
    assert sorted(sent) == sorted(f"#/channels/{name}" for name in DOCUMENT["channels"])
    assert {operation["action"] for operation in DOCUMENT["operations"].values()} == {"send"}


def test_it_is_an_asyncapi_document() -> None:
    assert DOCUMENT["asyncapi"] == "3.0.0"
    assert set(DOCUMENT) == {"asyncapi", "info", "defaultContentType", "channels", "operations", "components"}
    assert {"title", "version", "description"} == set(DOCUMENT["info"])
    for channel in DOCUMENT["channels"].values():
        assert set(channel) - {"parameters"} == {"address", "title", "description", "messages"}
        assert ("{kind}" in channel["address"]) == ("parameters" in channel)
    for operation in DOCUMENT["operations"].values():
        assert set(operation) == {"action", "channel", "summary"}
    for message in DOCUMENT["components"]["messages"].values():
        assert set(message) == {"name", "title", "contentType", "headers", "payload", "bindings"}
        assert message["payload"]["schemaFormat"] == "application/schema+json;version=draft-2020-12"


def test_every_reference_leads_somewhere_and_every_component_is_used() -> None:
    used = set(references(DOCUMENT))
    assert all(resolved({"$ref": reference}) for reference in used)
    components = DOCUMENT["components"]
    named = {f"#/components/{section}/{name}" for section in components for name in components[section]}
    assert named == {reference for reference in used if reference.startswith("#/components/")}


def test_every_event_schema_is_referred_to() -> None:
    files = {path.name for path in (ROOT / "schemas").glob("*.json")} - {"config.json"}
    assert files == {reference for reference in references(DOCUMENT) if reference.endswith(".json")}
