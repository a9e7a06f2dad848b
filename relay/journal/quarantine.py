"""What was no report, or was refused, until somebody retries or drops it."""

import apsw
import orjson

from relay.domain.decode_again import usable, why_not_usable
from relay.domain.history import Quarantined, QuarantineFilter, Retried
from relay.domain.report import Decoded, Entry, EntryType, Stream
from relay.journal import entries, ids, streams
from relay.journal.codes import ORIGIN_CODES, ORIGINS
from relay.journal.ids import Seen
from relay.journal.recording import Appended, draft_of, write_draft
from relay.journal.sql import load
from relay.journal.statements import Row, one
from relay.journal.streams import SEQ_BITS, StreamRow
from relay.ports import ClaimedFetch, Fetch

_SQL = load("quarantine")


def quarantined(db: apsw.Connection, wanted: QuarantineFilter, after_id: int, limit: int) -> list[Quarantined]:
    """By id, after `after_id`."""
    source, kind, reason, with_done = wanted
    rows: list[Row] = db.execute(_SQL["list"], (after_id, source, kind, reason, with_done, limit)).fetchall()
    return [_quarantined(row) for row in rows]


def find(db: apsw.Connection, id_: int) -> Quarantined | None:
    row: Row | None = db.execute(_SQL["one"], (id_,)).fetchone()
    return _quarantined(row) if row else None


def quarantined_bytes(db: apsw.Connection, id_: int) -> bytes | None:
    row = db.execute(_SQL["bytes"], (id_,)).fetchone()
    return bytes(row[0]) if row else None


def retry(db: apsw.Connection, id_: int, decoded: Decoded, at_ms: int) -> tuple[Retried, list[Entry]] | None:
    """What became of it, and the new entries of its stream; None if there is none, or it is done."""
    found: Row | None = db.execute(_SQL["one"], (id_,)).fetchone()
    if found is None or found[9] is not None:
        return None
    quarantined_ = _quarantined(found)
    if quarantined_.message_id:
        return Retried(sent_again=True), _send_again(db, quarantined_, orjson.loads(found[8]), at_ms)
    if not usable(decoded):
        reason = why_not_usable(decoded)
        db.execute(_SQL["still"], (id_, reason))
        return Retried(reason=reason), []
    appended = _record(db, quarantined_, decoded, at_ms)
    return Retried(appended.recorded), appended.entries


def drop(db: apsw.Connection, id_: int) -> bool:
    """Whether there was one."""
    found = db.execute(_SQL["drop"], (id_,)).fetchone()
    if found is not None and found[0]:
        _count_out(db, id_)
    return found is not None


def _record(db: apsw.Connection, of: Quarantined, decoded: Decoded, at_ms: int) -> Appended:
    """As if a fetch had brought it now: on the way that all reports take."""
    row = streams.find_or_add(db, of.stream)
    fetch = Fetch(of.origin, at_ms, at_ms, 200, "", b"", complete=True, entries_estimate=0)
    claimed = ClaimedFetch(of.fetch_id or 0, of.stream, 1, fetch)
    draft = draft_of(db, row, claimed, decoded.entries)
    write_draft(db, row, claimed, draft)
    _end(db, of.id, at_ms)
    return Appended(draft.recorded, draft.entries)


def _send_again(db: apsw.Connection, of: Quarantined, identity: Row, at_ms: int) -> list[Entry]:
    """The record at the end of its stream, as it was: Kafka has never had it, so nothing decides about it anew."""
    row = streams.find_or_add(db, of.stream)
    type_, message_id, revision, status_group = identity
    (value,) = one(db, _SQL["bytes"], (of.id,))
    before = _seen(db, row, message_id)
    previous_seq = before.last_seq if before else None
    values = (type_, message_id, revision, status_group, previous_seq, value)
    entries.append(db, row, values, origin=ORIGIN_CODES[of.origin], received_at_ms=at_ms, quarantined=0)
    if before is not None:
        ids.keep(db, {ids.keys_of(row.id)(message_id): before._replace(last_seq=row.next_seq)}, at_ms)
    _end(db, of.id, at_ms)
    return [
        Entry(row.next_seq, EntryType(type_), message_id, revision, of.origin, at_ms, status_group, bytes(value)),
    ]


def _seen(db: apsw.Connection, row: StreamRow, message_id: str) -> Seen | None:
    key = ids.keys_of(row.id)(message_id)
    return ids.look_up(db, [key]).get(key)


def _end(db: apsw.Connection, id_: int, at_ms: int) -> None:
    db.execute(_SQL["done"], (id_, at_ms))
    _count_out(db, id_)


def _count_out(db: apsw.Connection, id_: int) -> None:
    db.execute(_SQL["count_out"], (id_ >> SEQ_BITS,))


def _quarantined(row: Row) -> Quarantined:
    id_, source, kind, reason, at_ms, fetch_id, size_bytes, origin, refused, done_at_ms = row
    message_id = orjson.loads(refused)[1] if refused else ""
    seq = id_ & ((1 << SEQ_BITS) - 1)
    stream = Stream(source, kind)
    return Quarantined(id_, stream, seq, reason, at_ms, fetch_id, size_bytes, ORIGINS[origin], message_id, done_at_ms)
