"""The entries of a JSON body that is malformed, cut, or large: each on its own, so that one bad one harms no other.

Where an entry cannot be read, reading goes on at the next place where a whole report begins. Effort is bounded: looking
for such places may cost a few times the body's length, then the rest is given up in one piece.
"""

import re
from collections.abc import Generator, Iterator
from typing import Any, NamedTuple

import orjson

from relay.domain.scan import Span, key_at, may_exceed, skip_between, skip_blank, value_span
from relay.domain.source_text import NOT_AN_OBJECT, Malformed, read_object

MOST_REJECTED = 10_000
"""After so many unreadable entries the rest of a body is kept in one piece."""
MOST_ENTRY_BYTES = 8 * 1024 * 1024
"""No broker takes a record of that size; parsing it would need many times its memory."""
TOO_LARGE = "an entry is larger than 8 MiB"
_NO_END = "it does not end"
_NO_NEAR_END = "it does not end within a million brackets"
_SPENT = "not looked at: too much before it cannot be read"

_NEXT_OBJECT = re.compile(rb'[},][\s,]*+(\{\s*+"\w++"\s*+:)')
"""Behind a comma a brace begins an element of an array, not a member: nothing nested in a broken report is mistaken."""
_ANY_OBJECT = re.compile(rb'(\{\s*+"\w++"\s*+:)')
_RESULTS_ANYWHERE = re.compile(rb'"results"\s*+:\s*+(?=[\[{])')
_BLANKS = re.compile(rb"\s++")
_EFFORT = 4


class Piece(NamedTuple):
    """One entry as received; `entry` is what it says, or None if it is no object, with the reason."""

    raw: bytes
    entry: dict[str, Any] | None
    reason: str = ""


Pieces = Generator[Piece, None, int]
"""Yields what it finds; returns the position after it, -1 if the body ended or was given up before."""


