"""Values that Python's JSON types cannot carry unharmed, and numbers kept exact.

A float is trusted only if it has few enough digits to be exactly what was written; else the entry is parsed again from
its source, where such a number stays text (`ExactNumber`) and is written out as it came.
"""

import re
from decimal import Decimal, InvalidOperation
from typing import Any

import orjson

INTEGER_TEXT = re.compile(r"-?(?:0|[1-9]\d*)", re.ASCII)
_NUMBER_TEXT = re.compile(r"([+-]?)0*(\d*)(?:\.(\d*))?([eE][+-]?\d{1,4})?", re.ASCII)
_LONGEST_NUMBER = 320
"""A longer literal is kept as text: no consumer could read it as a number."""
_EXACT_DIGITS = 15
"""So many decimal digits survive a double unchanged, whatever they are."""
_MOST_FLOATS = 20_000

_short_floats: set[float] = set()


class Unconvertible(ValueError):
    """The value cannot become what its field is documented to hold."""


class Inexact(Exception):
    """The parsed entry may differ from what was received: parse it again from its source."""


class ExactNumber:
    """A number with more digits than a double or a 64-bit integer holds; written out as it was received."""

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text


class Source:
    """What JSON cannot carry (NaN, broken UTF-8, a lone surrogate, nesting without end), as its source text."""

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text


def written(value: Any) -> Any:
    """For orjson's `default`: how `ExactNumber` and `Source` go into JSON."""
    if isinstance(value, ExactNumber):
        return orjson.Fragment(value.text)
    if isinstance(value, Source):
        return value.text
    raise TypeError


def require_exact(value: float) -> None:
    """Raises `Inexact` for a float that may have lost digits when it was parsed."""
    if value not in _short_floats:
        if not _is_short(value):
            raise Inexact
        if len(_short_floats) >= _MOST_FLOATS:
            _short_floats.clear()
        _short_floats.add(value)


def literal(text: str) -> "int | float | ExactNumber | Source":
    """A JSON number literal, exact."""
    if len(text) > _LONGEST_NUMBER:
        return Source(text)
    if INTEGER_TEXT.fullmatch(text):
        whole = int(text)
        return whole if -(2**63) <= whole < 2**64 else ExactNumber(text)
    parsed = float(text)
    if parsed in {float("inf"), float("-inf")}:
        return Source(text)
    return parsed if _is_short(parsed) and _equal(text, parsed) else ExactNumber(text)


def number(value: Any) -> "int | float | ExactNumber":
    """A number, or a string that spells one, exact. Raises `Unconvertible`, or `Inexact` as `require_exact` does."""
    if isinstance(value, float):
        require_exact(value)
        return value
    if isinstance(value, ExactNumber) or (isinstance(value, int) and not isinstance(value, bool)):
        return value
    if isinstance(value, str):
        return _spelled(value.strip())
    raise Unconvertible


def _spelled(text: str) -> "int | float | ExactNumber":
    match = _NUMBER_TEXT.fullmatch(text) if len(text) <= _LONGEST_NUMBER else None
    if match is None or not any(character.isdigit() for character in text.partition("e")[0].partition("E")[0]):
        raise Unconvertible
    sign, whole, fraction, exponent = match.groups()
    parsed = literal(f"{sign.removeprefix('+')}{whole or '0'}{f'.{fraction}' if fraction else ''}{exponent or ''}")
    if isinstance(parsed, Source):
        raise Unconvertible
    return parsed


def _is_short(value: float) -> bool:
    if not -1e15 < value < 1e15:
        return False
    digits = repr(value).partition("e")[0].replace(".", "").replace("-", "").strip("0")
    return len(digits) <= _EXACT_DIGITS


def _equal(text: str, parsed: float) -> bool:
    try:
        return Decimal(text) == Decimal(repr(parsed))
    except InvalidOperation:  # an exponent beyond all bounds
        return False
