"""Replays: what a callback got before goes among its deliveries again, a bounded part at a time, resumable.

A replay never touches the cursor: what lies after it comes by the live flow. Reports that are pending anyway are left
out, dead letters are put back as they are, and what was sent in one POST is sent in one POST again, so that the id is
the same.
"""

import sys
from collections.abc import Sequence

import apsw
import orjson

from relay.domain.replay import ReplayCount, ReplayRequest, ReplayRun, ReplaySpan, ReplayState
from relay.domain.report import Stream
from relay.journal import deliveries, replay_groups, streams
from relay.journal.codes import DEAD, PENDING, callback_name
from relay.journal.deliveries import Draft, Subscription, numbers
from relay.journal.replay_groups import Part, Selection
from relay.journal.sql import load
from relay.journal.statements import Row, one
from relay.ports import Fed, JournalError, Lease, ReplayOpen, Wanted

_SQL = load("replays")

SLACK_MS = 600_000
"""Entries stand in the order in which they were unpacked; so far their times of arrival may be out of order."""


def start(db: apsw.Connection, request: ReplayRequest, at_ms: int) -> ReplayRun | None:
    """None if the callback follows no such stream.

    :raises ReplayOpen: another one of the callback has not ended.
    """
    owners = _owners(db, request)
    if not owners:
        return None
    unfinished = db.execute(_SQL["open_of"], (request.callback,)).fetchone()
    if unfinished is not None:
        raise ReplayOpen(int(unfinished[0]))
    groups = None if request.status_groups is None else orjson.dumps(sorted(request.status_groups)).decode()
    db.execute(_SQL["start"], (request.callback, request.since_ms, request.until_ms, groups, at_ms))
    id_ = db.last_insert_rowid()
    for stream, owner in owners.items():
        after, until = bounds(db, owner, stream, request)
        db.execute(_SQL["add_span"], (id_, owner.id, after, until, owner.pruned_to))
    return find(db, id_)


def find(db: apsw.Connection, id_: int) -> ReplayRun | None:
    row = db.execute(_SQL["one"], (id_,)).fetchone()
    if row is None:
        return None
    _, callback, state, since_ms, until_ms, groups, started_at_ms, ended_at_ms, dead = row
    pending, untried = one(db, _SQL["reports"], (id_, PENDING))
    if not ReplayState(state).is_over:
        dead, _ = one(db, _SQL["reports"], (id_, DEAD))
    wanted = None if groups is None else frozenset(orjson.loads(groups))
    spans: list[Row] = db.execute(_SQL["spans"], (id_,)).fetchall()
    return ReplayRun(
        id_,
        ReplayRequest(callback, since_ms, until_ms, status_groups=wanted),
        ReplayState(state),
        started_at_ms,
        ended_at_ms,
        tuple(ReplaySpan(Stream(source, kind), *rest) for source, kind, *rest in spans),
        pending,
        untried,
        dead,
    )


def listed(db: apsw.Connection, before_id: int | None, limit: int) -> list[ReplayRun]:
    """Newest first."""
    rows: list[Row] = db.execute(_SQL["listed"], (before_id or sys.maxsize, limit)).fetchall()
    return [run for (id_,) in rows if (run := find(db, id_)) is not None]


def unfinished(db: apsw.Connection) -> list[ReplayRun]:
    rows: list[Row] = db.execute(_SQL["open"]).fetchall()
    return [run for (id_,) in rows if (run := find(db, id_)) is not None]


def set_state(db: apsw.Connection, id_: int, state: ReplayState, at_ms: int) -> ReplayRun | None:
    """Unless it is over."""
    if state.is_over:
        dead, _ = one(db, _SQL["reports"], (id_, DEAD))
        db.execute(_SQL["end"], (id_, state, at_ms, dead))
    else:
        db.execute(_SQL["set_state"], (id_, state))
    return find(db, id_)


def feed(
    db: apsw.Connection,
    lease: Lease,
    run: ReplayRun,
    stream: Stream,
    wanted: Wanted,
    *,
    batch_size: int,
    most_reports: int,
    at_ms: int,
) -> Fed:
    """The next part of the replay in one stream among the deliveries, due at once."""
    streams.check_lease(db, lease)
    callback = run.request.callback
    found = db.execute(_SQL["span"], (run.id, callback_name(callback), *stream)).fetchone()
    state = db.execute(_SQL["one"], (run.id,)).fetchone()
    if found is None or state is None or state[2] != ReplayState.RUNNING:
        return Fed(0, more=False)
    _, position, until, pruned_to = found
    owner = deliveries.subscription(db, callback, stream)
    selection = Selection(owner, wanted, run.request, batch_size)
    part = replay_groups.read_part(db, selection, position, until, most_reports)
    waiting, dead, fresh = _sorted(db, owner, part)
    new_ids = deliveries.store(db, owner, [Draft(seqs, 0, at_ms, at_ms) for seqs in fresh])
    db.execute(_SQL["mark"], (numbers(new_ids), run.id))
    stored = list(deliveries.find(db, owner, dead).values())
    revived = deliveries.revive(db, owner, stored, at_ms, replay_id=run.id)
    deliveries.wait_in_turn(db, owner, list(zip(new_ids, fresh, strict=True)))
    reports = sum(map(len, fresh)) + sum(letter.reports for letter in revived)
    gone = _gone(db, owner, max(position, pruned_to), min(part.end, owner.pruned_to)) + part.without_body
    db.execute(_SQL["move"], (run.id, owner.id, part.end, reports, waiting, gone))
    return Fed(reports, more=part.end < until)


