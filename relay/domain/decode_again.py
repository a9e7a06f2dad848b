"""Quarantined bytes, decoded once more: a later version may read what an earlier one could not."""

import re

from relay.domain.decode import decode_body
from relay.domain.report import Decoded, Report

_XML_ENTRY = re.compile(rb"\s*+<(?:[\w.-]++:)?results?[\s/>]")
_BLANKS = b"\xef\xbb\xbf \t\r\n"


def decode_again(raw: bytes, *, kind: str, base_url: str) -> Decoded:
    """What is in these bytes now: they are one entry, part of a body, or a body as a whole."""
    return decode_body(_as_body(raw), kind=kind, base_url=base_url, complete=True)


def usable(decoded: Decoded) -> bool:
    return any(isinstance(entry, Report) for entry in decoded.entries)


def why_not_usable(decoded: Decoded) -> str:
    """Why there is no report in it."""
    reasons = [entry.reason for entry in decoded.entries if not isinstance(entry, Report)]
    return next(iter(reasons), "") or decoded.reason or "it holds no reports"


def _as_body(raw: bytes) -> bytes:
    """What was taken out of a collection is put into one again."""
    if _XML_ENTRY.match(raw):
        return b"<reports><results>%b</results></reports>" % raw
    if raw.lstrip(_BLANKS).startswith(b"{") and _is_entry(raw):
        return b'{"results":[%b]}' % raw
    return raw


def _is_entry(raw: bytes) -> bool:
    """In a body the collection comes before the first messageId."""
    results_at, message_id_at = raw.find(b'"results"'), raw.find(b'"messageId"')
    return results_at < 0 or 0 <= message_id_at < results_at
