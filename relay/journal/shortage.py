"""When the disk is short even of what is needed: bodies that Kafka holds go, oldest first, and are counted.

A callback that loses them gets dead letters without a body instead; those can be listed, not sent.
"""

import apsw

from relay.domain.report import Stream
from relay.journal import cursors, deliveries, streams, tallies
from relay.journal.deliveries import Draft
from relay.journal.pruning import MAX_ROWS
from relay.journal.shedding import as_filtered
from relay.journal.sql import load
from relay.journal.statements import Row, one
from relay.journal.streams import StreamRow
from relay.ports import Pruned

_SQL = load("pruning")

REASON = "disk full: the body was dropped, Kafka has it"


def drop_bodies(db: apsw.Connection, stream: Stream, at_ms: int) -> Pruned:
    """The oldest bodies of the stream up to Kafka's cursor."""
    row = streams.find_or_add(db, stream)
    position = cursors.kafka_position(db, row.id)
    if position is None or position <= row.emptied_to:
        return Pruned()
    bounds = (row.base + row.emptied_to, row.base + position, MAX_ROWS)
    found: list[Row] = db.execute(_SQL["bodies"], bounds).fetchall()
    end = found[-1][0] - row.base if len(found) == MAX_ROWS else min(position, row.last_seq)
    lost = _give_up_pending(db, row, end, at_ms) + _pass_over(db, row, end, found, at_ms)
    db.execute(_SQL["entries"], (row.base + row.emptied_to, row.base + end))
    db.execute(_SQL["empty"], (row.base + row.emptied_to, row.base + end))
    db.execute(_SQL["attempts"], (row.id, row.emptied_to, end))
    db.execute(_SQL["arrivals"], (row.id, end))
    db.execute(_SQL["publications"], (row.id, end))
    db.execute(_SQL["emptied_to"], (row.id, end))
    tallies.prune(db, row, end)
    newest_ms = max((received_at_ms for *_, received_at_ms in found), default=0)
    return Pruned(entries=len(found), dead_letters=lost, more=bool(found), early=len(found), early_until_ms=newest_ms)


def _give_up_pending(db: apsw.Connection, row: StreamRow, end: int, at_ms: int) -> int:
    """Stored deliveries with a member among the bodies; how many reports they have."""
    holders: list[Row] = db.execute(_SQL["pending_holders"], (row.base + row.emptied_to, row.base + end)).fetchall()
    reports = 0
    for subscription_id in {owner_id for _, owner_id in holders}:
        source, kind, callback = one(db, _SQL["subscription_of"], (subscription_id,))
        owner = deliveries.subscription(db, callback, Stream(source, kind))
        stored = deliveries.find(db, owner, [id_ for id_, owner_id in holders if owner_id == subscription_id])
        deliveries.bury(db, owner, [(delivery, REASON) for delivery in stored.values()], at_ms, attempts=0)
        reports += sum(delivery.reports for delivery in stored.values())
    return reports


def _pass_over(db: apsw.Connection, row: StreamRow, end: int, found: list[Row], at_ms: int) -> int:
    """Callbacks whose cursor has not come so far; how many reports they lose."""
    reports = 0
    stream = one(db, _SQL["stream_of"], (row.id,))
    behind: list[Row] = db.execute(_SQL["callbacks_behind"], (row.id, end)).fetchall()
    for callback, types, groups in behind:
        owner = deliveries.subscription(db, callback, Stream(*stream))
        wanted = cursors.wanted_of(types, groups)
        drafts = [
            Draft((id_ - row.base,), 0, received_at_ms, at_ms, at_ms, REASON)
            for id_, type_, group, received_at_ms in found
            if id_ > owner.base + owner.position and wanted.takes(as_filtered(id_ - row.base, type_, group))
        ]
        deliveries.store(db, owner, drafts)
        deliveries.move(db, owner, end)
        reports += len(drafts)
    return reports
