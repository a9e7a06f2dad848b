"""Rows of the logs: when they were sent and done, and which of them count as reports that were lost."""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import orjson

from relay.domain.gaps import Window, gap_of
from relay.domain.report import Rejected, Report
from relay.domain.timestamps import epoch_ms


class LogRow(NamedTuple):
    """One row, decoded. `done_ms` is when it was sent if it does not say when it was done."""

    report: Report
    sent_ms: int | None
    done_ms: int | None


class FoundRow(NamedTuple):
    """A row that is a lost report, if the journal does not know it; `gap_id` is the gap to which it counts."""

    report: Report
    gap_id: int | None


class Chosen(NamedTuple):
    """Of the rows of an answer: those that belong to a gap, and those that are too old to."""

    found: list[FoundRow]
    earlier: list[Report]


def log_rows(entries: Iterable[Report | Rejected]) -> list[LogRow]:
    """The rows that can be identified."""
    return [_row(entry) for entry in entries if isinstance(entry, Report)]


def choose(rows: Iterable[LogRow], windows: Sequence[Window], *, earlier: range) -> Chosen:
    """Rows that are not final say nothing yet: their reports are still to come. `earlier` is when those from before the
    first poll were done."""
    chosen = Chosen([], [])
    for report, _, done_ms in rows:
        if not report.final or done_ms is None:
            continue
        gap_id = gap_of(done_ms, windows)
        if gap_id is not None:
            chosen.found.append(FoundRow(report, gap_id))
        elif done_ms in earlier:
            chosen.earlier.append(report)
    return chosen


def _row(report: Report) -> LogRow:
    value = orjson.loads(report.value)
    sent_ms = _moment(value, "sentAt")
    done_ms = _moment(value, "doneAt")
    return LogRow(report, sent_ms, sent_ms if done_ms is None else done_ms)


def _moment(value: Any, name: str) -> int | None:
    given = value.get(name)
    return epoch_ms(given) if isinstance(given, str) else None
