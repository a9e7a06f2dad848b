import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import apsw
import pytest

from relay.journal.errors import JournalClosed, Trust
from relay.journal.writer import WritingThread
from relay.ports import JournalError, JournalFatal, JournalFull


class Bench:
    """A writing thread on a small table, and what it did."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.trust = Trust()
        self.full = 0
        self.statements: list[str] = []
        self.db = apsw.Connection(str(path))
        self.db.pragma("journal_mode", "WAL")
        self.db.execute("CREATE TABLE t (n INTEGER PRIMARY KEY, body BLOB)")
        self.writer = WritingThread(self.db, path, self.trust, checkpoint_pages=50, when_full=self._note_full)
        self.db.exec_trace = self._note

    def rows(self) -> list[int]:
        with apsw.Connection(str(self.path)) as db:
            return [n for (n,) in db.execute("SELECT n FROM t ORDER BY n")]

    async def held_up(self) -> Callable[[], None]:
        """The thread stands still in a transaction of its own until told to go on: what comes meanwhile is a group."""
        entered, go_on = threading.Event(), threading.Event()

        def wait(_db: apsw.Connection) -> None:
            entered.set()
            go_on.wait(10)

        self.waiting = asyncio.create_task(self.writer.run(wait))
        await asyncio.to_thread(entered.wait, 10)
        self.statements.clear()
        return go_on.set

    def _note(self, _cursor: object, statement: str, _bindings: object) -> bool:
        self.statements.append(statement.split(maxsplit=1)[0])
        return True

    def _note_full(self) -> None:
        self.full += 1


def insert(n: int, size: int = 1) -> Callable[[apsw.Connection], int]:
    def body(db: apsw.Connection) -> int:
        db.execute("INSERT INTO t VALUES (?, zeroblob(?))", (n, size))
        return n

    return body


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    bench = Bench(tmp_path / "t.db")
    yield bench
    await bench.writer.close()


async def test_an_answer_means_committed(bench: Bench) -> None:
    assert await bench.writer.run(insert(7)) == 7
    assert bench.rows() == [7]


async def test_waiting_transactions_share_one_commit(bench: Bench) -> None:
    go_on = await bench.held_up()
    waiting = [asyncio.create_task(bench.writer.run(insert(n))) for n in range(20)]
    await asyncio.sleep(0)
    go_on()
    assert await asyncio.gather(*waiting) == list(range(20))
    assert bench.statements.count("COMMIT") == 2, "the one that held it up, and the group"
    assert bench.rows() == list(range(20))


async def test_one_that_fails_does_not_fail_its_neighbours(bench: Bench) -> None:
    def fail(db: apsw.Connection) -> None:
        insert(50)(db)
        raise KeyError("mine")

    go_on = await bench.held_up()
    waiting = [asyncio.create_task(bench.writer.run(body)) for body in (insert(1), fail, insert(1), insert(2))]
    await asyncio.sleep(0)
    go_on()
    one, mine, twice, two = await asyncio.gather(*waiting, return_exceptions=True)
    assert (one, two) == (1, 2)
    assert isinstance(mine, KeyError)
    assert isinstance(twice, JournalError)
    assert bench.rows() == [1, 2]


async def test_one_that_fails_alone_leaves_nothing(bench: Bench) -> None:
    def fail(db: apsw.Connection) -> None:
        insert(50)(db)
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        await bench.writer.run(fail)
    assert await bench.writer.run(insert(1)) == 1
    assert bench.rows() == [1]


async def test_when_sqlite_rolls_all_back_all_are_told(bench: Bench) -> None:
    """As SQLITE_FULL does: the transaction is gone, with what the members before had written."""

    def full(db: apsw.Connection) -> None:
        db.execute("ROLLBACK")
        raise apsw.FullError("database or disk is full")

    go_on = await bench.held_up()
    waiting = [asyncio.create_task(bench.writer.run(body)) for body in (insert(1), full, insert(2))]
    await asyncio.sleep(0)
    go_on()
    told = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(error) for error in told] == [JournalFull] * 3
    assert bench.full == 1
    assert bench.rows() == []
    assert await bench.writer.run(insert(3)) == 3


async def test_a_full_file_fails_and_works_again_when_there_is_room(bench: Bench) -> None:
    await bench.writer.run(insert(1))
    bench.db.pragma("max_page_count", 100)
    with pytest.raises(JournalFull, match="no room"):
        await bench.writer.run(insert(2, 1_000_000))
    assert bench.full == 1
    assert bench.trust.lost is None
    assert await bench.writer.run(insert(3)) == 3
    bench.db.pragma("max_page_count", 10_000)
    await bench.writer.run(insert(2, 1_000_000))
    assert bench.rows() == [1, 2, 3]


@pytest.mark.parametrize("error", [apsw.IOError, apsw.CorruptError, apsw.NotADBError, apsw.ReadOnlyError])
async def test_an_untrustworthy_file_ends_it_for_all_and_for_ever(bench: Bench, error: type[apsw.Error]) -> None:
    def break_(_db: apsw.Connection) -> None:
        raise error("bad sector")

    go_on = await bench.held_up()
    waiting = [asyncio.create_task(bench.writer.run(body)) for body in (insert(1), break_, insert(2))]
    await asyncio.sleep(0)
    go_on()
    told = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(error) for error in told] == [JournalFatal] * 3
    assert bench.rows() == []
    with pytest.raises(JournalFatal, match="bad sector"):
        await bench.writer.run(insert(3))
    assert bench.rows() == []


async def test_a_file_that_was_removed_under_us_ends_it(bench: Bench) -> None:
    bench.path.rename(bench.path.with_name("elsewhere.db"))
    with pytest.raises(JournalFatal, match="removed or replaced"):
        await bench.writer.run(insert(1))


async def test_closing_lets_finish_what_was_asked_for(bench: Bench) -> None:
    go_on = await bench.held_up()
    waiting = asyncio.create_task(bench.writer.run(insert(1)))
    await asyncio.sleep(0)
    closing = asyncio.create_task(bench.writer.close())
    await asyncio.sleep(0)
    go_on()
    await closing
    assert await waiting == 1
    with pytest.raises(JournalClosed):
        await bench.writer.run(insert(2))
    await bench.writer.close()


async def test_whoever_is_cancelled_has_written_all_the_same(bench: Bench) -> None:
    go_on = await bench.held_up()
    waiting = asyncio.create_task(bench.writer.run(insert(1)))
    await asyncio.sleep(0)
    waiting.cancel()
    go_on()
    assert await bench.writer.run(insert(2)) == 2
    assert waiting.cancelled()
    assert bench.rows() == [1, 2]


async def test_the_log_is_written_back_and_begun_anew(bench: Bench) -> None:
    for n in range(500):
        await bench.writer.run(insert(n, 3000))
    wal = bench.path.with_name("t.db-wal")
    assert wal.stat().st_size < 80 * 4096
    assert len(bench.rows()) == 500


async def test_the_event_loop_goes_on_while_a_transaction_takes_its_time(bench: Bench) -> None:
    go_on = await bench.held_up()
    turns = 0
    for _ in range(100):
        await asyncio.sleep(0)
        turns += 1
    assert not bench.waiting.done()
    go_on()
    await bench.waiting
    assert turns == 100


async def test_a_writer_that_fails_in_its_own_work_answers_everybody(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> None:
        raise OSError("unheard of")

    monkeypatch.setattr(bench.writer, "_check_file", broken)
    for _ in range(2):
        with pytest.raises(JournalFatal, match="OSError: unheard of"):
            await bench.writer.run(insert(1))
    assert bench.rows() == []
