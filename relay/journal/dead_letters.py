"""Deliveries given up: found, put back to be sent again, dropped."""

from array import array
from collections.abc import Sequence

import apsw
import orjson

from relay.domain.history import AttemptLine, DeadLetter, DeadLetterContent, DeadLetterFilter, Revived
from relay.domain.report import Stream
from relay.journal import deliveries, entries
from relay.journal.codes import RESULTS, callback_name
from relay.journal.deliveries import numbers
from relay.journal.sql import load
from relay.journal.statements import Row
from relay.journal.streams import SEQ_BITS

_SQL = load("dead_letters")


def matching(db: apsw.Connection, wanted: DeadLetterFilter, after_id: int, limit: int) -> list[DeadLetter]:
    """By id, after `after_id`."""
    name = None if wanted.callback is None else callback_name(wanted.callback)
    bindings = (after_id, limit, name, *wanted[1:])
    rows: list[Row] = db.execute(_SQL["matching"], bindings).fetchall()
    return [_dead_letter(db, row) for row in rows]


def find(db: apsw.Connection, id_: int) -> DeadLetterContent | None:
    row = db.execute(_SQL["one"], (id_,)).fetchone()
    if row is None:
        return None
    *columns, subscription_id = row
    letter = _dead_letter(db, tuple(columns))
    held = _held(tuple(columns))
    heads = entries.heads_of(db, held)
    members = entries.join(db, [heads[entry_id] for entry_id in held if entry_id in heads])
    seqs = [entry_id & ((1 << SEQ_BITS) - 1) for entry_id in held]
    tried: list[Row] = db.execute(_SQL["attempts"], (subscription_id, min(seqs), max(seqs))).fetchall()
    return DeadLetterContent(
        letter,
        tuple(members[entry_id] for entry_id in held if entry_id in members),
        tuple(
            AttemptLine(letter.callback, started_at_ms, duration_us / 1e6, status, RESULTS[result], error, answer)
            for started_at_ms, duration_us, status, result, error, answer in tried
        ),
    )


def revive(db: apsw.Connection, ids: Sequence[int], at_ms: int) -> Revived:
    """What is whole goes back among the deliveries, due now and as if it were new."""
    revived: list[int] = []
    reports = 0
    without_body: list[int] = []
    subscriptions: list[tuple[str, Stream]] = []
    for (callback, stream), owned in _by_owner(db, ids).items():
        owner = deliveries.subscription(db, callback, stream)
        dead = list(deliveries.find(db, owner, owned).values())
        whole = deliveries.revive(db, owner, dead, at_ms)
        reports += sum(stored.reports for stored in whole)
        back = {stored.id for stored in whole}
        revived += back
        without_body += [id_ for id_ in owned if id_ not in back]
        if back:
            subscriptions.append((callback, stream))
    return Revived(tuple(sorted(revived)), reports, tuple(sorted(without_body)), frozenset(subscriptions))


def drop(db: apsw.Connection, ids: Sequence[int], at_ms: int) -> tuple[int, ...]:
    """Which of them were dead letters and are gone now; counted."""
    dropped: list[int] = []
    for (callback, stream), owned in _by_owner(db, ids).items():
        owner = deliveries.subscription(db, callback, stream)
        dead = list(deliveries.find(db, owner, owned).values())
        deliveries.end(db, owner, dead, at_ms)
        db.execute(_SQL["count_dropped"], (owner.id, sum(stored.reports for stored in dead)))
        dropped += [stored.id for stored in dead]
    return tuple(sorted(dropped))


def _by_owner(db: apsw.Connection, ids: Sequence[int]) -> dict[tuple[str, Stream], list[int]]:
    owners: dict[tuple[str, Stream], list[int]] = {}
    rows: list[Row] = db.execute(_SQL["owners"], (numbers(set(ids)),)).fetchall()
    for id_, source, kind, callback in rows:
        owners.setdefault((callback, Stream(source, kind)), []).append(id_)
    return owners


def _dead_letter(db: apsw.Connection, row: Row) -> DeadLetter:
    id_, callback, source, kind, attempts, created_at_ms, dead_at_ms, reason, *_, status = row
    held = _held(row)
    members: list[Row] = db.execute(_SQL["members"], (apsw.carray(array("q", held)),)).fetchall()
    return DeadLetter(
        id_,
        callback,
        Stream(source, kind),
        tuple(message_id for message_id, _ in members),
        attempts,
        created_at_ms,
        dead_at_ms,
        reason,
        len(members) == len(held) and all(has_body for _, has_body in members),
        status,
    )


def _held(row: Row) -> list[int]:
    """Row ids of its entries, in its order."""
    stream_id, first_seq, seqs = row[8:11]
    return [stream_id << SEQ_BITS | seq for seq in (orjson.loads(seqs) if seqs else [first_seq])]
