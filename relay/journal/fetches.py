"""Responses of one-time endpoints, raw, until they are unpacked."""

import apsw

from relay.domain.report import GapCause, Origin, Stream
from relay.journal import streams
from relay.journal.codes import ORIGIN_CODES, ORIGINS
from relay.journal.sql import load
from relay.journal.statements import one
from relay.journal.streams import StreamRow
from relay.ports import ClaimedFetch, Fetch, Lease, LeaseLost

_SQL = load("fetches")


class FirstClaims(set[int]):
    """Fetches that this process appended and nobody claimed yet, by id. Their first claim was counted with the append:
    a commit less for each answer, and if the process dies before, it is counted all the same. Of the writing thread."""


def append_fetch(
    db: apsw.Connection,
    lease: Lease | None,
    stream: Stream,
    fetch: Fetch,
    gap: GapCause | None,
    first_claims: FirstClaims,
) -> int:
    """A body in hand is written whoever holds the lease by now: it exists nowhere else."""
    row = streams.find_or_add(db, stream)
    db.execute(
        _SQL["append"],
        (
            row.id,
            ORIGIN_CODES[fetch.origin],
            fetch.requested_at_ms,
            fetch.received_at_ms,
            fetch.status,
            fetch.content_type,
            fetch.complete,
            fetch.entries_estimate,
            fetch.base_url,
        ),
    )
    fetch_id = db.last_insert_rowid()
    db.execute(_SQL["append_body"], (fetch_id, fetch.body))
    db.execute(_SQL["count_in"], (row.id, fetch.entries_estimate))
    if lease is not None and fetch.origin is Origin.POLL:
        streams.clear_own_mark(db, row.id, lease)
    if gap is not None:
        streams.open_gap(db, row, gap, until_ms=fetch.received_at_ms, at_ms=fetch.received_at_ms)
    first_claims.add(fetch_id)
    return fetch_id


def claim_fetch(db: apsw.Connection, stream: Stream, first_claims: FirstClaims) -> ClaimedFetch | None:
    """The oldest of the stream, its claims counted; one that this process claimed and let fall is offered again."""
    row = streams.find(db, stream)
    found = db.execute(_SQL["oldest"], (row.id,)).fetchone() if row else None
    if found is None:
        return None
    fetch_id, claims, origin, requested_at_ms, received_at_ms, status, content_type, complete, estimate, url = found
    if fetch_id in first_claims:
        first_claims.remove(fetch_id)
    else:
        claims += 1
        db.execute(_SQL["claim"], (fetch_id, claims))
    (body,) = one(db, _SQL["body"], (fetch_id,))
    fetch = Fetch(
        ORIGINS[origin],
        requested_at_ms,
        received_at_ms,
        status,
        content_type,
        body,
        bool(complete),
        estimate,
        url,
    )
    return ClaimedFetch(fetch_id, stream, claims, fetch)


def release_fetch(db: apsw.Connection, row: StreamRow, claimed: ClaimedFetch) -> None:
    """First of all in its transaction: the pages of the body are what the reports are written to on a full disk.

    :raises LeaseLost: it was claimed again or unpacked since.
    """
    released = db.execute(_SQL["release"], (claimed.id, row.id, claimed.claims)).fetchone()
    if released is None:
        raise LeaseLost(f"fetch {claimed.id} of {claimed.stream} was claimed again or unpacked since")
    db.execute(_SQL["release_body"], (claimed.id,))
    db.execute(_SQL["count_out"], (row.id, released[0]))
    fetch = claimed.fetch
    times = (fetch.requested_at_ms, fetch.received_at_ms)
    origin = ORIGIN_CODES[fetch.origin]
    db.execute(_SQL["arrived"], (row.id, row.next_seq, claimed.id, origin, *times, fetch.status, fetch.complete))
