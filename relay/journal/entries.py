"""The entries of a stream: appended many at a time, read back in order."""

from array import array
from collections.abc import Sequence
from itertools import count
from typing import Any

import apsw
import orjson

from relay.domain.report import Entry, Stream
from relay.journal import streams, tallies
from relay.journal.codes import ENTRY_TYPES, ORIGINS
from relay.journal.sql import load
from relay.journal.statements import ManyRows, one
from relay.journal.streams import SEQ_BITS, StreamRow

_SQL = load("entries")
_APPEND = ManyRows(_SQL["append"], _SQL["append_row"], counted=True)
_SEQ_MASK = (1 << SEQ_BITS) - 1

MAX_READ = 10_000
"""Entries in one read: the heads of so many are held twice for a moment."""


def append(
    db: apsw.Connection, row: StreamRow, values: Sequence[Any], *, origin: int, received_at_ms: int, quarantined: int
) -> None:
    """Rows (type, message id, revision, status group, previous seq, value), flat, from the stream's next seq on."""
    _APPEND.execute(db, (row.base + row.next_seq, origin, received_at_ms), values)
    tallies.add(db, row.id, count(row.next_seq), values[::6], values[3::6])
    set_next_seq(db, row, row.next_seq + len(values) // 6, quarantined)


def set_next_seq(db: apsw.Connection, row: StreamRow, next_seq: int, quarantined: int = 0) -> None:
    db.execute(_SQL["set_next_seq"], (row.id, next_seq, quarantined))


def read_stream(db: apsw.Connection, stream: Stream, after_seq: int, limit: int, max_bytes: int) -> list[Entry]:
    """Ascending; at most `limit` entries, and as many as fit into `max_bytes`, but one at least."""
    row = streams.find(db, stream)
    if row is None:
        return []
    wanted = (row.base + max(after_seq, row.emptied_to), row.base + row.next_seq, min(limit, MAX_READ))
    heads = _within(orjson.loads(one(db, _SQL["heads_after"], wanted)[0]), max_bytes)
    if not heads:
        return []
    (bodies,) = one(db, _SQL["values_between"], (heads[0][0], heads[-1][0]))
    return _join(heads, bodies)


def heads_of(db: apsw.Connection, entry_ids: Sequence[int]) -> dict[int, list[Any]]:
    """All but the values of these entries, by row id; what is gone is left out. `head[8]` is the value's size."""
    if not entry_ids:
        return {}
    heads = orjson.loads(one(db, _SQL["heads_of"], (apsw.carray(array("q", entry_ids)),))[0])
    return {head[0]: head for head in heads}


def join(db: apsw.Connection, heads: list[list[Any]]) -> dict[int, Entry]:
    """The entries that these heads belong to, by row id."""
    if not heads:
        return {}
    ids = [head[0] for head in heads]
    (bodies,) = one(db, _SQL["values_of"], (apsw.carray(array("q", ids)),))
    return dict(zip(ids, _join(heads, bodies), strict=True))


def _within(heads: list[list[Any]], max_bytes: int) -> list[list[Any]]:
    total = 0
    for fitting, head in enumerate(heads):
        total += head[8]
        if total > max_bytes and fitting:
            return heads[:fitting]
    return heads


def _join(heads: list[list[Any]], bodies: bytes) -> list[Entry]:
    entries = []
    start = 0
    for id_, type_, message_id, revision, origin, received_at_ms, status_group, refused, size in heads:
        end = start + size
        entries.append(
            Entry(
                id_ & _SEQ_MASK,
                ENTRY_TYPES[type_],
                message_id,
                revision,
                ORIGINS[origin],
                received_at_ms,
                status_group,
                bodies[start:end],
                refused == 1,
            )
        )
        start = end
    return entries
