"""The open journal: its file held, its threads running, its reserve kept; transactions and queries go through here."""

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Self, TypeVar

import apsw
import structlog

from relay.journal import connection, schema
from relay.journal.connection import Tuning
from relay.journal.errors import Trust
from relay.journal.files import FileLock, Reserve, check_place, free_bytes, size_bytes
from relay.journal.reader import ReadingThread
from relay.journal.writer import Body, WritingThread
from relay.ports import JournalFull

log = structlog.get_logger(__name__)

T = TypeVar("T")
Query = Callable[[apsw.Connection], T]

_MARGIN_BYTES = 1 << 20


class JournalThreads:
    """One writer, a reader for the stages and another for lists and figures, which may take longer."""

    def __init__(self, path: Path, lock: FileLock, tuning: Tuning, db: apsw.Connection) -> None:
        self.path = path
        self.journal_id = schema.journal_id(db)
        self._lock = lock
        self._trust = Trust()
        self._reserve = Reserve(path, tuning.reserve_bytes)
        self._reserve.hold_at_start()
        readers = [connection.open_reader(path, tuning) for _ in range(2)]
        self.stages = ReadingThread(readers[0], path, self._trust, "journal-reader")
        self.lists = ReadingThread(readers[1], path, self._trust, "journal-lists")
        self._writer = WritingThread(
            db, path, self._trust, checkpoint_pages=tuning.checkpoint_pages, when_full=self._reserve.give_up
        )

    @classmethod
    def open(cls, path: Path, tuning: Tuning) -> Self:
        """:raises JournalRefused: damaged, in use, written by a newer relay, or in a place that cannot hold it."""
        for warning in check_place(path):
            log.warning("the journal may not last", reason=warning)
        lock = FileLock.acquire(path)
        try:
            if not connection.check_file(path):
                connection.create(path, tuning, time.time_ns() // 1_000_000)
                log.info("journal created", path=str(path))
            return cls(path, lock, tuning, connection.open_writer(path, tuning))
        except BaseException:
            lock.release()
            raise

    async def close(self) -> None:
        """After everything that was asked for; may be called twice."""
        await self.stages.close()
        await self.lists.close()
        await self._writer.close()
        self._lock.release()

    async def write(self, body: Body[T]) -> T:
        """A transaction; its answer when it is on the disk."""
        return await self._writer.run(body)

    async def take_in(self, body: Body[T], needed_bytes: int) -> T:
        """A transaction that brings something in: not while the disk is full, draining needs what is left.

        :raises JournalFull: as SQLite does when the disk is full for it.
        """
        return await self._writer.run(partial(self._in_room, body, needed_bytes))

    @property
    def writable(self) -> bool:
        return self._trust.lost is None and not self._reserve.needed

    def free_bytes(self, unused_bytes: int) -> int:
        """Room in the file system and inside the file; the reserve is not counted."""
        return free_bytes(self.path.parent) + unused_bytes

    def size_bytes(self) -> int:
        return size_bytes(self.path)

    def _in_room(self, body: Body[T], needed_bytes: int, db: apsw.Connection) -> T:
        if self._reserve.needed and not self._reserve.hold() and unused_bytes(db) < 2 * needed_bytes + _MARGIN_BYTES:
            raise JournalFull(f"no room for the journal {self.path}: make some in {self.path.parent}")
        return body(db)


def unused_bytes(db: apsw.Connection) -> int:
    """Pages that were pruned; the file does not shrink, it fills them again."""
    return int(db.pragma("freelist_count")) * int(db.pragma("page_size"))
