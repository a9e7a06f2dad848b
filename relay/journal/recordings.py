"""Recordings of calls: pending from the transaction that appends their report, until they are announced or given up."""

from collections.abc import Collection, Iterable

import apsw

from relay.domain.recordings import MAX_AGE_SECONDS, StoredRecording, recording_value, wanted_recording
from relay.domain.report import Entry, EntryType, Origin, Stream
from relay.journal import entries, ids, streams
from relay.journal.codes import ORIGIN_CODES, ORIGINS
from relay.journal.deliveries import numbers
from relay.journal.sql import load
from relay.journal.statements import Row, one
from relay.journal.streams import StreamRow
from relay.ports import Lease, PendingRecording, Pruned

_SQL = load("recordings")

STORED, GIVEN_UP = 1, 2

MAX_ROWS = 2000
"""Removed in one transaction."""


def want_recordings(db: apsw.Connection, lease: Lease, stream: Stream, *, wanted: bool) -> bool:
    streams.check_lease(db, lease)
    row = streams.find_or_add(db, stream)
    (state,) = one(db, _SQL["want"], (row.id, wanted))
    return bool(state)


def add_pending(db: apsw.Connection, row: StreamRow, appended: Iterable[Entry]) -> None:
    """For entries just appended, if recordings of the stream are wanted. One of a messageId that has one is left out:
    a later report of the call points to the same."""
    if not row.wants_recordings:
        return
    for entry in appended:
        wanted = wanted_recording(entry)
        if wanted is not None:
            origin = ORIGIN_CODES[entry.origin]
            db.execute(_SQL["add"], (row.id, *wanted, origin, entry.received_at_ms))


def note_adopted(db: apsw.Connection, row: StreamRow, message_id: str, origin: Origin, at_ms: int) -> None:
    """Kafka has its announcement: it need not be fetched again."""
    db.execute(_SQL["adopt"], (row.id, message_id, ORIGIN_CODES[origin], at_ms))


def due(db: apsw.Connection, stream: Stream, at_ms: int, limit: int, skip: Collection[int]) -> list[PendingRecording]:
    row = streams.find(db, stream)
    if row is None:
        return []
    return [PendingRecording(*found) for found in db.execute(_SQL["due"], (row.id, at_ms, limit, numbers(skip)))]


def next_at_ms(db: apsw.Connection, stream: Stream, skip: Collection[int]) -> int | None:
    row = streams.find(db, stream)
    found = db.execute(_SQL["next_due"], (row.id, numbers(skip))).fetchone() if row else None
    return int(found[0]) if found else None


def record(
    db: apsw.Connection, lease: Lease, stream: Stream, id_: int, stored: StoredRecording, at_ms: int
) -> Entry | None:
    """The entry that announces it; None if it had ended before."""
    streams.check_lease(db, lease)
    row = streams.find_or_add(db, stream)
    ended: Row | None = db.execute(_SQL["end"], (id_, row.id, STORED, "")).fetchone()
    if ended is None:
        return None
    message_id, origin = ended
    value = recording_value(stream.source, message_id, stored)
    key = ids.keys_of(row.id)(message_id)
    seen = ids.look_up(db, [key]).get(key)
    values = (EntryType.RECORDING, message_id, 1, None, seen.last_seq if seen else None, value)
    entries.append(db, row, values, origin=origin, received_at_ms=at_ms, quarantined=0)
    if seen is not None:  # so that it is found with its report
        ids.keep(db, {key: seen._replace(last_seq=row.next_seq)}, at_ms)
    return Entry(row.next_seq, EntryType.RECORDING, message_id, 1, ORIGINS[origin], at_ms, None, value)


def postpone(db: apsw.Connection, lease: Lease, stream: Stream, id_: int, next_attempt_at_ms: int, reason: str) -> None:
    streams.check_lease(db, lease)
    row = streams.find_or_add(db, stream)
    db.execute(_SQL["postpone"], (id_, row.id, next_attempt_at_ms, reason))


def give_up(db: apsw.Connection, lease: Lease, stream: Stream, id_: int, reason: str) -> None:
    streams.check_lease(db, lease)
    row = streams.find_or_add(db, stream)
    db.execute(_SQL["end"], (id_, row.id, GIVEN_UP, reason))


def drop_old(db: apsw.Connection, at_ms: int, window_ms: int) -> Pruned:
    """What is older than a repeat of its report could be, and than anybody tries."""
    db.execute(_SQL["drop_old"], (at_ms - window_ms - int(MAX_AGE_SECONDS * 1000), MAX_ROWS))
    return Pruned(more=db.changes() == MAX_ROWS)
