"""The dedup window: what is known of each messageId, compact, in one index that is also the table.

Keys are random, so that a new one dirties a page of the index for itself alone. New ones therefore go to the end of a
log and stay in memory; from there they go into the index in the order of its keys, round and round: one lap for so many
new ids, many of them for each page that is written. The log is what counts: memory follows it.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import apsw
import orjson

from relay.domain.dedup import Known
from relay.journal.sql import load
from relay.journal.statements import ManyRows, Row, one

_SQL = load("ids")
_INDEX = ManyRows(_SQL["index"], _SQL["index_row"])

HOUR_MS = 3_600_000

_KEY_BYTES = 16
_PARTS = 256
"""Of the keys, by their first byte; a lap takes in one after the other."""
_PART = 1 << 24
_LAP_END = _PARTS * _PART


class Seen(NamedTuple):
    """What is kept of a messageId; where each report passes, a plain tuple of the same."""

    outcomes: str
    revision: int
    last_seq: int
    """The newest entry with this messageId; each entry names the one before it."""

    @property
    def known(self) -> Known:
        """For the decision about its next report."""
        return Known(self.outcomes, self.revision)


class Newest(NamedTuple):
    """What an operator is told of a messageId."""

    revision: int
    last_seq: int
    seen_at_hours: int


_Row = tuple[bytes, str, int, int, int]
"""As it goes into the index: key, outcomes, revision, last seq, seen in which hour."""


class _Lap(NamedTuple):
    """How far the log was taken into the index."""

    next_id: int
    """Of the log."""
    position: int
    """From 0 to `_LAP_END`."""
    began_at_id: int
    """Rows of the log below it came before this lap."""
    taken_to_id: int
    """Rows below it are in the index."""
    length: int
    """New ids that a lap takes."""


class IdsConnection(apsw.Connection):
    """The connection that writes, with the ids that are not in the index yet."""

    def __init__(self, *args: Any, **keywords: Any) -> None:
        super().__init__(*args, **keywords)
        self.fresh: dict[bytes, _Row] = {}
        """By key."""
        self.parts: list[list[bytes]] = []
        """The same keys, by their first byte."""
        self.lap: _Lap | None = None
        """With which memory agrees. After a rollback the file says something else, and the log is read again."""


def keys_of(stream_id: int) -> Callable[[str], bytes]:
    """Makes the keys of a stream, long enough that nobody can find two messageIds that share one."""
    start = hashlib.blake2b(digest_size=_KEY_BYTES, person=stream_id.to_bytes(16, "big")).copy

    def key_of(message_id: str) -> bytes:
        digest = start()
        digest.update(message_id.encode())
        return digest.digest()

    return key_of


def prepare(db: apsw.Connection, lap_ids: int) -> None:
    """When the connection that writes is opened, so that no transaction has to read the log."""
    db.execute(_SQL["set_length"], (lap_ids,))
    _agreeing(db)


def look_up(db: apsw.Connection, keys: Sequence[bytes]) -> dict[bytes, Seen]:
    """What is known of these keys; on the connection that writes."""
    writer, _ = _agreeing(db)
    seen: dict[bytes, Seen] = {}
    for key in writer.fresh.keys() & keys:
        _, outcomes, revision, last_seq, _ = writer.fresh[key]
        seen[key] = Seen(outcomes, revision, last_seq)
    others = tuple(key for key in keys if key not in seen) if seen else tuple(keys)
    if others:
        found = orjson.loads(one(db, _SQL["look_up"], (apsw.carray(others),))[0])
        for n, outcomes, revision, last_seq in found:
            seen[others[n - 1]] = Seen(outcomes, revision, last_seq)
    return seen


def newest(db: apsw.Connection, key: bytes) -> Newest | None:
    """What is known of a key, from any connection; reads the whole log."""
    found: Row | None = db.execute(_SQL["indexed"], (key,)).fetchone()
    for _, row in _logged(db):
        if row[0] == key:
            found = row[1:]
    return Newest(*found[1:]) if found else None


def keep(db: apsw.Connection, seen: Mapping[bytes, tuple[str, int, int]], at_ms: int) -> None:
    """Into the log and memory; and about as many of those that waited there, into the index."""
    if not seen:
        return
    writer, lap = _agreeing(db)
    writer.lap = None  # until all of this is done
    hours = at_ms // HOUR_MS
    known: list[Any] = []
    fresh, parts = writer.fresh, writer.parts
    for key, kept in seen.items():
        known += kept
        if key not in fresh:
            parts[key[0]].append(key)
        outcomes, revision, last_seq = kept
        fresh[key] = (key, outcomes, revision, last_seq, hours)
    db.execute(_SQL["log"], (lap.next_id, b"".join(seen), orjson.dumps(known).decode(), hours))
    writer.lap = _gone_on(writer, lap, len(seen))
    db.execute(_SQL["trim"], (writer.lap.taken_to_id,))


def forget(db: apsw.Connection, before_hours: int) -> int:
    """What was seen before that hour and is not in the index; how many."""
    writer, lap = _agreeing(db)
    waiting = len(writer.fresh)
    db.execute(_SQL["forget"], (before_hours,))
    if db.changes():
        _set_lap(writer, lap._replace(next_id=lap.next_id + 1))  # so that memory agrees no longer
        writer, _ = _agreeing(db)
    return waiting - len(writer.fresh)


def _agreeing(db: apsw.Connection) -> tuple[IdsConnection, _Lap]:
    """Memory as the file has it now, whatever was rolled back since."""
    if not isinstance(db, IdsConnection):
        raise TypeError("ids that wait are known to the connection that writes alone")
    lap = _Lap(*one(db, _SQL["lap"]))
    if lap != db.lap:
        part = lap.position // _PART
        db.fresh = {row[0]: row for id_, row in _logged(db) if id_ >= lap.began_at_id or row[0][0] >= part}
        db.parts = [[] for _ in range(_PARTS)]
        for key in db.fresh:
            db.parts[key[0]].append(key)
        db.lap = lap
    return db, lap


def _logged(db: apsw.Connection) -> Iterator[tuple[int, _Row]]:
    """What is in the log, oldest first, each with the id of its row there."""
    for id_, keys, known, hours in db.execute(_SQL["logged"]):
        told = iter(orjson.loads(known))
        starts = range(0, len(keys), _KEY_BYTES)
        for start, outcomes, revision, last_seq in zip(starts, told, told, told, strict=True):
            yield id_, (keys[start : start + _KEY_BYTES], outcomes, revision, last_seq, hours)


def _gone_on(writer: IdsConnection, lap: _Lap, count: int) -> _Lap:
    """By the part of a lap that so many new ids make; the keys passed go into the index, in order."""
    next_id = lap.next_id + count
    position = min(lap.position + max(1, count * _LAP_END // lap.length), _LAP_END)
    take = writer.fresh.pop
    for part in range(lap.position // _PART, position // _PART):
        keys, writer.parts[part] = writer.parts[part], []
        values: list[Any] = []
        for key in sorted(keys):
            values += take(key)
        _INDEX.execute(writer, (), values)
    if position < _LAP_END:
        return _set_lap(writer, lap._replace(next_id=next_id, position=position))
    return _set_lap(writer, _Lap(next_id, 0, next_id, lap.began_at_id, lap.length))


def _set_lap(db: apsw.Connection, lap: _Lap) -> _Lap:
    db.execute(_SQL["set_lap"], lap[:4])
    return lap
