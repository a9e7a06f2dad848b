"""What people ask the journal: lists in pages, and everything about one messageId."""

from typing import Any

import apsw
import orjson

from relay.domain.history import (
    Arrival,
    AttemptLine,
    DeliveryLine,
    Gap,
    GapState,
    Passage,
    RecordingLine,
    Remembered,
    ReportLife,
)
from relay.domain.report import Entry, GapCause, Origin, Stream
from relay.journal import entries, ids, streams
from relay.journal.codes import DEAD, KAFKA, ORIGINS, RESULTS
from relay.journal.sql import load
from relay.journal.statements import Row
from relay.journal.streams import StreamRow

_SQL = load("history")

_RECORDINGS = ("pending", "stored", "given up")

_NEAR = 5000
"""Attempts that begin before a seq and may, as batches, include it."""


def gaps(db: apsw.Connection, stream: Stream | None, after_id: int, limit: int, *, only_open: bool) -> list[Gap]:
    """By id, after `after_id`."""
    rows: list[Row] = db.execute(_SQL["gaps"], (*(stream or (None, None)), only_open, after_id, limit)).fetchall()
    return [_gap(row) for row in rows]


def inspect(db: apsw.Connection, message_id: str) -> list[ReportLife]:
    """The lives of all its entries, in every stream, oldest first."""
    lives = []
    for stream in streams.all_streams(db):
        row = streams.find(db, stream)
        if row is not None:
            lives += _lives(db, stream, row, message_id)
    return lives


def remembered(db: apsw.Connection, message_id: str) -> list[Remembered]:
    found = []
    for stream in streams.all_streams(db):
        row = streams.find(db, stream)
        known = ids.newest(db, ids.keys_of(row.id)(message_id)) if row else None
        if known is not None:
            found.append(Remembered(stream, known.revision, known.last_seq, known.seen_at_hours * ids.HOUR_MS))
    return found


def _lives(db: apsw.Connection, stream: Stream, row: StreamRow, message_id: str) -> list[ReportLife]:
    known = ids.newest(db, ids.keys_of(row.id)(message_id))
    if known is None:
        return []
    found: list[Row] = db.execute(_SQL["chain"], (known.last_seq, row.base)).fetchall()
    heads = entries.heads_of(db, [entry_id for (entry_id,) in found])
    subscriptions: list[Row] = db.execute(_SQL["subscriptions"], (row.id,)).fetchall()
    kafka_position = next((position for _, name, position in subscriptions if name == KAFKA), None)
    subscriptions = [row_ for row_ in subscriptions if row_[1] != KAFKA]
    passages = tuple(Passage(name.removeprefix("callback/"), position) for _, name, position in subscriptions)
    return [
        ReportLife(
            stream,
            entry,
            passages,
            _deliveries(db, id_),
            _attempts(db, subscriptions, entry),
            _arrival(db, row, entry),
            _published_at_ms(db, row, entry),
            _gaps(db, row, entry),
            _recording(db, row, message_id),
            kafka_position,
        )
        for id_, entry in entries.join(db, list(heads.values())).items()
    ]


def _arrival(db: apsw.Connection, row: StreamRow, entry: Entry) -> Arrival | None:
    """Entries that came otherwise stand between those of fetches; their times tell them apart."""
    found = db.execute(_SQL["arrival"], (row.id, entry.seq)).fetchone()
    if found is None:
        return None
    fetch_id, origin, requested_at_ms, received_at_ms, status, complete = found
    if (ORIGINS[origin], received_at_ms) != (entry.origin, entry.received_at_ms):
        return None
    return Arrival(fetch_id, requested_at_ms, received_at_ms, status, bool(complete))


def _published_at_ms(db: apsw.Connection, row: StreamRow, entry: Entry) -> int | None:
    found = db.execute(_SQL["published"], (row.id, entry.seq)).fetchone()
    return int(found[0]) if found else None


def _gaps(db: apsw.Connection, row: StreamRow, entry: Entry) -> tuple[Gap, ...]:
    statement = _SQL["gaps_then" if entry.origin is Origin.LOGS else "gaps_opened"]
    rows: list[Row] = db.execute(statement, (row.id, entry.received_at_ms)).fetchall()
    return tuple(_gap(row_) for row_ in rows)


def _recording(db: apsw.Connection, row: StreamRow, message_id: str) -> RecordingLine | None:
    found = db.execute(_SQL["recording"], (row.id, message_id)).fetchone()
    return RecordingLine(_RECORDINGS[found[0]], *found[1:]) if found else None


def _gap(row: Row) -> Gap:
    id_, source, kind, cause, state, *rest = row
    return Gap(id_, Stream(source, kind), GapCause(cause), GapState(state), *rest)


def _deliveries(db: apsw.Connection, entry_id: int) -> tuple[DeliveryLine, ...]:
    rows: list[Row] = db.execute(_SQL["deliveries_of"], (entry_id,)).fetchall()
    return tuple(
        DeliveryLine(callback, id_, "dead" if state == DEAD else "pending", attempts, next_ms, reason)
        for callback, id_, state, attempts, next_ms, reason in rows
    )


def _attempts(db: apsw.Connection, subscriptions: list[Row], entry: Entry) -> tuple[AttemptLine, ...]:
    lines = []
    for id_, name, _ in subscriptions:
        rows: list[Row] = db.execute(_SQL["attempts_near"], (id_, entry.seq, _NEAR)).fetchall()
        for started_ms, duration_us, status, result, error, answer, *members in rows:
            if _includes(entry.seq, *members):
                callback = name.removeprefix("callback/")
                seconds = duration_us / 1e6
                lines.append(AttemptLine(callback, started_ms, seconds, status, RESULTS[result], error, answer))
    return tuple(sorted(lines, key=lambda line: line.started_at_ms))


def _includes(seq: int, first_seq: int, last_seq: int, seqs: str | None) -> bool:
    members: Any = range(first_seq, last_seq + 1) if seqs is None else orjson.loads(seqs)
    return seq in members
