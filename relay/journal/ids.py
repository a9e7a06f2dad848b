"""The dedup window: what is known of each messageId, compact, in one index that is also the table.

Keys are random, so that a new one dirties a page of the index for itself alone. New ones therefore go to the end of a
log, and into a temporary table in memory that is looked up beside the index; from there they go into the index in the
order of its keys, round and round: one lap for so many new ids, many of them for each page that is written.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import apsw
import orjson

from relay.domain.dedup import Known
from relay.journal.sql import load
from relay.journal.statements import ManyRows, Row, one

_SQL = load("ids")
_KEEP = ManyRows(_SQL["keep"], _SQL["keep_row"], counted=True)

HOUR_MS = 3_600_000

_POSITION_BYTES = 4
_LAP_END = 1 << 8 * _POSITION_BYTES
_BEYOND_ALL_KEYS = b"\xff" * 17


class Seen(NamedTuple):
    known: Known
    last_seq: int
    """The newest entry with this messageId; each entry names the one before it."""


class Newest(NamedTuple):
    revision: int
    last_seq: int
    seen_at_hours: int


def keys_of(stream_id: int) -> Callable[[str], bytes]:
    """Makes the keys of a stream: 16 bytes each, so that nobody can find two messageIds that share one."""
    start = hashlib.blake2b(digest_size=16, person=stream_id.to_bytes(16, "big")).copy

    def key_of(message_id: str) -> bytes:
        digest = start()
        digest.update(message_id.encode())
        return digest.digest()

    return key_of


def prepare(db: apsw.Connection, lap_ids: int) -> None:
    """On the connection that writes, once: what the log holds and the index does not is in memory again."""
    db.execute(_SQL["set_length"], (lap_ids,))
    _, position, began_at_id, _, _ = one(db, _SQL["lap"])
    db.execute(_SQL["fresh"])
    db.execute(_SQL["remember"], (began_at_id, _prefix(position)))


def look_up(db: apsw.Connection, keys: Sequence[bytes]) -> dict[bytes, Seen]:
    """What is known of these keys, all in one statement; on the connection that writes."""
    if not keys:
        return {}
    found = orjson.loads(one(db, _SQL["look_up"], (apsw.carray(tuple(keys)),))[0])
    return {keys[n - 1]: Seen(Known(outcomes, revision), last_seq) for n, outcomes, revision, last_seq in found}


def newest(db: apsw.Connection, key: bytes) -> Newest | None:
    """What is known of a key, from any connection; reads the whole log."""
    row: Row | None = db.execute(_SQL["newest"], (key,)).fetchone()
    return Newest(*row) if row else None


def keep(db: apsw.Connection, seen: Mapping[bytes, Seen], at_ms: int) -> None:
    """In the order of the keys: neighbours in the index are written together."""
    if not seen:
        return
    values: list[Any] = []
    for key in sorted(seen):
        (outcomes, revision), last_seq = seen[key]
        values += (key, outcomes, revision, last_seq)
    first_id, position, began_at_id, taken_to_id, lap_ids = one(db, _SQL["lap"])
    _KEEP.execute(db, (first_id, at_ms // HOUR_MS), values)
    db.execute(_SQL["keep_fresh"], (first_id,))
    next_id = first_id + len(seen)
    position = _take_in(db, position, min(position + max(1, len(seen) * _LAP_END // lap_ids), _LAP_END))
    if position == _LAP_END:
        position, began_at_id, taken_to_id = 0, next_id, began_at_id
    db.execute(_SQL["set_lap"], (next_id, position, began_at_id, taken_to_id))
    db.execute(_SQL["trim"], (taken_to_id, 2 * len(seen)))


def _take_in(db: apsw.Connection, position: int, end: int) -> int:
    """From memory into the index; how far the lap is now."""
    keys = _prefix(position), _prefix(end)
    db.execute(_SQL["take_in"], keys)
    db.execute(_SQL["drop_fresh"], keys)
    return end


def _prefix(position: int) -> bytes:
    return _BEYOND_ALL_KEYS if position == _LAP_END else position.to_bytes(_POSITION_BYTES, "big")
