"""Bodies of one-time endpoints into reports, by content and not by label. No input makes it fail.

The entries of a sound JSON body are found at once, and most of them are as usual; one that is not is parsed with more
care from its own bytes. A body that is not sound, not whole, or large, is taken apart entry by entry.
"""

import orjson
from msgspec import Raw

from relay.domain.identity import Unusable
from relay.domain.normalise import MOST_LEVELS, Normaliser, normaliser
from relay.domain.report import Decoded, Rejected, Report
from relay.domain.salvage import MOST_REJECTED, Piece, Salvage
from relay.domain.salvage_xml import XmlSalvage
from relay.domain.scan import skip_blank
from relay.domain.source_text import NOT_AN_OBJECT, Malformed, read_object
from relay.domain.usual import Unusual, Usual, raw_results, usual
from relay.domain.values import Inexact

PARSED_WHOLE_BYTES = 4 * 1024 * 1024
"""Larger bodies are taken apart, so that the memory they need is that of their reports."""

_UTF16_MARKUP = (b"\xff\xfe<\x00", b"\xfe\xff\x00<")
_UTF16_JSON = {b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16", b"{\x00": "utf-16-le", b"\x00{": "utf-16-be"}
"""By the first two bytes: JSON begins with an ASCII character."""


def decode_body(body: bytes, *, kind: str, base_url: str, complete: bool) -> Decoded:
    """All reports of a body, normalised, in their order, and what could not be made into a report, with its bytes.

    `kind` decides which fields are documented; relative addresses are resolved against `base_url`. `complete` is
    False when the connection ended before the body did: then what is whole in it is saved.
    """
    decoded = decode_usual(body, kind=kind, base_url=base_url, complete=complete)
    return decoded or decode_unusual(body, kind=kind, base_url=base_url, complete=complete)


def decode_usual(body: bytes, *, kind: str, base_url: str, complete: bool) -> Decoded | None:
    """As `decode_body` if every entry is as usual, in a few microseconds each; None, and that soon, if not."""
    known = usual(kind, base_url) if complete and len(body) <= PARSED_WHOLE_BYTES else None
    if known is None or body.count(b'"results"') != 1:
        return None
    reports = known.reports(body)
    return Decoded([*reports], complete=True) if reports is not None else None


def decode_unusual(body: bytes, *, kind: str, base_url: str, complete: bool) -> Decoded:
    """As `decode_body`, of what `decode_usual` declined; an entry may take some hundred microseconds."""
    made = normaliser(kind, base_url)
    if is_markup(body):
        return _from_markup(body, kind, made)
    known = usual(kind, base_url)
    if body[:2] in _UTF16_JSON:
        body = _as_utf8(body)
    decoded = _parsed_whole(body, known, made) if complete and len(body) <= PARSED_WHOLE_BYTES else None
    return decoded or _taken_apart(body, known, made)


def estimate_entries(body: bytes) -> int:
    """About how many reports a body holds, without parsing it."""
    if is_markup(body):
        return body.count(b"messageId>") // 2
    return body.count(b'"messageId"')


def is_markup(body: bytes) -> bool:
    """Whether it is XML, or at least no JSON."""
    start = skip_blank(body, 0)
    return body[start : start + 1] == b"<" or body.startswith(_UTF16_MARKUP)


def _as_utf8(body: bytes) -> bytes:
    """The body, in UTF-8 if it is reports in UTF-16; what is none stays as received."""
    text = body.decode(_UTF16_JSON[body[:2]], "replace").encode()
    return text if b'"results"' in text else body


def _from_markup(body: bytes, kind: str, made: Normaliser) -> Decoded:
    salvage = XmlSalvage(body, kind=kind, most_levels=MOST_LEVELS)
    entries: list[Report | Rejected] = []
    salvage.read(lambda piece: entries.append(_from_piece(piece, made)))
    return Decoded(entries, salvage.complete, salvage.reason)


def _parsed_whole(body: bytes, known: Usual | None, made: Normaliser) -> Decoded | None:
    """The reports of a sound body with one `results` array; None if it is not that."""
    if body.count(b'"results"') != 1:
        return None
    raws = raw_results(body)
    if raws is None:
        return None
    # Entries of one body are of one generation of the API: if the first is not usual, trying them all is a waste.
    known = known if known is not None and raws and known.takes(raws[0]) else None
    entries: list[Report | Rejected] = []
    rejected = 0
    for raw in raws:
        entry = _from_raw(raw, known, made)
        rejected += type(entry) is Rejected
        if rejected > MOST_REJECTED:
            return None
        entries.append(entry)
    return Decoded(entries, complete=True)


def _taken_apart(body: bytes, known: Usual | None, made: Normaliser) -> Decoded:
    salvage = Salvage(body, most_levels=MOST_LEVELS)
    entries = [
        Rejected(reason, raw) if entry is None else _from_raw(raw, known, made)
        for raw, entry, reason in salvage.pieces()
    ]
    return Decoded(entries, salvage.complete, salvage.reason)


def _from_raw(raw: Raw | bytes, known: Usual | None, made: Normaliser) -> Report | Rejected:
    """The same report whichever way the body was read."""
    if known is not None:
        try:
            return known.report(raw)
        except Unusual:
            pass
    source = bytes(raw)
    try:
        entry = orjson.loads(source)
        return made.report(entry) if type(entry) is dict else Rejected(NOT_AN_OBJECT, source)
    except (orjson.JSONDecodeError, Inexact, Unusable):
        return _from_source(source, made)


def _from_piece(piece: Piece, made: Normaliser) -> Report | Rejected:
    raw, entry, reason = piece
    if entry is None:
        return Rejected(reason, raw)
    try:
        return made.report(entry)
    except Unusable as error:
        return Rejected(str(error), raw)
    except Inexact:
        return _from_source(raw, made)


def _from_source(raw: bytes, made: Normaliser) -> Report | Rejected:
    """Read exactly, digit by digit; slow."""
    try:
        return made.report(read_object(raw, most_levels=MOST_LEVELS))
    except (Malformed, Unusable) as error:
        return Rejected(str(error), raw)
    except Inexact:
        return Rejected("it cannot be read exactly", raw)
