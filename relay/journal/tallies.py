"""How many entries of which sort a stream has, kept by the 4096 seqs: counting a filtered backlog reads few rows."""

from array import array
from collections import Counter
from collections.abc import Iterable
from itertools import repeat
from operator import rshift

import apsw

from relay.journal.sql import load
from relay.journal.statements import ManyRows, one
from relay.journal.streams import SEQ_BITS, StreamRow
from relay.ports import Wanted

_SQL = load("tallies")
_ADD = ManyRows(_SQL["add"], _SQL["add_row"], _SQL["add_tail"])

_BUCKET_BITS = 12
_NO_GROUP = -1
_NONE_WANTED = -2


def add(
    db: apsw.Connection, stream_id: int, seqs: Iterable[int], types: Iterable[int], groups: Iterable[int | None]
) -> None:
    """Of each entry its seq, type and status group; as many as the shortest of them has."""
    _count(db, stream_id, seqs, types, groups, sign=1)


def take_away(
    db: apsw.Connection, stream_id: int, seqs: Iterable[int], types: Iterable[int], groups: Iterable[int | None]
) -> None:
    """The reverse of `add`."""
    _count(db, stream_id, seqs, types, groups, sign=-1)


def count_wanted(db: apsw.Connection, stream_id: int, after_seq: int, wanted: Wanted) -> int:
    """How many entries after `after_seq` the callback gets; reads one bucket's entries and the sums of the others."""
    bucket = after_seq >> _BUCKET_BITS
    types = apsw.carray(array("q", [int(type_) for type_ in wanted.types] or [_NONE_WANTED]))
    groups = apsw.carray(array("q", list(wanted.status_groups or ()) or [_NONE_WANTED]))
    any_group = wanted.status_groups is None
    (later,) = one(db, _SQL["sum"], (stream_id, bucket, types, any_group, groups))
    base = stream_id << SEQ_BITS
    end = base + ((bucket + 1) << _BUCKET_BITS)
    (near,) = one(db, _SQL["count"], (base + after_seq, end, types, any_group, groups))
    return int(later) + int(near)


def prune(db: apsw.Connection, row: StreamRow, pruned_to: int) -> None:
    db.execute(_SQL["prune"], (row.id, pruned_to >> _BUCKET_BITS))


def _count(
    db: apsw.Connection,
    stream_id: int,
    seqs: Iterable[int],
    types: Iterable[int],
    groups: Iterable[int | None],
    *,
    sign: int,
) -> None:
    counts = Counter(zip(map(rshift, seqs, repeat(_BUCKET_BITS)), types, groups, strict=False))
    values: list[int] = []
    for (bucket, type_, group), count in counts.items():
        values += (bucket, type_, _NO_GROUP if group is None else group, sign * count)
    _ADD.execute(db, (stream_id,), values)
