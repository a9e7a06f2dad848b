"""The dedup window: what is known of each messageId, compact, in one index that is also the table."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import apsw
import orjson

from relay.domain.dedup import Known
from relay.journal.sql import load
from relay.journal.statements import ManyRows, one

_SQL = load("entries")
_KEEP = ManyRows(_SQL["keep"], _SQL["keep_row"])

HOUR_MS = 3_600_000


class Seen(NamedTuple):
    known: Known
    last_seq: int
    """The newest entry with this messageId; each entry names the one before it."""


def keys_of(stream_id: int) -> Callable[[str], bytes]:
    """Makes the keys of a stream: 16 bytes each, so that nobody can find two messageIds that share one."""
    start = hashlib.blake2b(digest_size=16, person=stream_id.to_bytes(16, "big")).copy

    def key_of(message_id: str) -> bytes:
        digest = start()
        digest.update(message_id.encode())
        return digest.digest()

    return key_of


def look_up(db: apsw.Connection, keys: Sequence[bytes]) -> dict[bytes, Seen]:
    """What is known of these keys, all in one statement."""
    if not keys:
        return {}
    found = orjson.loads(one(db, _SQL["look_up"], (apsw.carray(tuple(keys)),))[0])
    return {keys[n - 1]: Seen(Known(outcomes, revision), last_seq) for n, outcomes, revision, last_seq in found}


def keep(db: apsw.Connection, seen: Mapping[bytes, Seen], at_ms: int) -> None:
    """In the order of the keys: neighbours in the index are written together."""
    values: list[Any] = []
    for key in sorted(seen):
        (outcomes, revision), last_seq = seen[key]
        values += (key, outcomes, revision, last_seq)
    _KEEP.execute(db, (at_ms // HOUR_MS,), values)
