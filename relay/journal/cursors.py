"""Subscriptions: how far Kafka and each callback have come in a stream, and what that holds."""

from collections.abc import Collection

import apsw

from relay.domain.report import Stream
from relay.journal import streams
from relay.journal.codes import callback_name
from relay.journal.sql import load
from relay.journal.statements import Row, one
from relay.ports import Lease, LocalCursor

_SQL = load("cursors")


def local_cursor(db: apsw.Connection, stream: Stream) -> LocalCursor | None:
    row = streams.find(db, stream)
    found = db.execute(_SQL["kafka_cursor"], (row.id,)).fetchone() if row else None
    return LocalCursor._make(found) if found else None


def confirm_cursor(
    db: apsw.Connection, lease: Lease, stream: Stream, position: int, cluster_id: str | None, at_ms: int
) -> None:
    streams.check_lease(db, lease)
    row = streams.find_or_add(db, stream)
    db.execute(_SQL["keep_kafka_cursor"], (row.id, position, cluster_id, at_ms))
    db.execute(_SQL["raise_next_seq"], (row.id, position))


def confirm_without_kafka(db: apsw.Connection, lease: Lease, stream: Stream) -> None:
    """The position stays known, for a Kafka that comes back; it holds nothing."""
    streams.check_lease(db, lease)
    row = streams.find_or_add(db, stream)
    db.execute(_SQL["retire_kafka"], (row.id,))


def advance(
    db: apsw.Connection, lease: Lease, stream: Stream, position: int, cluster_id: str | None, at_ms: int
) -> None:
    streams.check_lease(db, lease)
    row = streams.find_or_add(db, stream)
    db.execute(_SQL["keep_kafka_cursor"], (row.id, position, cluster_id, at_ms))


def open_subscription(
    db: apsw.Connection, lease: Lease, callback: str, stream: Stream, *, earliest: bool, at_ms: int
) -> int:
    streams.check_lease(db, lease)
    row = streams.find_or_add(db, stream)
    start = row.pruned_to if earliest else row.last_seq
    (position,) = one(db, _SQL["subscribe"], (row.id, callback_name(callback), start, at_ms))
    return int(position)


def unpublished(db: apsw.Connection, stream: Stream) -> int:
    """Without Kafka the fastest callback counts: a dead one must not stop polling for the others."""
    found = db.execute(_SQL["unpublished"], stream).fetchone()
    return int(found[0]) if found else 0


def retire_subscriptions(
    db: apsw.Connection, active: Collection[tuple[str, Stream]], at_ms: int, retention_ms: int
) -> list[tuple[str, Stream]]:
    """Mark those of callbacks that are no longer configured; drop those that were marked longer than the retention."""
    dropped = []
    rows: list[Row] = db.execute(_SQL["callbacks"]).fetchall()
    for id_, callback, source, kind, retired_at_ms in rows:
        subscription = (callback, Stream(source, kind))
        if subscription in active:
            if retired_at_ms is not None:
                db.execute(_SQL["set_retired"], (id_, None))
        elif retired_at_ms is None:
            db.execute(_SQL["set_retired"], (id_, at_ms))
        elif retired_at_ms <= at_ms - retention_ms:
            db.execute(_SQL["drop"], (id_,))
            dropped.append(subscription)
    return dropped
