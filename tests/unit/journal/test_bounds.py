"""Files and memory stay bounded, whatever is done how often."""

from pathlib import Path

import apsw
from msgspec.structs import replace
from structlog.testing import capture_logs

from relay.domain.report import Decoded, Entry, EntryType, Origin, Stream
from relay.journal.tail import Tail
from relay.journal.threads import JournalThreads
from tests.conformance.journals import SMS, T0, Relay, delivered, fetch, own, report, retention
from tests.unit.journal.conftest import Open


def sizes(directory: Path) -> tuple[int, int]:
    return (directory / "relay.db").stat().st_size, (directory / "relay.db-wal").stat().st_size


async def idle(relay: Relay, times: int) -> None:
    for n in range(times):
        await relay.journal.mark_poll(relay.lease, SMS, T0 + n)
        await relay.journal.end_poll(relay.lease, SMS, T0 + n, None, success=True)
        await relay.journal.prune(T0 + n, retention())
        await relay.journal.figures(T0)


async def test_an_idle_poll_grows_no_file(memory_path: Path, open_journal: Open) -> None:
    relay = await own(await open_journal(memory_path / "relay.db"))
    await idle(relay, 75)
    before = sizes(memory_path)
    await idle(relay, 150)
    assert sizes(memory_path) == before


async def test_the_first_claim_of_a_fetch_writes_nothing(tmp_path: Path, open_journal: Open) -> None:
    relay = await own(await open_journal())
    await relay.journal.append_fetch(relay.lease, SMS, fetch(), None)
    watching = apsw.Connection(str(tmp_path / "relay.db"), flags=apsw.SQLITE_OPEN_READONLY)
    appended = watching.pragma("data_version")
    first = await relay.journal.claim_fetch(SMS, T0)
    assert watching.pragma("data_version") == appended
    second = await relay.journal.claim_fetch(SMS, T0)
    assert watching.pragma("data_version") != appended
    watching.close()
    assert first is not None
    assert second is not None
    assert (first.claims, second.claims) == (1, 2)


async def test_what_comes_and_goes_grows_no_file(memory_path: Path, open_journal: Open) -> None:
    relay = await own(await open_journal(memory_path / "relay.db"))
    await relay.subscribe("billing")

    async def flow(rounds: range) -> None:
        for n in rounds:
            await relay.journal.append_fetch(relay.lease, SMS, fetch(b"x" * 40_000), None)
            claimed = await relay.journal.claim_fetch(SMS, T0)
            assert claimed is not None
            found = [replace(report(f"m-{n}-{i}"), value=b"v" * 400) for i in range(100)]
            await relay.journal.record_reports(claimed, Decoded(found, True), None)
            seqs = range(n * 100 + 1, n * 100 + 101)
            await relay.attempt("billing", *(delivered(seq) for seq in seqs), position=seqs[-1])
            await relay.publish(seqs[-1])
            while (await relay.journal.prune(T0 + 3_600_000 * 200 * (n + 1), retention())).more:
                pass

    await flow(range(20))
    file_bytes, log_bytes = sizes(memory_path)
    await flow(range(20, 60))
    assert sizes(memory_path)[0] <= file_bytes * 1.1
    assert sizes(memory_path)[1] <= max(log_bytes, 4 * 100 * 4096)


async def test_readers_that_never_rest_do_not_make_the_log_grow(memory_path: Path, open_journal: Open) -> None:
    relay = await own(await open_journal(memory_path / "relay.db"))
    threads: JournalThreads = relay.journal._threads
    threads.stages._db.execute("BEGIN")
    threads.stages._db.execute("SELECT * FROM streams").fetchall()
    with capture_logs() as told:
        for n in range(250):  # beyond four times what is due the writer waits for readers, a little
            await relay.journal.mark_poll(relay.lease, SMS, T0 + n)
    assert sizes(memory_path)[1] > 400 * 4096, "the open snapshot holds the log"
    assert {line["event"] for line in told} == {"a reader keeps the journal's log from being begun anew"}
    threads.stages._db.execute("ROLLBACK")
    await idle(relay, 60)
    grown = sizes(memory_path)[1]
    await idle(relay, 150)
    assert sizes(memory_path)[1] <= grown


def entries(*seqs: int, size: int = 100) -> list[Entry]:
    return [Entry(seq, EntryType.REPORT, "m", 1, Origin.POLL, 0, 3, b"v" * size) for seq in seqs]


def test_the_tail_is_bounded_and_forgets_the_oldest() -> None:
    tail = Tail(600 * 20)
    for seq in range(1, 1001):
        tail.append(SMS, entries(seq))
    kept = tail._entries[SMS]
    assert kept[-1].seq == 1000
    assert 10 <= len(kept) <= 20
    assert tail.read(SMS, 1, 10, 10**6) == []


def test_many_streams_share_the_tail() -> None:
    tail = Tail(600 * 40)
    streams = [Stream("acme", f"kind-{n}") for n in range(4)]
    for seq in range(1, 101):
        for stream in streams:
            tail.append(stream, entries(seq))
    assert sum(len(kept) for kept in tail._entries.values()) <= 40


def test_the_tail_reads_as_the_journal_does() -> None:
    tail = Tail(10**6)
    tail.append(SMS, entries(5, 6, 7, 8))
    assert tail.read(SMS, 3, 10, 10**6) == []
    assert [entry.seq for entry in tail.read(SMS, 4, 10, 10**6)] == [5, 6, 7, 8]
    assert [entry.seq for entry in tail.read(SMS, 5, 2, 10**6)] == [6, 7]
    assert [entry.seq for entry in tail.read(SMS, 5, 10, 250)] == [6, 7]
    assert [entry.seq for entry in tail.read(SMS, 5, 10, 1)] == [6]
    assert tail.read(SMS, 8, 10, 10**6) == []


def test_a_hole_makes_the_tail_begin_anew() -> None:
    tail = Tail(10**6)
    tail.append(SMS, entries(1, 2))
    tail.append(SMS, entries(5))
    assert tail.read(SMS, 1, 10, 10**6) == []
    assert [entry.seq for entry in tail.read(SMS, 4, 10, 10**6)] == [5]


def test_what_was_pruned_leaves_the_tail() -> None:
    tail = Tail(10**6)
    tail.append(SMS, entries(1, 2, 3))
    tail.prune(SMS, 2)
    assert tail.read(SMS, 0, 10, 10**6) == []
    assert [entry.seq for entry in tail.read(SMS, 2, 10, 10**6)] == [3]
    tail.prune(SMS, 3)
    assert tail.read(SMS, 2, 10, 10**6) == []
