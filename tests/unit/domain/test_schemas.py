"""The JSON Schemas of the events: sound, in step with one another, and neither too lax nor too strict."""

import json
from pathlib import Path

import jsonschema_rs
import pytest

from relay.domain.envelope import quarantine_value, without_bytes
from relay.domain.fields import GROUPS, documented_fields
from relay.domain.recordings import StoredRecording, recording_path, recording_value
from relay.domain.report import Stream
from tests.unit.domain.events import ROOT, schema, validator

REPORTS = ["report", "report.sms", "report.voice"]
SCHEMAS = [*REPORTS, "quarantine", "recording"]
EXAMPLES = sorted(path for name in SCHEMAS for path in (ROOT / "schemas" / "examples" / name).glob("*/*.json"))


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_schema_is_valid_and_says_what_things_are(name: str) -> None:
    loaded = schema(name)
    jsonschema_rs.meta.validate(loaded)
    assert loaded["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    for member, definition in loaded["properties"].items():
        target = loaded["$defs"][definition["$ref"].rpartition("/")[2]] if "$ref" in definition else definition
        assert definition.get("description", target.get("description")), member


def test_titles_name_the_documented_types() -> None:
    titles = ["Report", "SMSReport", "VoiceReport", "QuarantineEntry", "Recording"]
    assert [schema(name)["title"] for name in SCHEMAS] == titles


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: f"{path.parts[-3]}-{path.parts[-2]}-{path.stem}")
def test_examples(path: Path) -> None:
    name, expected = path.parts[-3], path.parts[-2] == "valid"
    assert validator(name).is_valid(json.loads(path.read_text())) is expected


def test_every_schema_has_examples_of_both_sorts() -> None:
    sorts = {(path.parts[-3], path.parts[-2]) for path in EXAMPLES}
    assert sorts == {(name, sort) for name in SCHEMAS for sort in ("valid", "invalid")}


def test_what_the_schemas_share_is_the_same_in_each() -> None:
    shared = schema("report")
    for name in REPORTS[1:]:
        special = schema(name)
        assert special["$defs"] == shared["$defs"]
        assert shared["properties"].items() <= special["properties"].items()


def test_every_documented_field_is_in_a_schema_and_the_other_way() -> None:
    def members(name: str) -> set[str]:
        return set(schema(name)["properties"]) - {"messageId", "unparsed"}

    assert members("report") == set(documented_fields("email"))
    assert members("report.sms") | members("report.voice") == set(documented_fields("sms"))
    for group, fields in GROUPS.items():
        assert set(schema("report")["$defs"][group]["properties"]) == set(fields)


@pytest.mark.parametrize("raw", [b"", b"\x00\xff", b"x" * 100_000])
def test_quarantine_entries_are_valid(raw: bytes) -> None:
    value = quarantine_value(Stream("acme", "sms"), "no messageId", 1_423_731_500_323, 42, raw)
    for made in (value, without_bytes(value), quarantine_value(Stream("acme", "sms"), "refused", 0, None, raw)):
        validator("quarantine").validate(json.loads(made))


@pytest.mark.parametrize("message_id", ["ff4804ef-6ab6", "../../etc/passwd", "A b", "..", "x" * 256, "ž" * 256])
def test_announced_recordings_are_valid(message_id: str) -> None:
    path = recording_path("acme", "2018-06-25", message_id)
    stored = StoredRecording(path, 160_044, "0" * 64, 10.0)
    validator("recording").validate(json.loads(recording_value("acme", message_id, stored)))