class Salvage:
    """Iterate over `pieces` first; then `complete` and `reason` say how the body as a whole was."""

    def __init__(self, body: bytes, *, most_levels: int) -> None:
        self._body = body
        self._most_levels = most_levels
        self._budget = _EFFORT * len(body) + 65536
        self._rejected = 0
        self._collections = 0
        self._damage = ""
        self._remark = ""

    @property
    def complete(self) -> bool:
        """A whole `results` collection was read, and nothing of another was missing."""
        return self._collections > 0 and not self._damage

    @property
    def reason(self) -> str:
        return self._damage or self._remark

    def pieces(self) -> Iterator[Piece]:
        """Every entry of every `results` collection, and what else was found that is not blank."""
        position = skip_blank(self._body, 0)
        if position >= len(self._body):
            self._damage = "the body is empty"
        elif self._at(position) == b"[":
            position = yield from self._array(position + 1)
            self._damage = self._damage or "an array without results around it"
            yield from self._rest(position)
        else:
            position = yield from self._documents(position)
            yield from self._rest(position) if self._collections else self._without_results()

    def _documents(self, position: int) -> Pieces:
        """One JSON document, or several one after another."""
        while position >= 0 and self._at(position) == b"{":
            position = yield from self._members(position + 1)
            if position >= 0:
                position = skip_between(self._body, position)
                if self._at(position) != b"}":
                    break
                position = skip_blank(self._body, position + 1)
        return position

    def _members(self, position: int) -> Pieces:
        """The members of the outermost object; those that are not `results` are passed over."""
        while position >= 0 and (key := key_at(self._body, position)):
            name, value_at = key
            if name == b'"results"':
                position = yield from self._collection(value_at)
                continue
            value = value_span(self._body, value_at)
            if value is None or value.end == value_at:
                return position
            position = value.end
        return position

    def _collection(self, position: int) -> Pieces:
        """The value of `results`: an array, one object in its stead, or null."""
        self._collections += 1
        opening = self._at(position)
        if opening == b"[":
            return (yield from self._array(position + 1))
        if opening == b"{":
            return (yield from self._element(position))
        return (yield from self._no_collection(position))

    def _no_collection(self, position: int) -> Pieces:
        value = value_span(self._body, position)
        if value is None:
            self._damage = "the body ends before its results do"
            return -1
        raw = self._body[position : value.end]
        if raw == b"null":
            self._remark = "results is null"
            return value.end
        self._damage = "results is neither an array nor an object"
        if raw:
            yield self._lost(raw, self._damage)
        return value.end

    def _array(self, position: int) -> Pieces:
        while True:
            position = skip_between(self._body, position)
            if position >= len(self._body):
                self._damage = "the body ends before its results do"
                return -1
            if self._at(position) == b"]":
                return position + 1
            position = yield from self._element(position)
            if position < 0:
                return -1

    def _element(self, position: int) -> Pieces:
        """One entry. If it cannot be read: up to where the next report begins, or to its end if none begins in it."""
        if self._rejected >= MOST_REJECTED:
            return (yield from self._given_up(position, "too many entries that cannot be read"))
        spent = self._budget <= 0
        span = self._span(position)
        piece = self._read(span) if span else Piece(b"", None, _SPENT if spent else self._without_end(position))
        if span and piece.entry is not None:
            self._rejected += "messageId" not in piece.entry
            yield piece
            return span.end
        sound = piece.reason == NOT_AN_OBJECT
        limit = span.end if span else len(self._body)
        following = -1 if sound else self._next_report(position, limit, _NEXT_OBJECT)
        if span is None and following < 0:
            reason = "the body ends in the middle of an entry" if piece.reason == _NO_END else piece.reason
            return (yield from self._given_up(position, reason))
        end = following if span is None or following >= 0 else span.end
        yield self._lost(self._body[position:end].rstrip(b", \t\r\n"), piece.reason)
        return end

    def _without_end(self, position: int) -> str:
        """Why no end of the value at `position` is found."""
        return _NO_NEAR_END if may_exceed(self._body, position) else _NO_END

    def _next_report(self, start: int, end: int, pattern: re.Pattern[bytes]) -> int:
        """Where a whole object with a messageId begins; -1 if none does, or the effort is spent."""
        for candidate in pattern.finditer(self._body, start, end):
            if self._budget <= 0:
                break
            span = self._span(candidate.start(1))
            entry = self._read(span).entry if span else None
            if span and entry is not None and "messageId" in entry:
                return span.start
        return -1

    def _given_up(self, position: int, reason: str) -> Pieces:
        self._damage = reason
        yield self._lost(self._body[position:], reason)
        return -1

    def _rest(self, position: int) -> Iterator[Piece]:
        """What comes after the document, if it is more than blanks and closing brackets. If the results were damaged,
        these may be reports."""
        while position >= 0 and self._body[position:].strip(b" \t\r\n,]}"):
            following = self._next_report(position, len(self._body), _ANY_OBJECT) if self._damage else -1
            end = following if following >= 0 else len(self._body)
            rest = self._body[position:end].strip(b" \t\r\n,]}")
            if rest:
                yield self._lost(rest, "bytes after the end of the results")
            position = (yield from self._array(following)) if following >= 0 else -1

    def _without_results(self) -> Iterator[Piece]:
        """No `results` where it belongs: anywhere else, or not at all."""
        inner = _RESULTS_ANYWHERE.search(self._body)
        if inner:
            yield from self._rest((yield from self._collection(inner.end())))
            self._damage = self._damage or "results are not where they belong"
        elif b'{"results":['.startswith(_BLANKS.sub(b"", self._body)):
            self._damage = "the body ends before its first report"
        else:
            self._damage = "no results collection"
            yield self._lost(self._body, self._damage)

    def _span(self, position: int) -> Span | None:
        """The value at `position`, unless it is empty or does not end; what is looked at is paid for."""
        span = value_span(self._body, position) if self._budget > 0 else None
        self._budget -= (span.end if span else len(self._body)) - position
        return span if span and span.end > position else None

    def _read(self, span: Span) -> Piece:
        raw = self._body[span.start : span.end]
        if len(raw) > MOST_ENTRY_BYTES:
            return Piece(raw, None, TOO_LARGE)
        try:
            entry = orjson.loads(raw)
        except orjson.JSONDecodeError:
            return self._read_tolerantly(raw)
        return Piece(raw, entry) if isinstance(entry, dict) else Piece(raw, None, NOT_AN_OBJECT)

    def _read_tolerantly(self, raw: bytes) -> Piece:
        try:
            return Piece(raw, read_object(raw, most_levels=self._most_levels))
        except Malformed as error:
            return Piece(raw, None, str(error))

    def _lost(self, raw: bytes, reason: str) -> Piece:
        self._rejected += 1
        return Piece(raw, None, reason)

    def _at(self, position: int) -> bytes:
        return self._body[position : position + 1]
