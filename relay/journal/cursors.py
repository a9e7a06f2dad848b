"""Subscriptions: how far Kafka and each callback have come in a stream, and what that holds."""

from collections.abc import Collection

import apsw
import orjson

from relay.domain.cursor import Begin, KafkaCursor, begin_after
from relay.domain.report import EntryType, Stream
from relay.journal import deliveries, pauses, replays, streams
from relay.journal.codes import ENTRY_TYPES, callback_name
from relay.journal.sql import load
from relay.journal.statements import Row, one
from relay.ports import CursorOutside, Lease, LocalCursor, Wanted

_SQL = load("cursors")

MAX_DROPPED = 2000
"""Deliveries, and attempts, of a retired subscription that go in one transaction."""

_ALL_REPORTS = frozenset({EntryType.REPORT, EntryType.COMPLETION, EntryType.REVISION})


def local_cursor(db: apsw.Connection, stream: Stream) -> LocalCursor | None:
    row = streams.find(db, stream)
    found = db.execute(_SQL["kafka_cursor"], (row.id,)).fetchone() if row else None
    return LocalCursor._make(found) if found else None


def confirm_cursor(
    db: apsw.Connection, lease: Lease, stream: Stream, position: int, cluster_id: str | None, at_ms: int
) -> None:
    streams.check_lease(db, lease)
    row = streams.find_or_add(db, stream)
    _keep_kafka_cursor(db, row.id, position, cluster_id, at_ms)
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
    _keep_kafka_cursor(db, row.id, position, cluster_id, at_ms)


def kafka_position(db: apsw.Connection, stream_id: int) -> int | None:
    """None without Kafka."""
    found = db.execute(_SQL["kafka_position"], (stream_id,)).fetchone()
    return int(found[0]) if found else None


def kafka_cursors(db: apsw.Connection) -> list[KafkaCursor]:
    rows: list[Row] = db.execute(_SQL["kafka_cursors"]).fetchall()
    return [KafkaCursor(Stream(source, kind), *cursor) for source, kind, *cursor in rows]


def place_kafka_cursor(db: apsw.Connection, stream: Stream, begin: int | Begin, at_ms: int) -> KafkaCursor | None:
    """None if the stream has no cursor.

    :raises CursorOutside: the journal does not hold what would follow.
    """
    row, local = streams.find(db, stream), local_cursor(db, stream)
    if row is None or local is None:
        return None
    cursor = KafkaCursor(stream, *local, row.last_seq, row.pruned_to)
    position = begin_after(cursor, begin)
    if position is None:
        raise CursorOutside(cursor.earliest, cursor.last_seq)
    db.execute(_SQL["place_kafka_cursor"], (row.id, position, at_ms))
    return cursor._replace(position=position, cluster_id=None, at_ms=at_ms)


def open_subscription(
    db: apsw.Connection,
    lease: Lease,
    callback: str,
    stream: Stream,
    *,
    earliest: bool,
    at_ms: int,
    wanted: Wanted | None,
) -> int:
    streams.check_lease(db, lease)
    row = streams.find_or_add(db, stream)
    start = row.pruned_to if earliest else row.last_seq
    name = callback_name(callback)
    (position,) = one(db, _SQL["subscribe"], (row.id, name, start, at_ms, *_wanted_columns(wanted)))
    return int(position)


def unpublished(db: apsw.Connection, stream: Stream) -> int:
    """Without Kafka the fastest callback counts: a dead one must not stop polling for the others."""
    found = db.execute(_SQL["unpublished"], stream).fetchone()
    return int(found[0]) if found else 0


def retire_subscriptions(
    db: apsw.Connection, active: Collection[tuple[str, Stream]], at_ms: int, retention_ms: int
) -> list[tuple[str, Stream]]:
    """Mark those of callbacks that are no longer configured; drop those that were marked longer than the retention,
    with all that they had stored. The dropped are told."""
    dropped = []
    rows: list[Row] = db.execute(_SQL["callbacks"]).fetchall()
    for id_, callback, source, kind, retired_at_ms in rows:
        name = (callback, Stream(source, kind))
        if name in active:
            if retired_at_ms is not None:
                db.execute(_SQL["set_retired"], (id_, None))
        elif retired_at_ms is None:
            db.execute(_SQL["set_retired"], (id_, at_ms))
        elif retired_at_ms <= at_ms - retention_ms and _drop(db, *name, at_ms):
            dropped.append(name)
    return dropped


def _drop(db: apsw.Connection, callback: str, stream: Stream, at_ms: int) -> bool:
    """A bounded part of what it had stored is let go; when nothing is left, the subscription goes."""
    owner = deliveries.subscription(db, callback, stream)
    rows: list[Row] = db.execute(_SQL["any_deliveries"], (owner.id, MAX_DROPPED)).fetchall()
    stored = deliveries.find(db, owner, [id_ for (id_,) in rows])
    deliveries.end(db, owner, list(stored.values()), at_ms)
    db.execute(_SQL["drop_attempts"], (owner.id, MAX_DROPPED))
    if len(rows) == MAX_DROPPED or db.changes() == MAX_DROPPED:
        return False
    replays.forget(db, owner.id)
    db.execute(_SQL["drop"], (owner.id,))
    if db.execute(_SQL["any_of_callback"], (callback_name(callback),)).fetchone() is None:
        pauses.keep(db, callback, None)
    return True


def _keep_kafka_cursor(db: apsw.Connection, stream_id: int, position: int, cluster_id: str | None, at_ms: int) -> None:
    db.execute(_SQL["keep_kafka_cursor"], (stream_id, position, cluster_id, at_ms))
    db.execute(_SQL["note_publication"], (stream_id, position, at_ms))


def _wanted_columns(wanted: Wanted | None) -> tuple[str | None, str | None]:
    """JSON arrays; None: all."""
    if wanted is None:
        return None, None
    groups = wanted.status_groups
    return (
        orjson.dumps(sorted(wanted.types)).decode(),
        None if groups is None else orjson.dumps(sorted(groups)).decode(),
    )


def wanted_of(types: str | None, groups: str | None) -> Wanted:
    """What `open_subscription` was told, from the columns that keep it."""
    return Wanted(
        _ALL_REPORTS if types is None else frozenset(ENTRY_TYPES[type_] for type_ in orjson.loads(types)),
        None if groups is None else frozenset(orjson.loads(groups)),
    )
