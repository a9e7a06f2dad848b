"""What people ask the journal: lists in pages, and everything about one messageId."""

from typing import Any

import apsw
import orjson

from relay.domain.history import (
    AttemptLine,
    DeliveryLine,
    Gap,
    GapState,
    Passage,
    ReportLife,
)
from relay.domain.report import Entry, GapCause, Stream
from relay.journal import entries, ids, streams
from relay.journal.codes import DEAD, RESULTS
from relay.journal.sql import load
from relay.journal.statements import Row
from relay.journal.streams import StreamRow

_SQL = load("history")

_NEAR = 5000
"""Attempts that begin before a seq and may, as batches, include it."""


def gaps(db: apsw.Connection, stream: Stream | None, after_id: int, limit: int, *, only_open: bool) -> list[Gap]:
    """By id, after `after_id`."""
    rows: list[Row] = db.execute(_SQL["gaps"], (*(stream or (None, None)), only_open, after_id, limit)).fetchall()
    return [
        Gap(id_, Stream(source, kind), GapCause(cause), GapState(state), *rest)
        for id_, source, kind, cause, state, *rest in rows
    ]


def inspect(db: apsw.Connection, message_id: str) -> list[ReportLife]:
    """The lives of all its entries, in every stream, oldest first."""
    lives = []
    for stream in streams.all_streams(db):
        row = streams.find(db, stream)
        if row is not None:
            lives += _lives(db, stream, row, message_id)
    return lives


def _lives(db: apsw.Connection, stream: Stream, row: StreamRow, message_id: str) -> list[ReportLife]:
    key = ids.keys_of(row.id)(message_id)
    found: list[Row] = db.execute(_SQL["chain"], (key, row.base)).fetchall()
    heads = entries.heads_of(db, [entry_id for (entry_id,) in found])
    subscriptions: list[Row] = db.execute(_SQL["subscriptions"], (row.id,)).fetchall()
    passages = tuple(Passage(name.removeprefix("callback/"), position) for _, name, position in subscriptions)
    return [
        ReportLife(stream, entry, passages, _deliveries(db, id_), _attempts(db, subscriptions, entry))
        for id_, entry in entries.join(db, list(heads.values())).items()
    ]


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
