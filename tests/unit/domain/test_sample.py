"""The sample is a report as its schema has it, and cannot be taken for a real one."""

from pathlib import Path

import jsonschema_rs
import orjson
import pytest

from relay.domain.report import EntryType, Origin
from relay.domain.sample import sample_entry

SCHEMAS = Path(__file__).parents[3] / "schemas"


@pytest.mark.parametrize(("kind", "schema"), [("sms", "report.sms"), ("voice", "report.voice"), ("email", "report")])
def test_it_is_valid(kind: str, schema: str) -> None:
    entry = sample_entry(kind, "ab12", 1_700_000_000_123)
    body = orjson.loads(entry.value)
    documents = [(SCHEMAS / f"{name}.json").read_text() for name in ("report", schema)]
    jsonschema_rs.validator_for(orjson.loads(documents[1])).validate(body)
    assert body["messageId"] == entry.message_id == "relay-test-ab12"
    assert body["doneAt"] == "2023-11-14T22:13:20.123+00:00"
    assert body["status"]["groupId"] == entry.status_group
    assert (entry.type, entry.revision, entry.origin) == (EntryType.REPORT, 1, Origin.POLL)
