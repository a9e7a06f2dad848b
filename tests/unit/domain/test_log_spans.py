"""Walking through logs that answer with the latest N: which answers are whole, how spans shrink and grow."""

import random
from bisect import bisect_left, bisect_right

import pytest

from relay.domain.log_spans import Compared, Hole, Page, Span, Split, delay_ms, estimated_calls, judge_span, next_span


@pytest.mark.parametrize(
    ("position", "floor", "width", "span"),
    [
        (1000, 0, None, Span(0, 1000)),
        (1000, 0, 100, Span(901, 1000)),
        (1000, 950, 100, Span(950, 1000)),
        (1000, 0, 1, Span(1000, 1000)),
        (1000, 1000, None, Span(1000, 1000)),
        (1000, 2000, 5, Span(1000, 1000)),
    ],
)
def test_the_next_span(position: int, floor: int, width: int | None, span: Span) -> None:
    assert next_span(position, floor, width) == span


@pytest.mark.parametrize(
    ("limit", "largest", "rows", "full"),
    [
        (1000, 0, 999, False),
        (1000, 0, 1000, True),
        (1000, 0, 1001, True),
        (1000, 100, 100, True),
        (1000, 101, 100, False),
        (1000, 100, 99, False),
        (1000, 49, 49, False),
        (1000, 40, 40, False),
        (None, 0, 49, False),
        (None, 0, 50, True),
    ],
    ids=[
        "fewer",
        "as many",
        "more",
        "a round number, and the largest so far: a silent bound",
        "there were larger ones",
        "below the bound",
        "not round",
        "no bound is so small",
        "default, fewer",
        "default, as many",
    ],
)
def test_full(limit: int | None, largest: int, rows: int, full: bool) -> None:
    assert Page(limit, largest).is_full(rows) is full


@pytest.mark.parametrize(
    ("span", "rows", "verdict"),
    [
        (Span(0, 999), [], Compared(8000)),
        (Span(0, 999), [500] * 7, Compared(8000)),
        (Span(0, 999), [500] * 350, Compared(2000)),
        (Span(0, 999), [500] * 700, Compared(1000)),
        (Span(0, 999), [500] * 999, Compared(700)),
        (Span(0, 999), [0] * 1000, Split(500)),
        (Span(0, 999), [None] * 1000, Split(500)),
        (Span(0, 999), [900] * 1000, Split(80)),
        (Span(0, 999), [999] * 1000, Split(1)),
        (Span(0, 999), [999] * 999 + [5000], Split(1)),
        (Span(0, 1), [1] * 1000, Split(1)),
        (Span(7, 7), [7] * 1000, Hole()),
        (Span(7, 7), [7] * 999, Compared(1)),
        (Span(0, 999), [500] * 998, Compared(701)),
    ],
)
def test_verdicts(span: Span, rows: list[int | None], verdict: object) -> None:
    assert judge_span(span, rows, Page(largest=999)) == verdict


@pytest.mark.parametrize("bound", [1000, 200])
@pytest.mark.parametrize("density", [0.0001, 0.05, 3.0])
def test_a_walk_sees_every_row_once_whatever_the_density(density: float, bound: int) -> None:
    """A server with the latest rows of a span, and a bound that it does not tell, against the walk as stages do it."""
    chance = random.Random(f"{density} {bound}")
    length = 60_000
    rows = sorted(chance.randrange(length) for _ in range(int(length * density)))
    seen: list[int] = []
    page, position, width, calls = Page(), length - 1, None, 0
    while position >= 0:
        span = next_span(position, 0, width)
        inside = rows[bisect_left(rows, span.since_ms) : bisect_right(rows, span.until_ms)]
        answer = inside[-bound:]
        calls += 1
        page = page.seen(len(answer))
        match judge_span(span, list(answer), page):
            case Compared(next_width):
                seen += answer
                position, width = span.since_ms - 1, next_width
            case Split(narrower):
                width = narrower
            case Hole():
                raise AssertionError("no millisecond is that full")
    assert sorted(seen) == rows
    assert calls <= 3 + 2.2 * len(rows) / bound


def test_a_millisecond_that_is_full_is_a_hole_and_its_neighbours_are_not() -> None:
    rows = {10: 1500, 11: 3, 9: 4}
    found: list[int] = []
    holes: list[int] = []
    position, width = 19, None
    while position >= 0:
        span = next_span(position, 0, width)
        inside = [
            at for at in sorted(rows, reverse=True) for _ in range(rows[at]) if span.since_ms <= at <= span.until_ms
        ]
        match judge_span(span, list(inside[:1000]), Page()):
            case Split(narrower):
                width = narrower
                continue
            case Compared(next_width):
                found += inside
                width = next_width
            case Hole():
                holes.append(span.since_ms)
        position = span.since_ms - 1
    assert (holes, sorted(found)) == ([10], [9] * 4 + [11] * 3)


@pytest.mark.parametrize(
    ("left", "width", "calls"), [(0, 10, 0), (-5, 10, 0), (1, 10, 1), (100, 10, 10), (101, 10, 11), (5, 0, 5)]
)
def test_the_estimate_of_calls(left: int, width: int, calls: int) -> None:
    assert estimated_calls(left, width) == calls


@pytest.mark.parametrize(
    ("delays", "reach"),
    [([], 7), ([5], 5), ([3, 1, 2], 3), ([10] * 999 + [5000], 10), ([10] * 998 + [5000] * 2, 5000), ([-4], 0)],
)
def test_the_delay_within_which_nearly_all_reports_come(delays: list[int], reach: int) -> None:
    assert delay_ms(delays, otherwise_ms=7) == reach
