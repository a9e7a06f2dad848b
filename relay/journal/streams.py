"""Streams as the poller sees them: leases, poll marks, good answers, and the gaps of bad ones."""

from typing import NamedTuple

import apsw

from relay.domain.report import GapCause, Stream
from relay.journal.sql import load
from relay.journal.statements import one
from relay.ports import Lease, LeaseLost, StreamState

_SQL = load("streams")

SEQ_BITS = 44
"""An entry's row id is ``stream id << 44 | seq``: room for half a million streams of 17 trillion entries each."""


class StreamRow(NamedTuple):
    id: int
    next_seq: int
    pruned_to: int
    emptied_to: int
    first_poll_at_ms: int | None
    last_success_at_ms: int | None
    answered_from_ms: int | None
    drained_at_ms: int | None
    marked_at_ms: int | None
    recordings: int = 0

    @property
    def wants_recordings(self) -> bool:
        return self.recordings == 1

    @property
    def base(self) -> int:
        """Added to a seq it makes the row id of an entry."""
        return self.id << SEQ_BITS

    @property
    def last_seq(self) -> int:
        return self.next_seq - 1


def acquire_lease(db: apsw.Connection, name: str, owner: str) -> Lease:
    """Always granted: one process holds the file, so whoever asks last is the owner."""
    (token,) = one(db, _SQL["acquire_lease"], (name, owner))
    return Lease(name, owner, token)


def check_lease(db: apsw.Connection, lease: Lease) -> None:
    """:raises LeaseLost: somebody took it over; the transaction must not go on."""
    if db.execute(_SQL["hold_lease"], lease).fetchone() is None:
        raise LeaseLost(f"{lease.name} is no longer ours ({lease.owner}, token {lease.token})")


def find(db: apsw.Connection, stream: Stream) -> StreamRow | None:
    row = db.execute(_SQL["find"], stream).fetchone()
    return StreamRow._make(row) if row else None


def find_or_add(db: apsw.Connection, stream: Stream) -> StreamRow:
    row = find(db, stream)
    if row is None:
        db.execute(_SQL["add"], stream)
        row = StreamRow(db.last_insert_rowid(), 1, 0, 0, None, None, None, None, None)
    return row


def all_streams(db: apsw.Connection) -> list[Stream]:
    return [Stream(*row) for row in db.execute(_SQL["all"])]


def open_stream(db: apsw.Connection, lease: Lease, stream: Stream, at_ms: int) -> StreamState:
    check_lease(db, lease)
    row = find_or_add(db, stream)
    if row.marked_at_ms is not None:
        _give_up_mark(db, row, at_ms)
    return StreamState(row.first_poll_at_ms, row.last_success_at_ms, row.marked_at_ms, row.last_seq, row.drained_at_ms)


def mark_poll(db: apsw.Connection, lease: Lease, stream: Stream, at_ms: int) -> None:
    """A mark that is still there belongs to a read whose end was never told: a gap, too."""
    check_lease(db, lease)
    row = find_or_add(db, stream)
    if row.marked_at_ms is not None:
        _give_up_mark(db, row, at_ms)
    db.execute(_SQL["mark"], (row.id, at_ms, lease.token))


def end_poll(
    db: apsw.Connection, lease: Lease, stream: Stream, at_ms: int, gap: GapCause | None, *, success: bool
) -> None:
    check_lease(db, lease)
    row = find_or_add(db, stream)
    db.execute(_SQL["clear_own_mark"], (row.id, lease.token))
    if success:
        note_success(db, row.id, requested_at_ms=row.marked_at_ms or at_ms, received_at_ms=at_ms, drained=True)
    if gap is not None:
        open_gap(db, row, gap, until_ms=at_ms, at_ms=at_ms)


def note_unread(db: apsw.Connection, lease: Lease, stream: Stream, at_ms: int) -> None:
    """One gap for each time that the queue was left alone too long, however often it is said."""
    check_lease(db, lease)
    row = find_or_add(db, stream)
    since_ms = _since_ms(row, at_ms)
    if db.execute(_SQL["find_gap"], (row.id, GapCause.UNREAD, since_ms)).fetchone() is None:
        open_gap(db, row, GapCause.UNREAD, until_ms=at_ms, at_ms=at_ms)


def clear_own_mark(db: apsw.Connection, stream_id: int, lease: Lease) -> None:
    db.execute(_SQL["clear_own_mark"], (stream_id, lease.token))


def note_success(
    db: apsw.Connection, stream_id: int, *, requested_at_ms: int, received_at_ms: int, drained: bool
) -> None:
    """A good answer came. `drained`: it held less than it could, so the queue was empty after it."""
    db.execute(_SQL["note_success"], (stream_id, received_at_ms, requested_at_ms, drained))


def open_gap(db: apsw.Connection, row: StreamRow, cause: GapCause, *, until_ms: int, at_ms: int) -> None:
    """From the last good answer until now. Without a good answer since, an open one of that cause only grows."""
    since_ms = _since_ms(row, at_ms)
    if db.execute(_SQL["extend_gap"], (row.id, cause, since_ms, until_ms)).fetchone() is None:
        drained_at_ms = None if row.drained_at_ms is None else min(row.drained_at_ms, at_ms)
        db.execute(_SQL["open_gap"], (row.id, cause, since_ms, until_ms, drained_at_ms, at_ms))


def _give_up_mark(db: apsw.Connection, row: StreamRow, at_ms: int) -> None:
    open_gap(db, row, GapCause.INTERRUPTED, until_ms=at_ms, at_ms=at_ms)
    db.execute(_SQL["clear_mark"], (row.id,))


def _since_ms(row: StreamRow, at_ms: int) -> int:
    """What came before the request of the last good answer was in that answer, or is still in the queue. Never in the
    future: a clock that was put back would make a gap in which nothing can have been lost."""
    known = next(since for since in (row.answered_from_ms, row.first_poll_at_ms, at_ms) if since is not None)
    return min(known, at_ms)
