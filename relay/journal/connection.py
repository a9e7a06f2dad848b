"""Connections to the journal's file: created whole or not at all, opened only when what is there can be trusted."""

import os
import secrets
from pathlib import Path
from typing import NamedTuple, TypeVar
from urllib.parse import quote

import apsw
import structlog

from relay.journal import ids, schema
from relay.journal.errors import JournalRefused, translate
from relay.journal.ids import IdsConnection

log = structlog.get_logger(__name__)

C = TypeVar("C", bound=apsw.Connection)

FULL_CHECK_BYTES = 64 << 20
"""Up to this size the whole file is checked at open; above, the small tables and the ends of the large ones."""

BUSY_MS = 5000
"""How long somebody else, with a shell in the file, may keep us waiting."""

_MAGIC = b"SQLite format 3\x00"
_KEEP = "the file was left as it is: restore a backup, or move it away to begin a new journal"


class Tuning(NamedTuple):
    """Sizes that tests make small. Memory is about the sum of the caches, the WAL about `checkpoint_pages`."""

    page_bytes: int = 4096
    writer_cache_bytes: int = 32 << 20
    reader_cache_bytes: int = 8 << 20
    checkpoint_pages: int = 12_000
    """A page that many transactions write, as of the index of ids, goes from the WAL into the file once in so many."""
    reserve_bytes: int = 32 << 20
    tail_bytes: int = 16 << 20
    lap_ids: int = 1 << 16
    """Half as many ids wait in memory for their place in the index, 250 bytes each; twice as many are in the log."""
    max_pages: int | None = None
    """A bound of the file, as a full disk would set it."""


def create(path: Path, tuning: Tuning, at_ms: int) -> None:
    """A new journal, under its name only when it is whole and on the disk."""
    unfinished = path.with_name(path.name + ".new")
    for leftover in (unfinished, Path(f"{unfinished}-wal"), Path(f"{unfinished}-shm"), Path(f"{unfinished}-journal")):
        leftover.unlink(missing_ok=True)
    os.close(os.open(unfinished, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    db = apsw.Connection(str(unfinished))
    try:
        db.pragma("page_size", tuning.page_bytes)
        db.pragma("synchronous", "FULL")
        db.pragma("journal_mode", "WAL")
        schema.migrate(db)
        schema.write_birth(db, journal_id=secrets.token_hex(8), at_ms=at_ms)
    finally:
        db.close()
    _sync(unfinished)
    unfinished.rename(path)
    _sync(path.parent)


def check_file(path: Path) -> bool:
    """Whether there is a journal to open; False if one may be created.

    :raises JournalRefused: what is there is not (or no longer) a journal.
    """
    if not path.exists():
        wal = Path(f"{path}-wal")
        if wal.exists() and wal.stat().st_size:
            raise JournalRefused(f"journal {path} is missing, but its log {wal.name} is there: {_KEEP}")
        return False
    if not path.is_file():
        raise JournalRefused(f"journal {path} is not a file: name a file in journal.url")
    with path.open("rb") as file:
        header = file.read(100)
    if not header.startswith(_MAGIC) or len(header) < 100:
        what = "is empty" if not header else "is not an SQLite database, or its header is damaged"
        raise JournalRefused(f"journal {path} {what}; {_KEEP}")
    if int.from_bytes(header[68:72], "big") != schema.APPLICATION_ID:
        raise JournalRefused(f"{path} is an SQLite database, but not a journal of relay: correct journal.url")
    return True


def open_writer(path: Path, tuning: Tuning) -> IdsConnection:
    """The one connection that writes; its file was checked, its schema is current.

    :raises JournalRefused: damaged, or written by a newer relay.
    """
    try:
        db = _connect(IdsConnection, path, tuning.writer_cache_bytes)
    except apsw.Error as error:
        raise JournalRefused(f"{translate(error, str(path))}; {_KEEP}") from error
    try:
        db.pragma("journal_mode", "WAL")
        db.pragma("synchronous", "FULL")
        db.pragma("wal_autocheckpoint", 0)
        db.pragma("journal_size_limit", 2 * tuning.checkpoint_pages * tuning.page_bytes)
        schema.check_version(db, path)
        schema.check_content(db, path, whole=path.stat().st_size <= FULL_CHECK_BYTES)
        before = schema.version_of(db)
        schema.migrate(db)
        if before != schema.VERSION:
            log.info("journal brought up to a newer schema", before=before, schema=schema.VERSION, path=str(path))
        ids.prepare(db, tuning.lap_ids)
        if tuning.max_pages is not None:
            db.pragma("max_page_count", tuning.max_pages)
    except apsw.Error as error:
        db.close()
        raise JournalRefused(f"{translate(error, str(path))}; {_KEEP}") from error
    except BaseException:
        db.close()
        raise
    return db


def look_at(path: Path, *, in_use: bool) -> int | None:
    """The schema of the journal that is there, after the checks of `open_writer`; nothing is changed. None: there is
    none. Of a journal in use, whose content its relay has checked, the schema alone.

    :raises JournalRefused: as `open_writer`.
    """
    if not check_file(path):
        return None
    wal, shm = Path(f"{path}-wal"), Path(f"{path}-shm")
    shared_before = shm.exists()
    # With nothing to share SQLite need not make the files that it would leave behind.
    alone = not shared_before if in_use else not (wal.exists() and wal.stat().st_size)
    try:
        db = apsw.Connection(
            f"file:{quote(str(path.absolute()))}?{'immutable=1' if alone else 'mode=ro'}",
            flags=apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI,
        )
        try:
            db.set_busy_timeout(BUSY_MS)
            db.pragma("cell_size_check", 1)
            db.pragma("trusted_schema", 0)
            schema.check_version(db, path)
            if not in_use:
                schema.check_content(db, path, whole=path.stat().st_size <= FULL_CHECK_BYTES)
            return schema.version_of(db)
        finally:
            db.close()
    except apsw.Error as error:
        raise JournalRefused(f"{translate(error, str(path))}; {_KEEP}") from error
    finally:
        if not in_use and not shared_before:
            shm.unlink(missing_ok=True)


def open_reader(path: Path, tuning: Tuning) -> apsw.Connection:
    db = _connect(apsw.Connection, path, tuning.reader_cache_bytes)
    db.pragma("query_only", 1)
    return db


def _connect(of: type[C], path: Path, cache_bytes: int) -> C:
    db = of(str(path), flags=apsw.SQLITE_OPEN_READWRITE, statementcachesize=300)
    db.set_busy_timeout(BUSY_MS)
    db.config(apsw.SQLITE_DBCONFIG_ENABLE_QPSG, 1)  # or a statement is prepared again for each new bound of a range
    db.pragma("cache_size", -(cache_bytes >> 10))
    db.pragma("temp_store", "MEMORY")
    db.pragma("secure_delete", 0)
    db.pragma("cell_size_check", 1)
    db.pragma("trusted_schema", 0)
    return db


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
