"""Entries that give way: Kafka gave their seqs to other records, so they get new ones and are published under these.

That is so after two relays ran on copies of one journal: each gave the same seqs to what it had read itself.
"""

from collections.abc import Sequence

import apsw

from relay.domain.report import Entry, Stream
from relay.journal import cursors, entries, ids, streams, tallies
from relay.journal.sql import load
from relay.journal.statements import one
from relay.journal.streams import StreamRow
from relay.ports import AdoptedRecord, Displaced, Lease

_SQL = load("entries")


def displace(db: apsw.Connection, stream: Stream, records: Sequence[AdoptedRecord], position: int) -> list[Displaced]:
    """Entries of the same seqs as `records` that are others go to the end, after `position`, in their order."""
    row = streams.find_or_add(db, stream)
    known = _entries(db, row, [record.seq for record in records])
    others = [known[record.seq] for record in records if record.seq in known and _differ(known[record.seq], record)]
    if not others:
        return []
    first_seq = max(row.next_seq, position + 1)
    new_seqs = {entry.seq: seq for seq, entry in enumerate(others, first_seq)}
    kept_seq = cursors.kafka_position(db, row.id) or 0
    for old_seq, new_seq in new_seqs.items():
        (previous_seq,) = one(db, _SQL["move"], (row.base + old_seq, row.base + new_seq))
        if previous_seq is not None and previous_seq > kept_seq:  # it may be another entry by now
            db.execute(_SQL["link"], (row.base + new_seq, new_seqs.get(previous_seq)))
        db.execute(_SQL["move_quarantined"], (row.base + old_seq, row.base + new_seq))
    types, groups = [entry.type for entry in others], [entry.status_group for entry in others]
    tallies.take_away(db, row.id, new_seqs.keys(), types, groups)
    tallies.add(db, row.id, new_seqs.values(), types, groups)
    _find_again(db, row, others, new_seqs)
    entries.set_next_seq(db, row, first_seq + len(others))
    return [Displaced(new_seqs[entry.seq], entry.message_id, entry.value) for entry in others]


def pass_over(db: apsw.Connection, lease: Lease, stream: Stream, seqs: Sequence[int]) -> None:
    streams.check_lease(db, lease)
    row = streams.find_or_add(db, stream)
    for seq in seqs:
        db.execute(_SQL["pass_over"], (row.base + seq,))


def _entries(db: apsw.Connection, row: StreamRow, seqs: Sequence[int]) -> dict[int, Entry]:
    heads = entries.heads_of(db, [row.base + seq for seq in seqs])
    return {entry.seq: entry for entry in entries.join(db, list(heads.values())).values()}


def _differ(entry: Entry, record: AdoptedRecord) -> bool:
    return (entry.message_id, entry.revision, entry.value) != (record.message_id, record.revision, record.value)


def _find_again(db: apsw.Connection, row: StreamRow, others: Sequence[Entry], new_seqs: dict[int, int]) -> None:
    """The ids whose newest entry was moved name the new place."""
    key_of = ids.keys_of(row.id)
    keys = {key_of(entry.message_id): entry for entry in others if entry.message_id}
    moved = {
        key: seen._replace(last_seq=new_seqs[seen.last_seq])
        for key, seen in ids.look_up(db, list(keys)).items()
        if seen.last_seq in new_seqs
    }
    ids.keep(db, moved, max(entry.received_at_ms for entry in others))
