"""One JSON object, read tolerantly from its source: what `orjson` refuses for one bad value is saved around that value.

Takes NaN and infinities, lone surrogates, invalid UTF-8, raw control characters in strings, numbers of any size and any
nesting; gives `Source` or `ExactNumber` for what Python's or JSON's own types cannot carry. Bounded: each byte is read
a fixed number of times, and nesting is cut before anything recurses.
"""

import json
import re
from typing import Any

from relay.domain.scan import members, value_span
from relay.domain.values import Source, literal

_SURROGATE = re.compile("[\ud800-\udfff]")


NOT_AN_OBJECT = "not an object"


class Malformed(ValueError):
    """It is no JSON object, however tolerantly read."""


def read_object(source: bytes, *, most_levels: int) -> dict[str, Any]:
    """The object with all its members; a member that makes it nest deeper than `most_levels` is a `Source`.

    Of duplicate keys the last wins. Raises `Malformed` with the reason.
    """
    deep: dict[str, Any] = {}
    span = value_span(source, 0)
    if span is not None and span.levels > most_levels:
        source, deep = _without_deep_members(source, most_levels)
    value = _decoded(source)
    if not isinstance(value, dict):
        raise Malformed(NOT_AN_OBJECT)
    return {**_carried(value), **deep}


def source_text(source: bytes) -> str:
    """Bytes as text, with ``\\xe9`` for each that is not UTF-8."""
    return source.decode("utf-8", "backslashreplace")


def _decoded(source: bytes) -> Any:
    try:
        return _DECODER.decode(source.decode("utf-8", "surrogateescape"))
    except (ValueError, RecursionError) as error:
        raise Malformed(f"not valid JSON: {error}") from None


def _without_deep_members(source: bytes, most_levels: int) -> tuple[bytes, dict[str, Any]]:
    deep: dict[str, Any] = {}
    shallow: list[bytes] = []
    for member in members(source):
        key = _carried(_decoded(member.key))
        name = key.text if isinstance(key, Source) else key
        if member.value.levels >= most_levels:
            deep[name] = Source(source_text(source[member.value.start : member.value.end]))
        else:
            deep.pop(name, None)
            shallow.append(source[member.start : member.value.end])
    return b"{%b}" % b",".join(shallow), deep


def _carried(value: Any) -> Any:
    """The value with `Source` for every string that UTF-8 cannot carry."""
    if isinstance(value, str):
        return Source(_SURROGATE.sub(_shown, value)) if _SURROGATE.search(value) else value
    if isinstance(value, list):
        return [_carried(item) for item in value]
    if isinstance(value, dict):
        return {_SURROGATE.sub(_shown, key): _carried(item) for key, item in value.items()}
    return value


def _shown(surrogate: re.Match[str]) -> str:
    """A lone surrogate as its escape; a byte that was not UTF-8 as ``\\xe9``."""
    code = ord(surrogate[0])
    return f"\\x{code - 0xDC00:02x}" if 0xDC80 <= code <= 0xDCFF else f"\\u{code:04x}"


_DECODER = json.JSONDecoder(strict=False, parse_float=literal, parse_int=literal, parse_constant=Source)
