"""What was measured, by round, and how it is printed."""

from collections.abc import Iterable, Sequence
from statistics import median
from typing import NamedTuple

from tests.bench.floor import FloorRound

MIB = 1 << 20


class RelayRound(NamedTuple):
    """One round of the relay: `seconds` from the first report handed out to the last one committed."""

    reports: int
    seconds: float
    cpu_seconds: float
    written_bytes: int
    delay_p50_seconds: float
    delay_p99_seconds: float
    posts: int = 0
    posts_seconds: float = 1.0
    """From the first report handed out to the last POST."""


class Measured(NamedTuple):
    """The rounds of one relay process."""

    name: str
    rounds: Sequence[RelayRound]
    peak_bytes: int


COLUMNS = {
    "": 36,
    "Kafka/s": 9,
    "POSTs/s": 9,
    "called back/s": 15,
    "CPU-s/million": 15,
    "x floor": 9,
    "bytes/report": 14,
    "peak MiB": 10,
    "delay p50": 11,
    "p99": 9,
}
"""Heads and widths. `Kafka/s` and `called back/s` count reports; the delay is from receiving to commit."""


def header() -> str:
    return _line(tuple(COLUMNS))


def relay_line(measured: Measured, floor: Sequence[FloorRound]) -> str:
    """Medians over the rounds; the ratio to the floor by CPU."""
    rounds = measured.rounds
    cpu = cpu_per_million(rounds)
    with_posts = any(one.posts for one in rounds)
    return _line((
        measured.name,
        f"{median(one.reports / one.seconds for one in rounds):,.0f}",
        f"{median(one.posts / one.posts_seconds for one in rounds):,.0f}" if with_posts else "",
        f"{median(one.reports / one.posts_seconds for one in rounds):,.0f}" if with_posts else "",
        f"{cpu:.1f}",
        f"{cpu / cpu_per_million(floor):.2f}" if floor else "",
        f"{median(one.written_bytes / one.reports for one in rounds):,.0f}",
        f"{measured.peak_bytes / MIB:,.0f}",
        seconds_text(median(one.delay_p50_seconds for one in rounds)),
        seconds_text(median(one.delay_p99_seconds for one in rounds)),
    ))  # fmt: skip


def floor_line(floor: Sequence[FloorRound]) -> str:
    return _line((
        "  floor",
        f"{median(one.reports / one.seconds for one in floor):,.0f}",
        "",
        "",
        f"{cpu_per_million(floor):.1f}",
        "1",
        f"{median(one.written_bytes / one.reports for one in floor):,.0f}",
    ))  # fmt: skip


def cpu_per_million(rounds: Iterable[RelayRound | FloorRound]) -> float:
    return median(one.cpu_seconds / one.reports for one in rounds) * 1e6


def seconds_text(seconds: float) -> str:
    return f"{seconds * 1000:,.0f} ms" if seconds < 1 else f"{seconds:,.1f} s"


def _line(cells: Sequence[str]) -> str:
    first, *widths = COLUMNS.values()
    padded = [f"{cell:>{width}}" for cell, width in zip(cells[1:], widths, strict=False)]
    return "".join([f"{cells[0]:<{first}}", *padded]).rstrip()
