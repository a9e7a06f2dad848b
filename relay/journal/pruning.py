"""What nobody needs any more goes, a bounded number of rows in each transaction.

An entry goes when every subscription has passed it, its retention since then is over, and no delivery or dead letter
holds it; the history of its attempts goes with it.
"""

import math
from collections import Counter

import apsw

from relay.domain.report import Stream
from relay.journal import deliveries, ids, replays, streams, tallies
from relay.journal.ids import HOUR_MS
from relay.journal.sql import load
from relay.journal.statements import Row, one
from relay.journal.streams import SEQ_BITS, StreamRow
from relay.ports import Pruned, Retention

_SQL = load("pruning")

MAX_ROWS = 2000
"""Removed in one transaction."""

MAX_SWEPT = 5000
"""Ids looked at in one transaction."""

LONG_MS = 30 * 24 * HOUR_MS
"""Quarantined bytes, gaps that ended, and dead letters of callbacks that are gone are kept so long."""

_PASSAGES = 64
"""A retention is measured in so many steps."""

_LAPS = 16
"""The sweep goes over all ids so many times in a window."""


def prune_entries(db: apsw.Connection, stream: Stream, at_ms: int, retention_ms: int, *, short: bool) -> Pruned:
    """`short`: the disk is nearly full, so that what all have passed goes before its retention is over."""
    row = streams.find_or_add(db, stream)
    passed = _note_passage(db, row, at_ms, retention_ms)
    over = min(passed, _kept_from(db, row, at_ms - retention_ms))
    until = passed if short else over
    end = min(until, row.pruned_to + MAX_ROWS)
    if end <= row.pruned_to:
        return Pruned()
    early, early_until_ms = 0, 0
    if end > over:
        early, early_until_ms = one(db, _SQL["early"], (row.base + max(row.pruned_to, over), row.base + end))
    db.execute(_SQL["entries"], (row.base + row.pruned_to, row.base + end))
    pruned = db.changes()
    db.execute(_SQL["attempts"], (row.id, row.pruned_to, end))
    attempts = db.changes()
    db.execute(_SQL["arrivals"], (row.id, end))
    db.execute(_SQL["publications"], (row.id, end))
    db.execute(_SQL["pruned_to"], (row.id, end))
    tallies.prune(db, row, end)
    return Pruned(entries=pruned, attempts=attempts, more=end < until, early=early, early_until_ms=early_until_ms)


def prune_released(db: apsw.Connection, at_ms: int, retention_ms: int, *, short: bool) -> Pruned:
    """Entries that outlived their retention because a delivery held them, and that it has let go."""
    rows: list[Row] = db.execute(_SQL["released"], (MAX_ROWS,)).fetchall()
    due = [row for row in rows if short or row[2] <= at_ms - retention_ms]
    entries = attempts = early = early_until_ms = 0
    for _, entry_id, released_at_ms in due:
        received_at = db.execute(_SQL["released_received_at"], (entry_id,)).fetchone()
        db.execute(_SQL["released_entry"], (entry_id,))
        if db.changes():
            entries += 1
            if released_at_ms > at_ms - retention_ms and received_at is not None:
                early += 1
                early_until_ms = max(early_until_ms, received_at[0])
            db.execute(_SQL["released_attempts"], (entry_id >> SEQ_BITS, entry_id & ((1 << SEQ_BITS) - 1)))
            attempts += db.changes()
    if due:
        db.execute(_SQL["drop_released"], (due[-1][0],))
    return Pruned(
        entries=entries,
        attempts=attempts,
        more=len(due) == MAX_ROWS,
        early=early,
        early_until_ms=early_until_ms,
    )


def sweep_ids(db: apsw.Connection, at_ms: int, window_ms: int) -> Pruned:
    """Like the hand of a clock over the keys; an index by age would cost every report a second insert."""
    position = _meta(db, "ids_swept_to")
    if position is None:
        lap_at_ms = _meta(db, "ids_lap_at_ms")
        if isinstance(lap_at_ms, int) and lap_at_ms <= at_ms < lap_at_ms + window_ms // _LAPS:
            return Pruned()
        _set_meta(db, "ids_lap_at_ms", at_ms)
        position = b""
    oldest_hours = (at_ms - window_ms) // HOUR_MS
    swept = ids.forget(db, oldest_hours) if not position else 0
    end = db.execute(_SQL["sweep_end"], (position, MAX_SWEPT - 1)).fetchone()
    if end is None:
        db.execute(_SQL["sweep_rest"], (position, oldest_hours))
    else:
        db.execute(_SQL["sweep"], (position, end[0], oldest_hours))
    swept += db.changes()
    _set_meta(db, "ids_swept_to", end[0] if end else None)
    return Pruned(ids=swept, more=end is not None)


