"""Decoding in one line, and events checked against their schema on the way."""

import json
from pathlib import Path
from typing import Any

import jsonschema_rs

from relay.domain.decode import decode_body
from relay.domain.report import Decoded, Rejected, Report

ROOT = Path(__file__).parents[3]
FIXTURES = ROOT / "tests" / "fixtures" / "infobip"
BASE_URL = "https://xyz.api.infobip.com"


def schema(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((ROOT / "schemas" / f"{name}.json").read_text())
    return loaded


def validator(name: str) -> jsonschema_rs.Draft202012Validator:
    return jsonschema_rs.Draft202012Validator(schema(name), validate_formats=True)


_VALIDATORS = {
    "sms": validator("report.sms"),
    "voice": validator("report.voice"),
    "email": validator("report"),
}
_SHARED = validator("report")


def decode(body: bytes | str, *, kind: str = "sms", base_url: str = BASE_URL, complete: bool = True) -> Decoded:
    """Decode, and hold every event that comes out against its schema."""
    raw = body.encode() if isinstance(body, str) else body
    decoded = decode_body(raw, kind=kind, base_url=base_url, complete=complete)
    for entry in decoded.entries:
        if isinstance(entry, Report):
            event = strict_json(entry.value)
            _SHARED.validate(event)
            _VALIDATORS[kind].validate(event)
            assert event["messageId"] == entry.message_id
    return decoded


def event(members: str, *, kind: str = "sms", base_url: str = BASE_URL) -> dict[str, Any]:
    """The one event of a body whose report is ``{"messageId":"m1", <members>}``, without its messageId."""
    body = '{"results":[{"messageId":"m1"%s}]}' % (f",{members}" if members else "")
    value = strict_json(reports(decode(body, kind=kind, base_url=base_url))[0].value)
    assert value.pop("messageId") == "m1"
    return value


def reports(decoded: Decoded) -> list[Report]:
    return [entry for entry in decoded.entries if isinstance(entry, Report)]


def rejected(decoded: Decoded) -> list[Rejected]:
    return [entry for entry in decoded.entries if isinstance(entry, Rejected)]


def ids(decoded: Decoded) -> list[str]:
    return [report.message_id for report in reports(decoded)]


def strict_json(value: bytes) -> dict[str, Any]:
    """As a strict consumer reads it: UTF-8, no NaN, no infinities, no duplicate keys."""

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        assert len({key for key, _ in pairs}) == len(pairs)
        return dict(pairs)

    def refuse(constant: str) -> Any:
        raise AssertionError(constant)

    loaded: dict[str, Any] = json.loads(value.decode("utf-8"), parse_constant=refuse, object_pairs_hook=unique)
    return loaded
