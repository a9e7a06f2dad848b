"""From a fetch to entries: what is new is appended, what is known is dropped, what is no report is quarantined."""

from collections.abc import Sequence
from typing import NamedTuple

import apsw
import orjson

from relay.domain.dedup import decide
from relay.domain.envelope import quarantine_value, without_bytes
from relay.domain.figures import Recorded
from relay.domain.report import Decoded, Entry, EntryType, GapCause, Origin, Rejected, Report, Stream
from relay.journal import entries, ids, recordings, streams, tallies
from relay.journal.codes import ORIGIN_CODES
from relay.journal.displacing import displace
from relay.journal.draft import Draft
from relay.journal.fetches import release_fetch
from relay.journal.ids import Seen
from relay.journal.sql import load
from relay.journal.streams import StreamRow
from relay.observe.failpoints import Point, reach
from relay.ports import AdoptedRecord, ClaimedFetch, Displaced, Lease

_SQL = load("entries")

FULL_ANSWER = 50
"""A good answer with fewer entries left the queue empty."""


class Appended(NamedTuple):
    """What became of a fetch, and the entries that came of it."""

    recorded: Recorded
    entries: list[Entry]


def record_reports(db: apsw.Connection, claimed: ClaimedFetch, decoded: Decoded, gap: GapCause | None) -> Appended:
    row = streams.find_or_add(db, claimed.stream)
    release_fetch(db, row, claimed)
    draft = draft_of(db, row, claimed, decoded.entries)
    write_draft(db, row, claimed, draft)
    fetch = claimed.fetch
    if decoded.complete and fetch.origin is Origin.POLL:
        streams.note_success(
            db,
            row.id,
            requested_at_ms=fetch.requested_at_ms,
            received_at_ms=fetch.received_at_ms,
            drained=len(decoded.entries) < FULL_ANSWER,
        )
    if gap is not None:
        streams.open_gap(db, row, gap, until_ms=fetch.received_at_ms, at_ms=fetch.received_at_ms)
    reach(Point.UNPACK_RECORDING)
    return Appended(draft.recorded, draft.entries)


def quarantine_fetch(db: apsw.Connection, claimed: ClaimedFetch, reason: str) -> Appended:
    row = streams.find_or_add(db, claimed.stream)
    release_fetch(db, row, claimed)
    draft = Draft(claimed, row.next_seq)
    draft.quarantine(reason, claimed.fetch.body)
    write_draft(db, row, claimed, draft)
    return Appended(draft.recorded, draft.entries)


def record_found(
    db: apsw.Connection, row: StreamRow, claimed: ClaimedFetch, groups: Sequence[Sequence[Report]]
) -> tuple[Appended, list[int]]:
    """Reports that were found otherwise than by a fetch, on the same way as those of one; what each group came to."""
    key_of = ids.keys_of(row.id)
    keys = [[key_of(report.message_id) for report in group] for group in groups]
    known = ids.look_up(db, [key for group in keys for key in group])
    draft = Draft(claimed, row.next_seq)
    counts = []
    for group, keys_of_group in zip(groups, keys, strict=True):
        before = len(draft.entries)
        draft.add(group, keys_of_group, known)
        counts.append(len(draft.entries) - before)
    write_draft(db, row, claimed, draft)
    return Appended(draft.recorded, draft.entries), counts


def refuse_record(db: apsw.Connection, lease: Lease, stream: Stream, seq: int, reason: str) -> None:
    """Kafka passes over the entry; its quarantine entry stands for it. A refused quarantine entry comes again without
    its bytes, and if that is refused too, it stays in the journal alone."""
    streams.check_lease(db, lease)
    row = streams.find_or_add(db, stream)
    refused = db.execute(_SQL["refuse"], (row.base + seq,)).fetchone()
    if refused is None:
        return
    type_, *identity, origin, received_at_ms, value = refused
    if type_ == EntryType.QUARANTINE:
        again = without_bytes(value)
        if again == value:
            return
        kept = 0
    else:
        again = quarantine_value(stream, reason, received_at_ms, None, value)
        kept = 1
        told = orjson.dumps([type_, *identity]).decode()
        db.execute(_SQL["quarantine"], (row.base + row.next_seq, reason, received_at_ms, None, origin, told, value))
    entry = (EntryType.QUARANTINE.value, "", 1, None, None, again)
    entries.append(db, row, entry, origin=origin, received_at_ms=received_at_ms, quarantined=kept)


