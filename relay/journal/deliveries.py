"""Stored deliveries: which entries they hold, when they are due, behind which they wait, how they end."""

from array import array
from collections.abc import Collection, Iterable, Sequence
from typing import Any, NamedTuple

import apsw
import orjson

from relay.domain.report import Entry, Stream
from relay.journal import entries, ids
from relay.journal.codes import DEAD, PENDING, callback_name
from relay.journal.sql import load
from relay.journal.statements import ManyRows, Row, one
from relay.journal.streams import SEQ_BITS, check_lease
from relay.ports import Backlog, Delivery, JournalError, JournalFatal, Lease, NewDelivery

_SQL = load("deliveries")
_STORE = ManyRows(_SQL["store"], _SQL["store_row"], counted=True)
_HOLD = ManyRows(_SQL["hold"], _SQL["hold_row"])


class Subscription(NamedTuple):
    id: int
    stream_id: int
    position: int
    next_seq: int
    pruned_to: int
    stored_reports: int

    @property
    def base(self) -> int:
        """Added to a seq it makes the row id of an entry."""
        return self.stream_id << SEQ_BITS


class Draft(NamedTuple):
    """A delivery to be written: pending, or a dead letter from the start."""

    seqs: tuple[int, ...]
    attempts: int
    created_at_ms: int
    next_attempt_at_ms: int
    dead_at_ms: int | None = None
    dead_reason: str | None = None


class Stored(NamedTuple):
    id: int
    state: int
    reports: int
    seqs: tuple[int, ...]


def subscription(db: apsw.Connection, callback: str, stream: Stream) -> Subscription:
    """:raises JournalError: it was never opened."""
    row = db.execute(_SQL["subscription"], (*stream, callback_name(callback))).fetchone()
    if row is None:
        raise JournalError(f"callback {callback} has no subscription to {stream}: open it first")
    return Subscription._make(row)


def store_deliveries(
    db: apsw.Connection,
    lease: Lease,
    callback: str,
    stream: Stream,
    deliveries: Sequence[NewDelivery],
    position: int,
    at_ms: int,
) -> list[int]:
    check_lease(db, lease)
    owner = subscription(db, callback, stream)
    new_ids = store(db, owner, [Draft(delivery.seqs, 0, at_ms, at_ms) for delivery in deliveries])
    for delivery, id_ in zip(deliveries, new_ids, strict=True):
        if delivery.waits:  # in the order given: later ones wait behind those that were stored just now
            db.execute(_SQL["wait_behind"], (id_, owner.base, owner.base + delivery.seqs[0], owner.id))
    move(db, owner, position)
    return new_ids


