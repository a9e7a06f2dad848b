"""What an HTTP try leaves behind: history always, and what follows from it for its delivery."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import apsw
import orjson

from relay.domain.report import Stream
from relay.journal import deliveries
from relay.journal.codes import DELIVERED, GIVEN_UP, PENDING, RETRIED
from relay.journal.deliveries import Draft, Stored, Subscription
from relay.journal.sql import load
from relay.journal.statements import ManyRows
from relay.journal.streams import check_lease
from relay.ports import AttemptRecord, Lease

_SQL = load("deliveries")
_ATTEMPT = ManyRows(_SQL["attempt"], _SQL["attempt_row"])

_ANSWER_BYTES = 1024
_ERROR_CHARACTERS = 500


class Outcome(NamedTuple):
    """Attempts of stored deliveries, sorted by what becomes of these."""

    ended: list[Stored]
    retried: list[tuple[int, int]]
    dead: list[tuple[Stored, str]]


def record_attempts(
    db: apsw.Connection,
    lease: Lease,
    callback: str,
    stream: Stream,
    attempts: Sequence[AttemptRecord],
    position: int,
) -> int:
    check_lease(db, lease)
    owner = deliveries.subscription(db, callback, stream)
    values: list[Any] = []
    unstored: list[Draft] = []
    stored: list[AttemptRecord] = []
    for attempt in attempts:
        values += _history(attempt)
        if attempt.delivery_id is not None:
            stored.append(attempt)
        elif not attempt.delivered:
            unstored.append(_draft(attempt))
    _ATTEMPT.execute(db, (owner.id,), values)
    deliveries.store(db, owner, unstored)
    released = _settle(db, owner, stored) if stored else 0
    deliveries.move(db, owner, position)
    return released


def _settle(db: apsw.Connection, owner: Subscription, attempts: Sequence[AttemptRecord]) -> int:
    """How many deliveries became due by it."""
    at_ms = max(_ended_at_ms(attempt) for attempt in attempts)
    outcome = _sort(db, owner, attempts)
    deliveries.retry(db, outcome.retried)
    released = deliveries.end(db, owner, outcome.ended, at_ms)
    return released + deliveries.bury(db, owner, outcome.dead, at_ms, attempts=1)


def _sort(db: apsw.Connection, owner: Subscription, attempts: Sequence[AttemptRecord]) -> Outcome:
    """One that was dropped meanwhile is left out; one that became a dead letter meanwhile may still be delivered."""
    known = deliveries.find(db, owner, [attempt.delivery_id or 0 for attempt in attempts])
    outcome = Outcome([], [], [])
    for attempt in attempts:
        stored = known.get(attempt.delivery_id or 0)
        if stored is None:
            continue
        if attempt.delivered:
            outcome.ended.append(stored)
        elif stored.state != PENDING:
            continue
        elif attempt.next_attempt_at_ms is not None:
            outcome.retried.append((stored.id, attempt.next_attempt_at_ms))
        else:
            outcome.dead.append((stored, attempt.dead_reason or ""))
    return outcome


def _history(attempt: AttemptRecord) -> tuple[Any, ...]:
    seqs = attempt.seqs
    first, last = min(seqs), max(seqs)
    return (
        first,
        attempt.started_at_ms,
        last,
        attempt.delivery_id,
        int(attempt.duration_seconds * 1e6),
        attempt.status,
        DELIVERED if attempt.delivered else RETRIED if attempt.next_attempt_at_ms is not None else GIVEN_UP,
        attempt.error[:_ERROR_CHARACTERS],
        attempt.answer[:_ANSWER_BYTES],
        None if last - first + 1 == len(seqs) else orjson.dumps(seqs).decode(),
    )


def _draft(attempt: AttemptRecord) -> Draft:
    """The first try of a single report failed: from now on it is a stored delivery, or a dead letter."""
    if attempt.next_attempt_at_ms is not None:
        return Draft(attempt.seqs, 1, attempt.started_at_ms, attempt.next_attempt_at_ms)
    at_ms = _ended_at_ms(attempt)
    return Draft(attempt.seqs, 1, attempt.started_at_ms, at_ms, at_ms, attempt.dead_reason or "")


def _ended_at_ms(attempt: AttemptRecord) -> int:
    return attempt.started_at_ms + int(attempt.duration_seconds * 1000)
