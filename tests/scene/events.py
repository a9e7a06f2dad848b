"""Whether what was published is what the schemas say. No relay code: it is the judge."""

import json
from collections.abc import Iterable
from functools import cache
from pathlib import Path

import jsonschema_rs

from tests.kafka.reader import Read

SCHEMAS = Path(__file__).resolve().parents[2] / "schemas"


def validated(records: Iterable[Read]) -> list[Read]:
    """The records; raises ValidationError for the first whose value breaks the schema of its `ce_type`."""
    checked = list(records)
    for record in checked:
        event = json.loads(record.value)
        _, _, kind, noun, _ = record.headers["ce_type"].decode().split(".")
        for name in _names(kind, noun):
            _validator(name).validate(event)
    return checked


def _names(kind: str, noun: str) -> list[str]:
    """A report of SMS or voice keeps to the schema that all kinds share, too."""
    if noun != "report":
        return [noun]
    return ["report", f"report.{kind}"] if kind in {"sms", "voice"} else ["report"]


@cache
def _validator(name: str) -> jsonschema_rs.Draft202012Validator:
    schema = json.loads((SCHEMAS / f"{name}.json").read_text())
    return jsonschema_rs.Draft202012Validator(schema, validate_formats=True)
