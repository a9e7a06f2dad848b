"""How full the journal is, from counters and the ends of ranges: never a scan, however long the backlog."""

import apsw

from relay.domain.figures import CallbackFigures, StreamFigures
from relay.domain.report import Stream
from relay.journal.sql import load
from relay.journal.statements import Row, one
from relay.journal.streams import SEQ_BITS

_SQL = load("figures")


def streams(db: apsw.Connection) -> dict[Stream, StreamFigures]:
    rows: list[Row] = db.execute(_SQL["streams"]).fetchall()
    return {Stream(row[1], row[2]): _stream(db, row) for row in rows}


def callbacks(db: apsw.Connection) -> dict[str, CallbackFigures]:
    """Of all streams together."""
    figures: dict[str, CallbackFigures] = {}
    rows: list[Row] = db.execute(_SQL["callbacks"]).fetchall()
    for name, id_, stream_id, position, last_seq, stored, dead, dropped, expired in rows:
        before = figures.get(name, CallbackFigures(0, None, 0))
        stored_at = _first(db, "oldest_stored", id_) if stored else None
        base = stream_id << SEQ_BITS
        unread_at = _first(db, "first_after", base + position, base + last_seq)
        figures[name] = CallbackFigures(
            before.backlog + stored + last_seq - position,
            _oldest(before.oldest_backlog_at_ms, stored_at, unread_at),
            before.dead_letters + dead,
            before.dropped + dropped,
            before.expired + expired,
        )
    return figures


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