def expire_dead_letters(db: apsw.Connection, at_ms: int, limits: Retention) -> Pruned:
    """Dead letters past their time, and what removed callbacks left behind; counted in reports."""
    expired = 0
    more = False
    rows: list[Row] = db.execute(_SQL["subscriptions"]).fetchall()
    for source, kind, callback in rows:
        owner = deliveries.subscription(db, callback, Stream(source, kind))
        kept_ms = limits.dead_letter_seconds.get(callback, LONG_MS / 1000) * 1000
        before_ms = math.floor(at_ms - kept_ms)
        found: list[Row] = db.execute(_SQL["expired_dead"], (owner.id, before_ms, MAX_ROWS)).fetchall()
        stored = deliveries.find(db, owner, [id_ for (id_,) in found])
        deliveries.end(db, owner, list(stored.values()), at_ms)
        reports = sum(letter.reports for letter in stored.values())
        db.execute(_SQL["count_expired"], (owner.id, reports))
        expired += reports
        more = more or len(found) == MAX_ROWS
    return Pruned(dead_letters=expired, more=more)


def drop_old_records(db: apsw.Connection, at_ms: int) -> Pruned:
    """Quarantined bytes, ended gaps, ended replays."""
    gone: list[Row] = db.execute(_SQL["old_quarantine"], (at_ms - LONG_MS, MAX_ROWS)).fetchall()
    for stream_id, count in Counter(stream_id for stream_id, is_open in gone if is_open).items():
        db.execute(_SQL["count_quarantine"], (stream_id, count))
    db.execute(_SQL["old_gaps"], (at_ms - LONG_MS, MAX_ROWS))
    replays.drop_old(db, at_ms - LONG_MS, MAX_ROWS)
    return Pruned(more=len(gone) == MAX_ROWS)


def passed_by_all(db: apsw.Connection, row: StreamRow) -> int:
    """Up to which seq; nothing is passed while nobody is subscribed."""
    (position,) = one(db, _SQL["passed"], (row.id,))
    return min(int(position), row.last_seq) if position is not None else 0


def positions(db: apsw.Connection) -> dict[Stream, int]:
    """Up to where each stream is pruned."""
    rows: list[Row] = db.execute(_SQL["positions"]).fetchall()
    return {Stream(source, kind): pruned_to for source, kind, pruned_to in rows}


def _note_passage(db: apsw.Connection, row: StreamRow, at_ms: int, retention_ms: int) -> int:
    passed = passed_by_all(db, row)
    db.execute(_SQL["forget_passages"], (row.id, passed))  # a cursor was set back
    last = db.execute(_SQL["last_passage"], (row.id,)).fetchone()
    if last is None or (passed > last[1] and at_ms - last[0] >= retention_ms // _PASSAGES):
        db.execute(_SQL["add_passage"], (row.id, at_ms, passed))
    return passed


def _kept_from(db: apsw.Connection, row: StreamRow, at_ms: int) -> int:
    """What all had passed by then may go; what a replay is still to come to is kept as long again, not for ever."""
    passed = _passed_before(db, row, at_ms)
    replayed = replays.held_from(db, row.id, at_ms)
    return passed if replayed is None else min(passed, replayed)


def _passed_before(db: apsw.Connection, row: StreamRow, at_ms: int) -> int:
    found = db.execute(_SQL["passage_before"], (row.id, at_ms)).fetchone()
    if found is None:
        return 0
    db.execute(_SQL["drop_passages"], (row.id, found[0]))
    return int(found[1])


def _meta(db: apsw.Connection, name: str) -> object:
    row = db.execute(_SQL["get_meta"], (name,)).fetchone()
    return row[0] if row else None


def _set_meta(db: apsw.Connection, name: str, value: bytes | int | None) -> None:
    db.execute(_SQL["set_meta"], (name, value))
