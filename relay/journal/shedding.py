"""A callback's backlog within its bounds: the oldest become dead letters, counted."""

from collections.abc import Collection

import apsw

from relay.domain.report import Entry, EntryType, Origin, Stream
from relay.journal import deliveries, streams, tallies
from relay.journal.deliveries import Draft, Subscription, numbers
from relay.journal.sql import load
from relay.journal.statements import Row
from relay.ports import JournalError, Lease, Shed, Wanted

_SQL = load("deliveries")

MAX_SCANNED = 20_000
"""Entries after the cursor that one call looks at, wanted or not."""


def shed_backlog(
    db: apsw.Connection,
    lease: Lease,
    callback: str,
    stream: Stream,
    wanted: Wanted,
    *,
    max_backlog: int,
    created_before_ms: int,
    at_ms: int,
    limit: int,
    skip: Collection[int],
) -> Shed:
    streams.check_lease(db, lease)
    owner = deliveries.subscription(db, callback, stream)
    excess = _excess(db, owner, stream, wanted, max_backlog)
    shed = _shed_stored(db, owner, excess, created_before_ms, at_ms, limit, skip)
    position = owner.position
    if shed < limit:
        buried, position = _shed_unread(db, owner, wanted, excess - shed, created_before_ms, at_ms, limit - shed)
        shed += buried
    return Shed(shed, position)


def _excess(db: apsw.Connection, owner: Subscription, stream: Stream, wanted: Wanted, max_backlog: int) -> int:
    """Reports too many; counted only if the entries after the cursor, wanted or not, could make it so."""
    if owner.stored_reports + owner.next_seq - 1 - owner.position <= max_backlog:
        return 0
    row = streams.find(db, stream)
    if row is None:
        raise JournalError(f"no stream {stream}")
    return max(0, owner.stored_reports + tallies.count_wanted(db, row.id, owner.position, wanted) - max_backlog)


def _shed_stored(
    db: apsw.Connection,
    owner: Subscription,
    excess: int,
    created_before_ms: int,
    at_ms: int,
    limit: int,
    skip: Collection[int],
) -> int:
    chosen: list[tuple[int, str]] = []
    shed = 0
    candidates: list[Row] = db.execute(_SQL["oldest"], (owner.id, limit, numbers(skip))).fetchall()
    for id_, reports, created_at_ms in candidates:
        reason = _reason(excess - shed, created_at_ms, created_before_ms)
        if shed >= limit or reason is None:
            break
        chosen.append((id_, reason))
        shed += reports
    found = deliveries.find(db, owner, [id_ for id_, _ in chosen])
    deliveries.bury(db, owner, [(found[id_], reason) for id_, reason in chosen], at_ms, attempts=0)
    return shed


def _shed_unread(
    db: apsw.Connection,
    owner: Subscription,
    wanted: Wanted,
    excess: int,
    created_before_ms: int,
    at_ms: int,
    limit: int,
) -> tuple[int, int]:
    """How many entries after the cursor became dead letters, and where the cursor stands."""
    drafts: list[Draft] = []
    position = owner.position
    bounds = (owner.base + owner.position, owner.base + owner.next_seq, MAX_SCANNED)
    for id_, type_, status_group, received_at_ms in db.execute(_SQL["unread"], bounds):
        reason = _reason(excess - len(drafts), received_at_ms, created_before_ms)
        if reason is None or len(drafts) >= limit:
            break
        position = id_ - owner.base
        if wanted.takes(as_filtered(position, type_, status_group)):
            drafts.append(Draft((position,), 0, received_at_ms, at_ms, at_ms, reason))
    deliveries.store(db, owner, drafts)
    deliveries.move(db, owner, position)
    return len(drafts), position


def _reason(excess: int, created_at_ms: int, created_before_ms: int) -> str | None:
    if excess > 0:
        return "backlog too large"
    return "too old" if created_at_ms < created_before_ms else None


def as_filtered(seq: int, type_: int, status_group: int | None) -> Entry:
    """As much of an entry as filters look at."""
    return Entry(seq, EntryType(type_), "", 1, Origin.POLL, 0, status_group, b"")
