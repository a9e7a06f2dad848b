"""Bodies of one-time endpoints into reports, by content and not by label. No input makes it fail.

A sound JSON body is parsed at once; an entry that needs more care is parsed again from its own bytes. A body that is
not sound, not whole, or so large that it should not be in memory twice, is taken apart entry by entry.
"""

import orjson

from relay.domain.identity import Unusable
from relay.domain.normalise import MOST_LEVELS, Normaliser, normaliser
from relay.domain.report import Decoded, Rejected, Report
from relay.domain.salvage import MOST_REJECTED, Piece, Salvage
from relay.domain.salvage_xml import XmlSalvage
from relay.domain.scan import elements, key_at, skip_blank, value_span
from relay.domain.source_text import Malformed, read_object
from relay.domain.values import Inexact

PARSED_WHOLE_BYTES = 4 * 1024 * 1024
"""Larger bodies are taken apart, so that the memory they need is that of their reports."""

_UTF16_MARKUP = (b"\xff\xfe<\x00", b"\xfe\xff\x00<")


def decode_body(body: bytes, *, kind: str, base_url: str, complete: bool) -> Decoded:
    """All reports of a body, normalised, in their order, and what could not be made into a report, with its bytes.

    `kind` decides which fields are documented; relative addresses are resolved against `base_url`. `complete` is
    False when the connection ended before the body did: then what is whole in it is saved.
    """
    made = normaliser(kind, base_url)
    if _is_markup(body):
        return _from_markup(body, kind, made)
    decoded = _parsed_whole(body, made) if complete and len(body) <= PARSED_WHOLE_BYTES else None
    return decoded or _taken_apart(body, made)


def estimate_entries(body: bytes) -> int:
    """About how many reports a body holds, without parsing it."""
    if _is_markup(body):
        return body.count(b"messageId>") // 2
    return body.count(b'"messageId"')


def _is_markup(body: bytes) -> bool:
    start = skip_blank(body, 0)
    return body[start : start + 1] == b"<" or body.startswith(_UTF16_MARKUP)


def _from_markup(body: bytes, kind: str, made: Normaliser) -> Decoded:
    salvage = XmlSalvage(body, kind=kind, most_levels=MOST_LEVELS)
    entries: list[Report | Rejected] = []
    salvage.read(lambda piece: entries.append(_from_piece(piece, made)))
    return Decoded(entries, salvage.complete, salvage.reason)


def _parsed_whole(body: bytes, made: Normaliser) -> Decoded | None:
    """The reports of a sound body with one `results` array; None if it is not that."""
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    results = document.get("results") if type(document) is dict else None
    if type(results) is not list or body.count(b'"results"') != 1:
        return None
    report = made.report
    entries: list[Report | Rejected] = []
    for entry in results:
        try:
            entries.append(report(entry) if type(entry) is dict else _NOT_AN_OBJECT)
        except (Inexact, Unusable):
            entries.append(_READ_AGAIN)
    again = [place for place, entry in enumerate(entries) if type(entry) is Rejected]
    if again:
        return _with_read_again(body, made, entries, again) if len(again) <= MOST_REJECTED else None
    return Decoded(entries, complete=True)


def _with_read_again(
    body: bytes, made: Normaliser, entries: list[Report | Rejected], again: list[int]
) -> Decoded | None:
    """The entries at these places are read once more, each from its own bytes."""
    sources = _sources(body)
    if len(sources) != len(entries):
        return None
    for place in again:
        entries[place] = _from_source(sources[place], made)
    return Decoded(entries, complete=True)


def _sources(body: bytes) -> list[bytes]:
    """The bytes of each element of the `results` array of a sound body."""
    position = skip_blank(body, 0) + 1
    while key := key_at(body, position):
        name, value_at = key
        if name == b'"results"':
            return [body[span.start : span.end] for span in elements(body, value_at + 1)]
        value = value_span(body, value_at)
        if value is None:
            break
        position = value.end
    return []


def _taken_apart(body: bytes, made: Normaliser) -> Decoded:
    salvage = Salvage(body, most_levels=MOST_LEVELS)
    entries = [_from_piece(piece, made) for piece in salvage.pieces()]
    return Decoded(entries, salvage.complete, salvage.reason)


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


_READ_AGAIN = Rejected("it was not read exactly", b"")
_NOT_AN_OBJECT = Rejected("not an object", b"")
