"""Which callbacks are paused: a row of the table `meta` each, for it is few and small."""

import apsw
import orjson

from relay.domain.pausing import Pause, PausedBy
from relay.journal.sql import load

_SQL = load("pauses")
_PREFIX = "paused/"


def keep(db: apsw.Connection, callback: str, pause: Pause | None) -> None:
    """None: it is not paused."""
    name = _PREFIX + callback
    if pause is None:
        db.execute(_SQL["forget"], (name,))
    else:
        value = {"by": pause.by.value, "reason": pause.reason, "at_ms": pause.at_ms}
        db.execute(_SQL["keep"], (name, orjson.dumps(value).decode()))


def kept(db: apsw.Connection) -> dict[str, Pause]:
    """By callback."""
    return {name.removeprefix(_PREFIX): _pause(value) for name, value in db.execute(_SQL["kept"])}


def _pause(value: str) -> Pause:
    fields = orjson.loads(value)
    return Pause(PausedBy(fields["by"]), fields["reason"], fields["at_ms"])
