"""Quarantined bytes are read as what they are: an entry, a part of a body, or a body."""

import pytest

from relay.domain.decode_again import decode_again, usable, why_not_usable
from relay.domain.report import Report

ENTRY = b'{"messageId":"1","status":{"id":5}}'


def message_ids(raw: bytes) -> list[str | None]:
    decoded = decode_again(raw, kind="sms", base_url="https://x.example")
    return [entry.message_id if isinstance(entry, Report) else None for entry in decoded.entries]


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (ENTRY, ["1"]),
        (b"\r\n " + ENTRY, ["1"]),
        (ENTRY + b"," + ENTRY.replace(b'"1"', b'"2"'), ["1", "2"]),
        (b'{"messageId":"1","results":[{"messageId":"2"}]}', ["1"]),
        (b'{"results":[' + ENTRY + b',{"x":1}]}', ["1", None]),
        (b'{"bulkId":"b","results":[' + ENTRY + b"]}", ["1"]),
        (b"[" + ENTRY + b"]", ["1"]),
        (b"<result><messageId>1</messageId></result>", ["1"]),
        (b" <x:results><messageId>1</messageId></x:results>", ["1"]),
        (b"<r><results><result><messageId>1</messageId></result></results></r>", ["1"]),
    ],
)
def test_what_is_usable_now(raw: bytes, expected: list[str | None]) -> None:
    assert message_ids(raw) == expected


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b'{"messageId":""}', "messageId is empty"),
        (b'{"messageId":"1","sta', "the body ends in the middle of an entry"),
        (b'{"messageId":"","results":[{"messageId":"2"}]}', "messageId is empty"),
        (b"<result><messageId></messageId></result>", "messageId is empty"),
        (b"<html>x</html>", "no results collection"),
        (b'{"results":[]}', "it holds no reports"),
        (b"", "the body is empty"),
    ],
)
def test_what_still_is_not(raw: bytes, reason: str) -> None:
    decoded = decode_again(raw, kind="sms", base_url="https://x.example")
    assert not usable(decoded)
    assert why_not_usable(decoded) == reason
