"""Where values begin and end in JSON text that may be malformed or cut: only strings and brackets are looked at.

Iterative and linear: possessive patterns never try anything twice, and nesting costs a counter.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

_STRING = rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"'
_PLAIN = rb'[^"{}\[\]]++|' + _STRING
_FLAT = rb"[{\[](?:" + _PLAIN + rb")*+[}\]]"
_WHOLE_FLAT = re.compile(_FLAT, re.DOTALL)
_TO_BRACKETS = re.compile(rb"(?:" + _PLAIN + rb"|(" + _FLAT + rb"))*+([{\[]++|[}\]]++)", re.DOTALL)
"""Up to and with the next run of brackets; what is closed again without nesting is passed over (and captured)."""
_TO_SEPARATOR = re.compile(rb'(?:[^"{}\[\],]++|' + _STRING + rb")*+(?=[{}\[\],])", re.DOTALL)
_MEMBER_START = re.compile(rb"[\s,]*+(" + _STRING + rb")\s*+:\s*+", re.DOTALL)
_BLANK = re.compile(rb"(?:\xef\xbb\xbf)?\s*+")
_BETWEEN = re.compile(rb"[\s,]*+")
_OPENING = b"{["
MOST_RUNS = 1024 * 1024
"""A value with more runs of brackets is not followed to its end: it takes half a second already."""


class Span(NamedTuple):
    """``body[start:end]`` is one value; `levels` is how deep it nests, 0 for a scalar."""

    start: int
    end: int
    levels: int


class Member(NamedTuple):
    """A member of an object: its key as written, with quotes, and its value."""

    start: int
    key: bytes
    value: Span


def value_span(body: bytes, start: int) -> Span | None:
    """The value at `start`; None if it does not end, within `MOST_RUNS`. Brackets are counted, not matched by kind."""
    if body[start : start + 1] not in {b"{", b"["}:
        scalar = _TO_SEPARATOR.match(body, start)
        return Span(start, start + len(scalar[0].rstrip()), 0) if scalar else None
    if flat := _WHOLE_FLAT.match(body, start):
        return Span(start, flat.end(), 1)
    depth = levels = runs = 0
    position = start
    while runs < MOST_RUNS and (brackets := _TO_BRACKETS.match(body, position)):
        if brackets.start(1) >= 0:
            levels = max(levels, depth + 1)
        run, position = brackets.span(2)
        count = position - run
        if body[run] in _OPENING:
            depth += count
            levels = max(levels, depth)
        elif count >= depth:
            return Span(start, run + depth, levels)
        else:
            depth -= count
        runs += 1
    return None


def may_exceed(body: bytes, start: int) -> bool:
    """Whether there are so many brackets that a value at `start` may be one that is not followed to its end."""
    return len(body) - start > MOST_RUNS and sum(body.count(bracket, start) for bracket in b"{}[]") > MOST_RUNS


def member_at(body: bytes, position: int) -> Member | None:
    """The next whole member of an object, `position` being after its brace or after a member."""
    key = _MEMBER_START.match(body, position)
    value = value_span(body, key.end()) if key else None
    return Member(key.start(1), key[1], value) if key and value else None


def key_at(body: bytes, position: int) -> tuple[bytes, int] | None:
    """The key of the next member and where its value begins."""
    key = _MEMBER_START.match(body, position)
    return (key[1], key.end()) if key else None


def members(source: bytes) -> Iterator[Member]:
    """The whole members of the object that `source` is."""
    position = skip_blank(source, 0) + 1
    while member := member_at(source, position):
        yield member
        position = member.value.end


def elements(body: bytes, position: int) -> Iterator[Span]:
    """The elements of a well-formed array, `position` being after its bracket."""
    while True:
        position = skip_between(body, position)
        element = None if body[position : position + 1] == b"]" else value_span(body, position)
        if element is None or element.end == position:
            return
        yield element
        position = element.end


def skip_between(body: bytes, position: int) -> int:
    """Past blanks and commas."""
    between = _BETWEEN.match(body, position)
    return between.end() if between else position


def skip_blank(body: bytes, position: int) -> int:
    """Past blanks and a byte order mark."""
    blank = _BLANK.match(body, position)
    return blank.end() if blank else position