def count(
    db: apsw.Connection, request: ReplayRequest, stream: Stream, wanted: Wanted, after_seq: int | None, *, limit: int
) -> tuple[ReplayCount, int | None]:
    """What a replay would send of the entries after `after_seq` (None: from its beginning), looking at `limit` of them;
    and after which entry to go on."""
    owner = deliveries.subscription(db, request.callback, stream)
    first, until = bounds(db, owner, stream, request)
    part = replay_groups.read_part(
        db, Selection(owner, wanted, request, 1), first if after_seq is None else after_seq, until, limit
    )
    waiting, dead, fresh = _sorted(db, owner, part)
    found = deliveries.find(db, owner, dead)
    dead_reports = sum(letter.reports for letter in found.values())
    counted = ReplayCount(len(fresh) + dead_reports, waiting, dead_reports)
    return counted, part.end if part.end < until else None


def streams_of(db: apsw.Connection, request: ReplayRequest) -> list[Stream]:
    """Those of the request that the callback follows."""
    return list(_owners(db, request))


def history_from_ms(db: apsw.Connection, request: ReplayRequest) -> int | None:
    """When the oldest entry arrived that is still there, where what was asked for begins before that; None if all of
    it is there. Of several streams, of that which goes back least."""
    oldest_ms = []
    for owner in _owners(db, request).values():
        if not owner.pruned_to:
            continue
        found = db.execute(_SQL["at"], (owner.base + owner.pruned_to, owner.base + owner.next_seq)).fetchone()
        at_ms = int(found[1]) if found else request.until_ms
        if request.since_ms < at_ms:
            oldest_ms.append(at_ms)
    return max(oldest_ms, default=None)


def bounds(db: apsw.Connection, owner: Subscription, stream: Stream, request: ReplayRequest) -> tuple[int, int]:
    """After which seq, and up to which, the entries of the request's times lie: found by halving, with slack.

    An entry that arrived in time cannot lie before one that arrived SLACK_MS earlier. What is after the cursor is left
    to the live flow; values that a full disk took are not there.
    """
    row = streams.find(db, stream)
    if row is None:
        raise JournalError(f"no stream {stream}")
    low = row.emptied_to
    after = _last_before(db, owner, low, owner.position, request.since_ms - SLACK_MS)
    until = _last_before(db, owner, after, owner.position, request.until_ms + SLACK_MS)
    return after, until


def held_from(db: apsw.Connection, stream_id: int, started_after_ms: int) -> int | None:
    """Up to which seq nothing holds a stream for a replay; None if no replay needs its entries."""
    (position,) = one(db, _SQL["held_from"], (stream_id, started_after_ms))
    return None if position is None else int(position)


def forget(db: apsw.Connection, subscription_id: int) -> None:
    """The subscription is gone, and so is what was to be sent to it again."""
    db.execute(_SQL["forget_spans"], (subscription_id,))


def drop_old(db: apsw.Connection, before_ms: int, limit: int) -> None:
    """Replays that ended before."""
    for (id_,) in db.execute(_SQL["old"], (before_ms, limit)).fetchall():
        db.execute(_SQL["old_spans"], (id_,))


def _owners(db: apsw.Connection, request: ReplayRequest) -> dict[Stream, Subscription]:
    name = callback_name(request.callback)
    rows: list[Row] = db.execute(_SQL["subscriptions"], (name, request.source, request.kind)).fetchall()
    return {
        stream: deliveries.subscription(db, request.callback, stream)
        for stream in (Stream(source, kind) for _, source, kind in rows)
    }


def _last_before(db: apsw.Connection, owner: Subscription, low: int, high: int, at_ms: int) -> int:
    """The greatest seq in [low, high] up to which everything came before `at_ms`, as far as halving can tell."""
    while low < high:
        middle = (low + high) // 2
        found = db.execute(_SQL["at"], (owner.base + middle, owner.base + high)).fetchone()
        if found is None or found[1] >= at_ms:
            high = middle
        else:
            low = found[0] - owner.base
    return low


def _sorted(
    db: apsw.Connection, owner: Subscription, part: Part
) -> tuple[int, Sequence[int], Sequence[tuple[int, ...]]]:
    """Of the part: reports that wait anyway, ids of dead letters to put back, and what is to be stored."""
    seqs = [owner.base + seq for group in part.groups for seq in group]
    rows: list[Row] = db.execute(_SQL["holders"], (numbers(seqs), owner.id)).fetchall()
    pending = {entry_id - owner.base for entry_id, _, state in rows if state == PENDING}
    dead = {entry_id - owner.base: id_ for entry_id, id_, state in rows if state == DEAD}
    waiting = 0
    letters: dict[int, None] = {}
    fresh = []
    for group in part.groups:
        if not pending.isdisjoint(group):
            waiting += len(group)
        elif letters_of_group := [dead[seq] for seq in group if seq in dead]:
            letters |= dict.fromkeys(letters_of_group)
        else:
            fresh.append(group)
    return waiting, list(letters), fresh


def _gone(db: apsw.Connection, owner: Subscription, after: int, until: int) -> int:
    if until <= after:
        return 0
    (gone,) = one(db, _SQL["gone"], (owner.base + after, owner.base + until))
    return int(gone)
