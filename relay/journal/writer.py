"""The one thread that writes and checkpoints: waiting transactions share a commit, nobody is answered before it."""

import asyncio
import contextlib
import os
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, NamedTuple, TypeVar

import apsw
import structlog

from relay.journal.connection import BUSY_MS
from relay.journal.errors import JournalClosed, Trust, translate
from relay.observe.failpoints import Point, reach
from relay.ports import JournalFatal, JournalFull

log = structlog.get_logger(__name__)

T = TypeVar("T")
Body = Callable[[apsw.Connection], T]
"""What a transaction does; it neither begins nor commits."""

MAX_GROUP = 256
"""Transactions that share a commit."""

_RESTART_FACTOR = 4
"""The log grew to so many times what it should: readers were always in the way, so wait for them a little."""

_READERS_MS = 50


class Waiting(NamedTuple):
    body: Body[Any]
    future: asyncio.Future[Any]
    loop: asyncio.AbstractEventLoop


class Answer(NamedTuple):
    value: Any
    error: BaseException | None


class WritingThread:
    """Runs transaction bodies on its connection, in the order they were asked for."""

    def __init__(
        self,
        db: apsw.Connection,
        path: Path,
        trust: Trust,
        *,
        checkpoint_pages: int,
        when_full: Callable[[], None],
    ) -> None:
        self._db = db
        self._path = path
        self._trust = trust
        self._checkpoint_pages = checkpoint_pages
        self._when_full = when_full
        self._wal_pages = 0
        self._due_pages = checkpoint_pages
        self._file = _identity(path)
        self._queue: SimpleQueue[Waiting | None] = SimpleQueue()
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="journal-writer", daemon=True)
        db.set_wal_hook(self._note_wal)
        self._thread.start()

    async def run(self, body: Body[T]) -> T:
        """The body's answer once it is on the disk.

        :raises JournalFull, JournalFatal, JournalError: nothing of it was written. What the body raises, too.
        """
        if self._closing:
            raise JournalClosed(f"the journal {self._path} is closed")
        self._trust.check()
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        self._queue.put(Waiting(body, future, loop))
        return await future

    async def close(self) -> None:
        """After everything that was asked for so far; may be called twice."""
        if not self._closing:
            self._closing = True
            self._queue.put(None)
        await asyncio.to_thread(self._thread.join)

    def _run(self) -> None:
        closing = False
        while not closing:
            group, closing = self._next_group()
            if group:
                _hand_over(group, self._answers(group))
                self._checkpoint_if_due()
        with contextlib.suppress(apsw.Error):  # the last checkpoint; all of it is in the log anyway
            self._db.close()

    def _next_group(self) -> tuple[list[Waiting], bool]:
        first = self._queue.get()
        if first is None:
            return [], True
        group = [first]
        while len(group) < MAX_GROUP:
            try:
                waiting = self._queue.get_nowait()
            except Empty:
                break
            if waiting is None:
                return group, True
            group.append(waiting)
        return group, False

    def _answers(self, group: Sequence[Waiting]) -> list[Answer]:
        """Whatever happens, everybody is answered: a thread that died would let them wait for ever."""
        try:
            return self._commit(group)
        except Exception as error:
            log.exception("the journal's writer failed")
            lost = JournalFatal(f"the journal's writer failed: {type(error).__name__}: {error}")
            self._trust.lose(lost)
            return [Answer(None, lost)] * len(group)

    def _commit(self, group: Sequence[Waiting]) -> list[Answer]:
        """One BEGIN … COMMIT for all, a savepoint for each. When SQLite has rolled everything back, all have failed."""
        run_body = self._run_alone if len(group) == 1 else self._run_member
        answers: list[Answer] = []
        try:
            self._trust.check()
            self._check_file()
            self._db.execute("BEGIN IMMEDIATE")
            for waiting in group:
                answers.append(run_body(waiting.body))
                self._trust.check()
                if not self._db.in_transaction:
                    return [answers[-1]] * len(group)
            reach(Point.JOURNAL_COMMITTING)
            self._db.execute("COMMIT")
            reach(Point.JOURNAL_COMMITTED)
        except (apsw.Error, JournalFatal) as error:
            return [Answer(None, self._failed(error))] * len(group)
        return answers

    def _run_member(self, body: Body[Any]) -> Answer:
        self._db.execute("SAVEPOINT member")
        try:
            answer = Answer(body(self._db), None)
        except BaseException as error:  # noqa: BLE001 - it belongs to whoever waits, the thread goes on
            told = self._told(error)
            if self._db.in_transaction:
                self._db.execute("ROLLBACK TO member")
                self._db.execute("RELEASE member")
            return Answer(None, told)
        self._db.execute("RELEASE member")
        return answer

    def _run_alone(self, body: Body[Any]) -> Answer:
        """Without the savepoint, and without the two waits for the interpreter that it costs."""
        try:
            return Answer(body(self._db), None)
        except BaseException as error:  # noqa: BLE001 - as above
            return Answer(None, self._failed(error))

    def _failed(self, error: BaseException) -> BaseException:
        told = self._told(error)  # first: a rollback would overwrite the system's error number
        if self._db.in_transaction:
            with contextlib.suppress(apsw.Error):
                self._db.execute("ROLLBACK")
        return told

    def _told(self, error: BaseException) -> BaseException:
        if not isinstance(error, apsw.Error):
            return error
        told = translate(error, str(self._path), self._db.system_errno)
        told.__cause__ = error
        if isinstance(told, JournalFatal):
            self._trust.lose(told)
        elif isinstance(told, JournalFull):
            self._when_full()
        return told

    def _check_file(self) -> None:
        """A file that was removed or replaced under us takes writes that nobody will ever read."""
        if _identity(self._path) != self._file:
            lost = JournalFatal(f"the journal {self._path} was removed or replaced while in use")
            self._trust.lose(lost)
            raise lost

    def _note_wal(self, _db: apsw.Connection, _name: str, pages: int) -> int:
        if pages < self._wal_pages:  # it was begun anew
            self._due_pages = self._checkpoint_pages
        self._wal_pages = pages
        return apsw.SQLITE_OK

    def _checkpoint_if_due(self) -> None:
        """Explicitly, because SQLite's own checkpoint at a commit tells nobody of its errors."""
        if self._wal_pages < self._due_pages or self._trust.lost is not None:
            return
        self._due_pages = self._wal_pages + self._checkpoint_pages // 4
        stubborn = self._wal_pages >= _RESTART_FACTOR * self._checkpoint_pages
        try:
            self._checkpoint(apsw.SQLITE_CHECKPOINT_RESTART if stubborn else apsw.SQLITE_CHECKPOINT_PASSIVE)
        except apsw.BusyError:
            log.warning("a reader keeps the journal's log from being begun anew", pages=self._wal_pages)
        except apsw.Error as error:
            log.warning("checkpoint of the journal failed", error=str(self._told(error)))

    def _checkpoint(self, mode: int) -> None:
        self._db.set_busy_timeout(_READERS_MS)
        try:
            self._db.wal_checkpoint(mode=mode)
        finally:
            self._db.set_busy_timeout(BUSY_MS)


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        status = os.stat(path)  # noqa: PTH116 - for each commit, Path.stat() costs three times as much
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _hand_over(group: Sequence[Waiting], answers: Sequence[Answer]) -> None:
    """Answer on the event loop, which is woken once for the whole group."""
    by_loop: dict[asyncio.AbstractEventLoop, list[tuple[asyncio.Future[Any], Answer]]] = {}
    for waiting, answer in zip(group, answers, strict=True):
        by_loop.setdefault(waiting.loop, []).append((waiting.future, answer))
    for loop, answered in by_loop.items():
        with contextlib.suppress(RuntimeError):  # that loop is closed: nobody waits any more
            loop.call_soon_threadsafe(_settle, answered)


def _settle(answered: Sequence[tuple[asyncio.Future[Any], Answer]]) -> None:
    for future, answer in answered:
        if future.done():  # cancelled: what it asked for is written all the same
            continue
        if answer.error is not None:
            future.set_exception(answer.error)
        else:
            future.set_result(answer.value)
