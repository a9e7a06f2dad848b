"""Which pushed bodies are refused unread: only what can hold no report."""

import pytest

from relay.domain.push import refusal

EMPTY = "the body is empty"
NOTHING = 'the body holds no reports: neither "results" nor a messageId is in it'


@pytest.mark.parametrize(
    "body",
    [
        b'{"results":[]}',
        b'\xef\xbb\xbf {"results" : [{"messageId":"1"}]}',
        b'{"results":[{"messageId":"1"',
        b'[{"messageId":"1"}]',
        b'{"messageId":"1"}',
        b"<reportResponse><results><result><messageId>1</messageId></result></results></reportResponse>",
        b"<reportResponse><results/></reportResponse>",
        b'<x:reportResponse xmlns:x="y"><x:results/></x:reportResponse>',
        b"<report><messageId>1</messageId></report>",
        "<reportResponse><results/></reportResponse>".encode("utf-16"),
        "<reportResponse><results/></reportResponse>".encode("utf-16-le"),
        '{"results":[]}'.encode("utf-16"),
        '{"results":[]}'.encode("utf-16-le"),
        '{"results":[]}'.encode("utf-16-be"),
        b"x" * 1_000_000 + b'{"results":[]}',
    ],
)
def test_what_may_hold_reports_is_taken(body: bytes) -> None:
    assert refusal(body) == ""


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", EMPTY),
        (b"\xef\xbb\xbf \r\n", EMPTY),
        (b"{}", NOTHING),
        (b"null", NOTHING),
        (b"<html><body>502 Bad Gateway</body></html>", NOTHING),
        (b"results=1&messageId=2", NOTHING),
        (b"\x89PNG\r\n\x1a\n", NOTHING),
        (b"\x1bX\x00\x00", NOTHING),
    ],
)
def test_what_can_hold_none_is_refused(body: bytes, reason: str) -> None:
    assert refusal(body) == reason