def store(db: apsw.Connection, owner: Subscription, drafts: Sequence[Draft]) -> list[int]:
    """Their ids, in order; their members are held from now on."""
    if not drafts:
        return []
    (first_id,) = one(db, _SQL["next_id"])
    values: list[Any] = []
    held: list[int] = []
    for id_, draft in enumerate(drafts, first_id):
        values += _row(draft)
        for seq in draft.seqs:
            held += (owner.base + seq, id_)
    _STORE.execute(db, (first_id, owner.id), values)
    _HOLD.execute(db, (), held)
    dead = sum(len(draft.seqs) for draft in drafts if draft.dead_at_ms is not None)
    count(db, owner, stored=len(held) // 2 - dead, dead=dead)
    return list(range(first_id, first_id + len(drafts)))


def due_deliveries(
    db: apsw.Connection,
    callback: str,
    stream: Stream,
    at_ms: int,
    limit: int,
    max_bytes: int,
    skip: Collection[int],
) -> list[Delivery]:
    owner = subscription(db, callback, stream)
    rows = orjson.loads(one(db, _SQL["due"], (owner.id, at_ms, limit, numbers(skip)))[0])
    seqs_of = {row[0]: _seqs(row[4], row[5]) for row in rows}
    heads = entries.heads_of(db, [owner.base + seq for seqs in seqs_of.values() for seq in seqs])
    chosen = []
    size_bytes = 0
    for row in rows:
        if size_bytes >= max_bytes:
            break
        chosen.append(row)
        size_bytes += sum(_size(heads, owner.base + seq) for seq in seqs_of[row[0]])
    members = entries.join(db, [heads[owner.base + seq] for row in chosen for seq in seqs_of[row[0]]])
    return [
        Delivery(
            id_,
            callback,
            stream,
            tuple(_member(members, owner, seq) for seq in seqs_of[id_]),
            attempts,
            created_at_ms,
            next_attempt_at_ms,
        )
        for id_, attempts, created_at_ms, next_attempt_at_ms, _, _ in chosen
    ]


def next_due_at_ms(db: apsw.Connection, callback: str, stream: Stream, skip: Collection[int]) -> int | None:
    owner = subscription(db, callback, stream)
    found = db.execute(_SQL["next_due"], (owner.id, numbers(skip))).fetchone()
    return int(found[0]) if found else None


def pending_message_ids(db: apsw.Connection, callback: str, stream: Stream, message_ids: Sequence[str]) -> set[str]:
    """Along the chain of each id's entries: what is stored is found without an index of its own."""
    if not message_ids:
        return set()
    owner = subscription(db, callback, stream)
    by_key = dict(zip(map(ids.keys_of(owner.stream_id), message_ids), message_ids, strict=True))
    seen = ids.look_up(db, list(by_key))
    known = [by_key[key] for key in seen]
    newest = numbers([owner.base + one.last_seq for one in seen.values()])
    found = db.execute(_SQL["pending_messages"], (newest, owner.base, owner.id))
    return {known[n - 1] for (n,) in found}


def backlog(db: apsw.Connection, callback: str, stream: Stream) -> Backlog:
    owner = subscription(db, callback, stream)
    after, end = owner.base + owner.position, owner.base + owner.next_seq
    stored = db.execute(_SQL["oldest_stored"], (owner.id,)).fetchone()
    unread = db.execute(_SQL["first_after"], (after, end)).fetchone()
    return Backlog(
        owner.stored_reports,
        owner.next_seq - 1 - owner.position,
        stored[0] if stored else None,
        unread[0] if unread else None,
    )


def find(db: apsw.Connection, owner: Subscription, delivery_ids: Collection[int]) -> dict[int, Stored]:
    rows: list[Row] = db.execute(_SQL["find"], (numbers(delivery_ids), owner.id)).fetchall()
    return {id_: Stored(id_, state, reports, _seqs(first, seqs)) for id_, state, reports, first, seqs in rows}


def end(db: apsw.Connection, owner: Subscription, ended: Sequence[Stored], at_ms: int) -> int:
    """They are done: gone, their entries let go. How many that waited behind them are free now."""
    if not ended:
        return 0
    gone = numbers([stored.id for stored in ended])
    held = numbers([owner.base + seq for stored in ended for seq in stored.seqs])
    db.execute(_SQL["let_go"], (held, gone))
    db.execute(_SQL["end"], (gone,))
    db.execute(_SQL["release"], (held, at_ms, owner.base + owner.pruned_to))
    dead = sum(stored.reports for stored in ended if stored.state == DEAD)
    pending = sum(stored.reports for stored in ended if stored.state == PENDING)
    count(db, owner, stored=-pending, dead=-dead)
    return free_those_behind(db, [stored.id for stored in ended])


def retry(db: apsw.Connection, retries: Iterable[tuple[int, int]]) -> None:
    """(delivery id, next attempt at): one attempt more."""
    db.executemany(_SQL["retry"], retries)


def bury(
    db: apsw.Connection, owner: Subscription, dead: Sequence[tuple[Stored, str]], at_ms: int, *, attempts: int
) -> int:
    """Pending ones to dead letters, with the reason; `attempts` is added. How many that waited are free now."""
    if not dead:
        return 0
    db.executemany(_SQL["wait_on"], [(stored.id,) for stored, _ in dead])
    db.executemany(_SQL["bury"], [(stored.id, at_ms, reason, attempts) for stored, reason in dead])
    reports = sum(stored.reports for stored, _ in dead)
    count(db, owner, stored=-reports, dead=reports)
    return free_those_behind(db, [stored.id for stored, _ in dead])


def revive(
    db: apsw.Connection, owner: Subscription, dead: Sequence[Stored], at_ms: int, *, replay_id: int | None = None
) -> list[Stored]:
    """Dead letters to pending ones, due now, as if they were created now; those that were. The others lack a body."""
    whole = [stored for stored in dead if stored.state == DEAD and has_bodies(db, owner, stored.seqs)]
    db.executemany(_SQL["revive"], [(stored.id, at_ms, replay_id) for stored in whole])
    reports = sum(stored.reports for stored in whole)
    count(db, owner, stored=reports, dead=-reports)
    wait_in_turn(db, owner, [(stored.id, stored.seqs) for stored in whole])
    return whole


def has_bodies(db: apsw.Connection, owner: Subscription, seqs: Sequence[int]) -> bool:
    """Whether a full disk, or time, has left all of these entries whole."""
    (whole,) = one(db, _SQL["whole"], (numbers([owner.base + seq for seq in seqs]),))
    return bool(whole == len(seqs))


def wait_in_turn(db: apsw.Connection, owner: Subscription, stored: Sequence[tuple[int, Sequence[int]]]) -> None:
    """Deliveries (id, seqs) with a later revision wait behind the pending one with the revision before it.

    What holds several reports waits only for what lies wholly before it: no two can wait for each other.
    """
    by_entry = {owner.base + seq: (id_, seqs) for id_, seqs in stored for seq in seqs}
    later: list[Row] = db.execute(_SQL["later_revisions"], (numbers(by_entry),)).fetchall()
    for (entry_id,) in later:
        id_, seqs = by_entry[entry_id]
        if len(seqs) == 1:
            db.execute(_SQL["wait_behind"], (id_, owner.base, entry_id, owner.id))
            continue
        holders: list[Row] = db.execute(_SQL["earlier_holders"], (owner.base, entry_id, owner.id)).fetchall()
        before = [holder for holder, first, held in holders if max(_seqs(first, held)) < min(seqs)]
        if before:
            db.execute(_SQL["set_behind"], (id_, before[0]))


def free_those_behind(db: apsw.Connection, delivery_ids: Collection[int]) -> int:
    db.execute(_SQL["move_behind"], (numbers(delivery_ids),))
    return db.changes()


def count(db: apsw.Connection, owner: Subscription, *, stored: int, dead: int) -> None:
    if stored or dead:
        db.execute(_SQL["count"], (owner.id, stored, dead))


def move(db: apsw.Connection, owner: Subscription, position: int) -> None:
    """Forward only."""
    if position > owner.position:
        db.execute(_SQL["move"], (owner.id, position))


def _row(draft: Draft) -> tuple[Any, ...]:
    return (
        PENDING if draft.dead_at_ms is None else DEAD,
        draft.attempts,
        draft.created_at_ms,
        draft.next_attempt_at_ms,
        len(draft.seqs),
        draft.seqs[0],
        orjson.dumps(draft.seqs).decode() if len(draft.seqs) > 1 else None,
        draft.dead_at_ms,
        draft.dead_reason,
    )


def numbers(collection: Collection[int]) -> "apsw.CArrayBinding":
    """For ``carray``, which cannot be empty; no id is ever 0."""
    return apsw.carray(array("q", list(collection) or [0]))


def _seqs(first_seq: int, seqs: str | None) -> tuple[int, ...]:
    return (first_seq,) if seqs is None else tuple(orjson.loads(seqs))


def _size(heads: dict[int, list[Any]], entry_id: int) -> int:
    if entry_id not in heads:
        raise JournalFatal(f"entry {entry_id} is held by a delivery, but it is not in the journal")
    return int(heads[entry_id][8])


def _member(members: dict[int, Entry], owner: Subscription, seq: int) -> Entry:
    return members[owner.base + seq]
