"""Which entries a replay sends in which POST: as they were sent before, as far as history reaches."""

from typing import NamedTuple

import apsw
import orjson

from relay.domain.replay import ReplayRequest
from relay.journal import deliveries
from relay.journal.deliveries import Subscription
from relay.journal.shedding import as_filtered
from relay.journal.sql import load
from relay.journal.statements import Row, one
from relay.ports import Wanted

_SQL = load("replays")

MAX_SCANNED = 5000
"""Entries that one transaction looks at, about."""


class Selection(NamedTuple):
    """Which entries of which subscription are meant."""

    owner: Subscription
    wanted: Wanted
    request: ReplayRequest
    batch_size: int

    def takes(self, seq: int, type_: int, status_group: int | None, received_at_ms: int) -> bool:
        request = self.request
        return (
            request.since_ms <= received_at_ms < request.until_ms
            and self.wanted.takes(as_filtered(seq, type_, status_group))
            and (request.status_groups is None or status_group in request.status_groups)
        )


class Part(NamedTuple):
    """The entries up to `end` that are to be sent, a tuple of seqs for each POST, ascending by their first."""

    groups: list[tuple[int, ...]]
    end: int
    without_body: int = 0
    """Entries that are meant, but a full disk took what they held."""


def read_part(db: apsw.Connection, selection: Selection, after: int, until: int, most_reports: int) -> Part:
    """The next entries after `after`, at least one POST; at most about `most_reports` and MAX_SCANNED entries."""
    owner = selection.owner
    heads = _heads(db, owner, after, until, MAX_SCANNED)
    chosen, end = _chosen(selection, heads, after, most_reports)
    if len(heads) < MAX_SCANNED and end == (heads[-1][0] if heads else after):
        end = until
    if selection.batch_size > 1:
        return _batched(db, selection, after, min(until, max(end, _batches_end(db, owner, after, end))))
    return Part([(seq,) for seq, has_body in chosen if has_body], end, sum(not has_body for _, has_body in chosen))


def _chosen(
    selection: Selection, heads: list[Row], after: int, most_reports: int
) -> tuple[list[tuple[int, bool]], int]:
    """(seq, whether it has a body) of what is meant, and the last entry that was looked at."""
    chosen: list[tuple[int, bool]] = []
    end = after
    for seq, type_, status_group, received_at_ms, has_body in heads:
        if len(chosen) >= most_reports:
            break
        end = seq
        if selection.takes(seq, type_, status_group, received_at_ms):
            chosen.append((seq, bool(has_body)))
    return chosen, end


def _batched(db: apsw.Connection, selection: Selection, after: int, end: int) -> Part:
    """What was in one POST stays together, also if only a part of it is meant; the rest fills batches anew."""
    owner = selection.owner
    heads = _heads(db, owner, after, end, end - after)
    chosen, _ = _chosen(selection, heads, after, len(heads) + 1)
    former = _former_batches(db, owner, after, end)
    groups: dict[tuple[int, ...], None] = {}
    loose: list[int] = []
    for seq, has_body in chosen:
        batch = former.get(seq)
        if batch is not None and (batch in groups or deliveries.has_bodies(db, owner, batch)):
            groups[batch] = None
        elif has_body:
            loose.append(seq)
    size = selection.batch_size
    anew = [tuple(loose[start : start + size]) for start in range(0, len(loose), size)]
    return Part(sorted([*groups, *anew]), end, sum(not has_body for _, has_body in chosen))


def _former_batches(db: apsw.Connection, owner: Subscription, after: int, end: int) -> dict[int, tuple[int, ...]]:
    """By seq, the members of the last batch that it was in."""
    rows: list[Row] = db.execute(_SQL["batches"], (owner.id, after, end)).fetchall()
    former: dict[int, tuple[int, ...]] = {}
    for first, last, seqs in rows:
        members = tuple(range(first, last + 1)) if seqs is None else tuple(orjson.loads(seqs))
        former |= dict.fromkeys(members, members)
    return former


def _batches_end(db: apsw.Connection, owner: Subscription, after: int, end: int) -> int:
    """No batch that begins in between goes beyond it."""
    (last,) = one(db, _SQL["batches_end"], (owner.id, after, end))
    return int(last or 0)


def _heads(db: apsw.Connection, owner: Subscription, after: int, until: int, limit: int) -> list[Row]:
    """(seq, type, status group, received at, has a body), ascending."""
    rows = db.execute(_SQL["heads"], (owner.base + after, owner.base + until, limit))
    return [(id_ - owner.base, *rest) for id_, *rest in rows]