def adopt_published(
    db: apsw.Connection, lease: Lease, stream: Stream, records: Sequence[AdoptedRecord], position: int
) -> list[Displaced]:
    """What Kafka holds and this journal, restored, does not: entries already published, their ids known again."""
    if not records:
        return []
    streams.check_lease(db, lease)
    displaced = displace(db, stream, records, position)
    row = streams.find_or_add(db, stream)
    key_of = ids.keys_of(row.id)
    keys = [key_of(record.message_id) for record in records]
    seen = ids.look_up(db, keys)
    rows = []
    for key, record in zip(keys, records, strict=True):
        before = seen.get(key)
        # Never a later one, which gave way to a record of Kafka's: links lead back only.
        previous_seq = before.last_seq if before and before.last_seq < record.seq else None
        rows.append(_adopted_row(row, record, previous_seq))
        if record.type == EntryType.RECORDING:
            recordings.note_adopted(db, row, record.message_id, record.origin, record.received_at_ms)
            if before is not None:
                seen[key] = before._replace(last_seq=max(before.last_seq, record.seq))
        elif record.type != EntryType.QUARANTINE:
            seen[key] = _adopted_seen(before, record)
    recordings.add_pending(db, row, [_adopted_entry(record) for record in records])
    unknown = [record for record, values in zip(records, rows, strict=True) if _adopt(db, values)]
    tallies.add(
        db,
        row.id,
        [record.seq for record in unknown],
        [record.type for record in unknown],
        [record.status_group for record in unknown],
    )
    ids.keep(db, seen, max(record.received_at_ms for record in records))
    next_seq = max(row.next_seq, max(record.seq for record in records) + 1)
    entries.set_next_seq(db, row, next_seq)
    return displaced


def draft_of(db: apsw.Connection, row: StreamRow, claimed: ClaimedFetch, found: Sequence[Report | Rejected]) -> Draft:
    key_of = ids.keys_of(row.id)
    keys = [key_of(entry.message_id) if isinstance(entry, Report) else b"" for entry in found]
    draft = Draft(claimed, row.next_seq)
    draft.add(found, keys, ids.look_up(db, keys))
    return draft


def write_draft(db: apsw.Connection, row: StreamRow, claimed: ClaimedFetch, draft: Draft) -> None:
    fetch = claimed.fetch
    if draft.columns:
        entries.append(
            db,
            row,
            draft.columns,
            origin=ORIGIN_CODES[fetch.origin],
            received_at_ms=fetch.received_at_ms,
            quarantined=len(draft.quarantined),
        )
    ids.keep(db, draft.seen, fetch.received_at_ms)
    recordings.add_pending(db, row, draft.entries)
    for seq, reason, raw in draft.quarantined:
        kept = (row.base + seq, reason, fetch.received_at_ms, claimed.id, ORIGIN_CODES[fetch.origin], None, raw)
        db.execute(_SQL["quarantine"], kept)


def _adopt(db: apsw.Connection, row: tuple[object, ...]) -> bool:
    """Whether the entry was not known."""
    db.execute(_SQL["adopt"], row)
    return db.changes() > 0


def _adopted_row(row: StreamRow, record: AdoptedRecord, previous_seq: int | None) -> tuple[object, ...]:
    return (
        row.base + record.seq,
        record.type,
        record.message_id,
        record.revision,
        ORIGIN_CODES[record.origin],
        record.received_at_ms,
        record.status_group,
        previous_seq,
        record.value,
    )


def _adopted_entry(record: AdoptedRecord) -> Entry:
    seq, message_id, revision, type_, origin, received_at_ms, _, _, status_group, value = record
    return Entry(seq, EntryType(type_), message_id, revision, origin, received_at_ms, status_group, value)


def _adopted_seen(before: Seen | None, record: AdoptedRecord) -> Seen:
    """As if the report had been decided here, but with the revision that Kafka has seen."""
    report = Report(record.message_id, record.outcome, record.status_group, record.final, record.value)
    decision = decide(before.known if before else None, report, record.origin)
    if decision is not None:
        known, last_seq = decision.known, record.seq
    elif before is not None:
        known, last_seq = before.known, before.last_seq
    else:
        raise AssertionError("the first report of a messageId is never a duplicate")
    return Seen(known.outcomes, max(known.revision, record.revision), max(last_seq, record.seq))
