"""The version of the journal's tables, the steps from one to the next, and whether the content makes sense."""

from pathlib import Path

import apsw

from relay.journal.errors import JournalRefused
from relay.journal.sql import read

APPLICATION_ID = 0x524C4159
"""``RLAY``"""

VERSION = 2
"""Each ``sql/schema_{n}.sql`` leads from version n - 1 to n, in one transaction; version 0 is an empty file."""

_SMALL_TABLES = (
    "meta",
    "leases",
    "streams",
    "gaps",
    "scans",
    "subscriptions",
    "passages",
    "replays",
    "replay_spans",
    "ids_lap",
)
_LARGE_TABLES = {
    "fetches": "id",
    "entries": "id",
    "ids": "key",
    "ids_log": "id",
    "deliveries": "id",
    "quarantine": "entry_id",
    "recordings": "id",
}

_SINCE = {"ids_log": 2, "ids_lap": 2}
"""Tables that earlier versions do not have."""


def check_version(db: apsw.Connection, path: Path) -> None:
    """:raises JournalRefused: written by a newer relay."""
    version = version_of(db)
    if version > VERSION:
        raise JournalRefused(
            f"journal {path} was written by a newer relay (schema {version}, this one knows {VERSION}): run that "
            "version, or restore the backup made before the upgrade"
        )


def version_of(db: apsw.Connection) -> int:
    return int(db.pragma("user_version"))


def migrate(db: apsw.Connection) -> None:
    """Step by step to the current version; a step is done whole or not at all."""
    for version in range(version_of(db) + 1, VERSION + 1):
        with db:
            db.execute(read(f"schema_{version}"))
            db.pragma("application_id", APPLICATION_ID)
            db.pragma("user_version", version)


def write_birth(db: apsw.Connection, *, journal_id: str, at_ms: int) -> None:
    rows = [("journal_id", journal_id), ("created_at_ms", at_ms)]
    db.executemany("INSERT INTO meta (name, value) VALUES (?, ?)", rows)


def journal_id(db: apsw.Connection) -> str:
    return str(db.execute("SELECT value FROM meta WHERE name = 'journal_id'").get)


def check_content(db: apsw.Connection, path: Path, *, whole: bool) -> None:
    """Bounded in time: a small file is read whole, of a large one what every start depends on.

    :raises JournalRefused: damaged.
    """
    try:
        findings = _quick_check(db, None) if whole else _check_ends(db)
        findings = findings or _check_seqs(db)
    except (apsw.CorruptError, apsw.NotADBError, apsw.SQLError) as error:
        findings = str(error)
    if findings:
        raise JournalRefused(
            f"journal {path} is damaged ({findings}); it was left as it is: copy it away, then restore a backup"
        )


def _quick_check(db: apsw.Connection, table: str | None) -> str:
    answer = str(db.pragma("quick_check", table if table else 1))
    return "" if answer == "ok" else answer.splitlines()[0]


def _check_ends(db: apsw.Connection) -> str:
    version = version_of(db)
    for table in _SMALL_TABLES:
        if _SINCE.get(table, 1) <= version and (found := _quick_check(db, table)):
            return found
    for table, key in _LARGE_TABLES.items():
        if _SINCE.get(table, 1) > version:
            continue
        for order in ("ASC", "DESC"):
            db.execute(f"SELECT * FROM {table} ORDER BY {key} {order} LIMIT 100").fetchall()  # noqa: S608 - constants
    return ""


def _check_seqs(db: apsw.Connection) -> str:
    beyond = db.execute(
        "SELECT source || '/' || kind FROM streams "
        "WHERE EXISTS (SELECT 1 FROM entries WHERE entries.id >= streams.id << 44 | next_seq "
        "AND entries.id < streams.id + 1 << 44)"
    ).fetchone()
    return f"stream {beyond[0]} holds entries beyond its counter" if beyond else ""
