"""How full the journal is, from counters and the ends of ranges: never a long scan, however long the backlog."""

from typing import NamedTuple

import apsw

from relay.domain.figures import CallbackFigures, StreamFigures
from relay.domain.report import Stream
from relay.journal import tallies
from relay.journal.cursors import wanted_of
from relay.journal.deliveries import numbers
from relay.journal.sql import load
from relay.journal.statements import Row, one
from relay.journal.streams import SEQ_BITS

_SQL = load("figures")

NEAR_ENTRIES = 4096
"""So far the oldest report of a callback with a filter is looked for; past that it is taken to be the first entry."""


def streams(db: apsw.Connection) -> dict[Stream, StreamFigures]:
    rows: list[Row] = db.execute(_SQL["streams"]).fetchall()
    return {Stream(row[1], row[2]): _stream(db, row) for row in rows}


def callbacks(db: apsw.Connection) -> dict[str, CallbackFigures]:
    """Of all streams together."""
    figures: dict[str, CallbackFigures] = {}
    rows: list[Row] = db.execute(_SQL["callbacks"]).fetchall()
    for name, id_, stream_id, position, last_seq, stored, dead, dropped, expired, types, groups in rows:
        before = figures.get(name, CallbackFigures(0, None, 0))
        stored_at = _first(db, "oldest_stored", id_) if stored else None
        unread = _unread(db, stream_id, position, last_seq, types, groups)
        figures[name] = CallbackFigures(
            before.backlog + stored + unread.reports,
            _oldest(before.oldest_backlog_at_ms, stored_at, unread.oldest_at_ms),
            before.dead_letters + dead,
            before.dropped + dropped,
            before.expired + expired,
        )
    return figures


class _Unread(NamedTuple):
    reports: int
    oldest_at_ms: int | None


def _unread(
    db: apsw.Connection, stream_id: int, position: int, last_seq: int, types: str | None, groups: str | None
) -> _Unread:
    """What is after the cursor. Of a callback that wants some status groups, those alone; else all entries, as nearly
    all are wanted."""
    base = stream_id << SEQ_BITS
    bounds = (base + position, base + last_seq)
    if groups is None or position >= last_seq:
        return _Unread(last_seq - position, _first(db, "first_after", *bounds))
    wanted = wanted_of(types, groups)
    reports = tallies.count_wanted(db, stream_id, position, wanted)
    if not reports:
        return _Unread(0, None)
    near = (*bounds, NEAR_ENTRIES, numbers(wanted.types), numbers(wanted.status_groups or ()))
    found: Row | None = db.execute(_SQL["first_wanted"], near).fetchone()
    return _Unread(reports, int(found[0]) if found else _first(db, "first_after", *bounds))


def _stream(db: apsw.Connection, row: Row) -> StreamFigures:
    id_, _, _, last_seq, fetches, entries_pending, quarantine, success_at_ms, kafka_position, fastest = row
    required = next((position for position in (kafka_position, fastest) if position is not None), last_seq)
    gaps_open, oldest_gap_at_ms = one(db, _SQL["gaps"], (id_,))
    base = id_ << SEQ_BITS
    return StreamFigures(
        fetches_pending=fetches,
        unpublished=last_seq - required + entries_pending,
        oldest_unpublished_at_ms=_oldest(
            _first(db, "first_after", base + required, base + last_seq), _first(db, "oldest_fetch", id_)
        ),
        gaps_open=gaps_open,
        oldest_open_gap_at_ms=oldest_gap_at_ms,
        quarantine_entries=quarantine,
        last_success_at_ms=success_at_ms,
        last_seq=last_seq,
        kafka_position=kafka_position,
    )


def _first(db: apsw.Connection, statement: str, *bindings: int) -> int | None:
    row = db.execute(_SQL[statement], bindings).fetchone()
    return int(row[0]) if row else None


def _oldest(*times_ms: int | None) -> int | None:
    return min((at_ms for at_ms in times_ms if at_ms is not None), default=None)
