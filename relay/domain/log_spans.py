"""Walking through the logs, which have no paging and answer with the latest N of a span of sending times.

An answer that holds less than it could is all there is in its span. One that is full hides the rest: the span is split,
down to one millisecond; if that is full as well, its rows cannot be had, and that is told, not passed over.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

ASKED_LIMIT = 1000
DEFAULT_LIMIT = 50
"""What the API answers at most when no limit is asked for. No bound of an answer is smaller."""
BOUNDS_MS = 1
"""Nobody says whether the bounds of a span belong to it, so it is asked for with so much more on both sides."""

_FILL = 0.7
_GROWTH = 8.0
_SHRINK = 0.8
_WIDEST_MS = 1 << 40


class Span(NamedTuple):
    """Times of sending, both bounds within."""

    since_ms: int
    until_ms: int

    @property
    def width_ms(self) -> int:
        return self.until_ms - self.since_ms + 1


class Page(NamedTuple):
    """How many rows an answer may hold. `limit` is what is asked for, None: nothing; `largest` was seen so far."""

    limit: int | None = ASKED_LIMIT
    largest: int = 0

    @property
    def room(self) -> int:
        """With so many rows an answer is full.

        A server may have a bound below our limit and not say so. It is a round number then, and no answer is larger.
        """
        most = self.limit or DEFAULT_LIMIT
        may_be_a_bound = DEFAULT_LIMIT <= self.largest < most and self.largest % DEFAULT_LIMIT == 0
        return self.largest if may_be_a_bound else most

    def is_full(self, rows: int) -> bool:
        """There may be more than these rows."""
        return rows >= self.room

    def seen(self, rows: int) -> "Page":
        return self._replace(largest=max(self.largest, rows))


class Compared(NamedTuple):
    """All rows of the span were there; go on below it with spans of this width."""

    next_width_ms: int


class Split(NamedTuple):
    """The answer was full: ask for a span of this width."""

    width_ms: int


class Hole(NamedTuple):
    """One millisecond, and its answer was full: what it hides cannot be had."""


SpanVerdict = Compared | Split | Hole


def next_span(position_ms: int, floor_ms: int, width_ms: int | None) -> Span:
    """From `position_ms` downwards, at most `width_ms` wide (None: all that is left) and not below `floor_ms`."""
    lowest_ms = floor_ms if width_ms is None else position_ms - width_ms + 1
    return Span(min(max(floor_ms, lowest_ms), position_ms), position_ms)


def judge_span(span: Span, sent_ms: Sequence[int | None], page: Page) -> SpanVerdict:
    """What an answer with rows sent at these times says about its span."""
    rows = len(sent_ms)
    page = page.seen(rows)
    if page.is_full(rows):
        return Split(_narrower_ms(span, sent_ms)) if span.width_ms > 1 else Hole()
    wider = span.width_ms * min(_GROWTH, page.room * _FILL / max(rows, 1))
    return Compared(max(1, min(int(wider), _WIDEST_MS)))


def estimated_calls(span_left_ms: int, width_ms: int) -> int:
    """About how many answers the rest takes if it is as dense as what was seen last."""
    return math.ceil(max(0, span_left_ms) / max(1, width_ms))


def delay_ms(delays_ms: Sequence[int], *, otherwise_ms: int) -> int:
    """Within which 99.9 % of what was received had been sent; `otherwise_ms` if nothing was received."""
    if not delays_ms:
        return otherwise_ms
    ordered = sorted(delays_ms)
    return max(0, ordered[min(len(ordered) - 1, math.ceil(len(ordered) * 0.999) - 1)])


def _narrower_ms(span: Span, sent_ms: Sequence[int | None]) -> int:
    """Half of it at most. If the answer did hold the latest rows, the oldest of them tells how much is not too much."""
    half = span.width_ms // 2
    known = [at_ms for at_ms in sent_ms if at_ms is not None and span.since_ms <= at_ms <= span.until_ms]
    if not known:
        return half
    return max(1, min(half, int((span.until_ms - min(known) + 1) * _SHRINK)))
