"""Reads beside the writer: a connection in a thread of its own sees all that was committed before it was asked."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import apsw

from relay.journal.errors import JournalClosed, Trust, translate
from relay.ports import JournalFatal

T = TypeVar("T")


class ReadingThread:
    """Answers one query after the other."""

    def __init__(self, db: apsw.Connection, path: Path, trust: Trust, name: str) -> None:
        self._db = db
        self._path = path
        self._trust = trust
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=name)
        self._closed = False

    async def run(self, query: Callable[[apsw.Connection], T]) -> T:
        """What the query, one statement or several that need not agree, answers.

        :raises JournalFatal, JournalError: as the writer does.
        """
        if self._closed:
            raise JournalClosed(f"the journal {self._path} is closed")
        self._trust.check()
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._read, query)

    async def run_snapshot(self, query: Callable[[apsw.Connection], T]) -> T:
        """The same, all its statements from one snapshot."""
        return await self.run(lambda db: _within_snapshot(db, query))

    async def close(self) -> None:
        """After the queries in hand; may be called twice."""
        self._closed = True
        await asyncio.to_thread(self._thread.shutdown)
        self._db.close()

    def _read(self, query: Callable[[apsw.Connection], T]) -> T:
        try:
            return query(self._db)
        except apsw.Error as error:
            told = translate(error, str(self._path), self._db.system_errno)
            if isinstance(told, JournalFatal):
                self._trust.lose(told)
            raise told from error


def _within_snapshot(db: apsw.Connection, query: Callable[[apsw.Connection], T]) -> T:
    db.execute("BEGIN")
    try:
        return query(db)
    finally:
        if db.in_transaction:
            db.execute("ROLLBACK")
