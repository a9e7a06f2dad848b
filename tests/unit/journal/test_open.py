"""What may be opened, what is refused, and that what is refused stays as it was."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import apsw
import pytest
from structlog.testing import capture_logs

from relay.journal import connection, ids, schema
from relay.journal.errors import JournalRefused
from relay.ports import JournalFatal
from tests.conformance.journals import SMALL, SMS, T0, own
from tests.unit.journal.conftest import Open


async def filled(open_journal: Open, reports: int = 300) -> None:
    journal = await open_journal()
    await (await own(journal)).receive_many(reports)
    await journal.close()


async def refused(open_journal: Open, path: Path, why: str) -> None:
    before = content(path)
    with pytest.raises(JournalRefused, match=why):
        await open_journal(path)
    assert content(path) == before


def content(path: Path) -> bytes | None:
    return path.read_bytes() if path.exists() else None


async def test_a_new_journal_is_private_and_has_an_id_that_lasts(tmp_path: Path, open_journal: Open) -> None:
    journal = await open_journal()
    journal_id = journal.journal_id
    await journal.close()
    assert (tmp_path / "relay.db").stat().st_mode & 0o777 == 0o600
    assert len(journal_id) == 16
    assert (await open_journal()).journal_id == journal_id


async def test_durability_is_what_was_promised(tmp_path: Path) -> None:
    connection.create(tmp_path / "relay.db", SMALL, T0)
    db = connection.open_writer(tmp_path / "relay.db", SMALL)
    assert (db.pragma("journal_mode"), db.pragma("synchronous")) == ("wal", 2)
    db.close()


async def test_a_creation_that_was_cut_short_is_begun_anew(tmp_path: Path, open_journal: Open) -> None:
    (tmp_path / "relay.db.new").write_bytes(b"half a jour")
    (tmp_path / "relay.db.new-wal").write_bytes(b"x")
    await open_journal()
    assert not any((tmp_path / f"relay.db.new{end}").exists() for end in ("", "-wal", "-shm"))


async def test_an_empty_file_is_refused(tmp_path: Path, open_journal: Open) -> None:
    (tmp_path / "relay.db").touch()
    await refused(open_journal, tmp_path / "relay.db", "is empty; the file was left as it is")


async def test_another_file_is_refused(tmp_path: Path, open_journal: Open) -> None:
    (tmp_path / "relay.db").write_bytes(b"instance: relay-0\n" * 100)
    await refused(open_journal, tmp_path / "relay.db", "is not an SQLite database, or its header is damaged")


async def test_another_database_is_refused(tmp_path: Path, open_journal: Open) -> None:
    with apsw.Connection(str(tmp_path / "relay.db")) as db:
        db.execute("CREATE TABLE t (n)")
    await refused(open_journal, tmp_path / "relay.db", "not a journal of relay")


async def test_a_directory_is_refused(tmp_path: Path, open_journal: Open) -> None:
    (tmp_path / "relay.db").mkdir()
    with pytest.raises(JournalRefused, match="is not a file"):
        await open_journal()


async def test_a_log_without_its_journal_is_refused(tmp_path: Path, open_journal: Open) -> None:
    (tmp_path / "relay.db-wal").write_bytes(b"something")
    await refused(open_journal, tmp_path / "relay.db", "is missing, but its log relay.db-wal is there")
    assert (tmp_path / "relay.db-wal").read_bytes() == b"something"


async def test_a_newer_journal_is_refused(tmp_path: Path, open_journal: Open) -> None:
    await filled(open_journal)
    db = apsw.Connection(str(tmp_path / "relay.db"))
    db.pragma("user_version", schema.VERSION + 1)
    db.close()
    with pytest.raises(JournalRefused, match=r"newer relay \(schema 3, this one knows 2\)"):
        await open_journal()


@pytest.mark.parametrize("full_check_bytes", [connection.FULL_CHECK_BYTES, 0], ids=["small", "large"])
async def test_a_journal_of_an_earlier_version_is_brought_up(
    tmp_path: Path, open_journal: Open, monkeypatch: pytest.MonkeyPatch, full_check_bytes: int
) -> None:
    monkeypatch.setattr(connection, "FULL_CHECK_BYTES", full_check_bytes)
    path = tmp_path / "relay.db"
    with monkeypatch.context() as earlier:
        earlier.setattr(schema, "VERSION", 1)
        connection.create(path, SMALL, T0)
    with apsw.Connection(str(path)) as db:
        assert schema.version_of(db) == 1
        db.execute("INSERT INTO ids VALUES (?, '!5:0', 1, 7, 0)", (ids.keys_of(1)("m-1"),))

    with capture_logs() as lines:
        await (await open_journal()).close()
        await (await open_journal()).close()
    told = [(line["before"], line["schema"]) for line in lines if "newer schema" in line["event"]]
    assert told == [(1, 2)]
    db = connection.open_writer(path, SMALL)
    assert schema.version_of(db) == schema.VERSION
    assert [seen.last_seq for seen in ids.look_up(db, [ids.keys_of(1)("m-1")]).values()] == [7]
    db.close()


@pytest.mark.parametrize(
    ("offset", "count"),
    [(0, 100), (100, 4096), (8192, 20_000), (-20_000, 20_000)],
    ids=["header", "first page", "middle", "end"],
)
async def test_damage_is_refused(tmp_path: Path, open_journal: Open, offset: int, count: int) -> None:
    await filled(open_journal)
    path = tmp_path / "relay.db"
    with path.open("r+b") as file:
        file.seek(offset, os.SEEK_END if offset < 0 else os.SEEK_SET)
        file.write(b"\xa5" * count)
    await refused(open_journal, path, "damaged|not a journal")


async def test_a_cut_file_is_refused(tmp_path: Path, open_journal: Open) -> None:
    await filled(open_journal)
    path = tmp_path / "relay.db"
    os.truncate(path, path.stat().st_size // 2 // 4096 * 4096)
    await refused(open_journal, path, "damaged")


@pytest.mark.parametrize("table", ["streams", "entries", "ids"])
async def test_damage_of_a_large_journal_is_refused_without_reading_all_of_it(
    tmp_path: Path, open_journal: Open, monkeypatch: pytest.MonkeyPatch, table: str
) -> None:
    monkeypatch.setattr(connection, "FULL_CHECK_BYTES", 0)
    await filled(open_journal)
    path = tmp_path / "relay.db"
    await (await open_journal()).close()
    with apsw.Connection(str(path)) as db:
        (root,) = db.execute("SELECT rootpage FROM sqlite_schema WHERE name = ?", (table,)).fetchall()[0]
    with path.open("r+b") as file:
        file.seek((root - 1) * 4096)
        file.write(b"\xa5" * 4096)
    await refused(open_journal, path, "damaged")


async def test_entries_beyond_the_counter_are_damage(tmp_path: Path, open_journal: Open) -> None:
    await filled(open_journal)
    db = apsw.Connection(str(tmp_path / "relay.db"))
    db.execute("UPDATE streams SET next_seq = 100")
    db.close()
    with pytest.raises(JournalRefused, match="stream acme/sms holds entries beyond its counter"):
        await open_journal()


async def test_damage_found_while_running_ends_it(tmp_path: Path, open_journal: Open) -> None:
    journal = await open_journal(tmp_path / "relay.db", SMALL._replace(tail_bytes=0, reader_cache_bytes=1 << 12))
    relay = await own(journal)
    for _ in range(5):
        await relay.receive_many(400, prefix=str(_))
    await journal.close()
    journal = await open_journal(tmp_path / "relay.db", SMALL._replace(tail_bytes=0))
    relay = await own(journal)
    path = tmp_path / "relay.db"
    with path.open("r+b") as file:
        file.seek(3 * 4096)
        file.write(b"\xa5" * (path.stat().st_size - 3 * 4096))
    with pytest.raises(JournalFatal, match="damaged"):
        await journal.read_stream(SMS, 0, 10_000, 1 << 30)
    with pytest.raises(JournalFatal, match="damaged"):
        await journal.mark_poll(relay.lease, SMS, T0)
    assert not journal._threads.writable


async def test_a_second_process_is_refused(tmp_path: Path, open_journal: Open) -> None:
    await open_journal()
    code = (
        "import asyncio, sys\nfrom pathlib import Path\nfrom relay.journal.sqlite import SqliteJournal\n"
        "asyncio.run(SqliteJournal.open(Path(sys.argv[1]), instance='other'))\n"
    )
    second = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, str(tmp_path / "relay.db"), stderr=subprocess.PIPE
    )
    _, error = await second.communicate()
    assert second.returncode == 1
    assert b"is in use by another process" in error


async def test_closing_twice_does_no_harm_and_lets_others_in(open_journal: Open) -> None:
    journal = await open_journal()
    await journal.close()
    await journal.close()
    await open_journal()
