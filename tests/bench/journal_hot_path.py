"""What a report costs the journal: ``python -m tests.bench.journal_hot_path [--ids 10000000] [--reports 100000]``.

Prints CPU microseconds of this process per report by method, and asserts nothing. `--busy` keeps a thread of Python
running, as the event loop of a loaded relay does: what waiting for the interpreter lock costs shows in the wall time.
"""

import argparse
import asyncio
import random
import resource
import sys
import tempfile
import threading
import time
import uuid
from pathlib import Path

import apsw

from relay.domain.report import Decoded, Origin, Report, Stream
from relay.journal import files, ids
from relay.journal.sqlite import SqliteJournal
from relay.ports import Fetch

STREAM = Stream("acme", "sms")
BATCH = 1000


def value_of(message_id: str) -> bytes:
    return (
        b'{"bulkId":"BULK-ID-123-xyz","messageId":"%b","to":"41793026731","sentAt":"2015-02-12T09:51:43.123+01:00",'
        b'"doneAt":"2015-02-12T09:51:43.127+01:00","smsCount":1,"mccMnc":"22801","callbackData":"DLR callback data",'
        b'"price":{"pricePerMessage":0.01,"currency":"EUR"},"status":{"groupId":3,"groupName":"DELIVERED","id":5,'
        b'"name":"DELIVERED_TO_HANDSET","description":"Message delivered to handset"},"error":{"groupId":0,'
        b'"groupName":"OK","id":0,"name":"NO_ERROR","description":"No Error","permanent":false}}' % message_id.encode()
    )


def batches(count: int) -> list[Decoded]:
    rng = random.Random(7)
    made = []
    for _ in range(count):
        names = [str(uuid.UUID(int=rng.getrandbits(128))) for _ in range(BATCH)]
        made.append(Decoded([Report(name, "5:0", 3, True, value_of(name)) for name in names], True))
    return made


def fill_ids(path: Path, count: int) -> None:
    """The window as it is after `count` reports, built in key order because that is fast."""
    db = apsw.Connection(str(path))
    db.pragma("synchronous", "OFF")
    hours = time.time_ns() // 1_000_000 // ids.HOUR_MS
    db.execute("CREATE TEMP TABLE fresh (key BLOB)")
    db.execute("BEGIN")
    db.execute(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?) "
        "INSERT INTO temp.fresh SELECT randomblob(16) FROM n",
        (count,),
    )
    db.execute("INSERT INTO ids SELECT key, '!5:0', 1, rowid, ? FROM temp.fresh ORDER BY key", (hours,))
    db.execute("COMMIT")
    db.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
    db.close()


class Clock:
    def __init__(self) -> None:
        self.spent: dict[str, list[float]] = {}

    def add(self, name: str, cpu: float, wall: float) -> None:
        totals = self.spent.setdefault(name, [0.0, 0.0])
        totals[0] += cpu
        totals[1] += wall

    def show(self, reports: int) -> None:
        for name, (cpu, wall) in self.spent.items():
            print(f"  {name:16} {cpu / reports * 1e6:7.2f} CPU-us   {wall / reports * 1e6:7.2f} us wall")
        cpu = sum(cpu for cpu, _ in self.spent.values())
        print(f"  {'all':16} {cpu / reports * 1e6:7.2f} CPU-us per report")


async def timed(clock: Clock, name: str, awaitable):
    cpu, wall = time.process_time(), time.perf_counter()
    answer = await awaitable
    clock.add(name, time.process_time() - cpu, time.perf_counter() - wall)
    return answer


def written_bytes() -> int:
    lines = Path("/proc/self/io").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("write_bytes")).split()[1])


async def measure(path: Path, decoded: list[Decoded]) -> None:
    journal = await SqliteJournal.open(path, instance="bench")
    lease = await journal.acquire_lease("stream/acme/sms")
    await journal.open_stream(lease, STREAM, 1)
    await journal.confirm_cursor(lease, STREAM, 0, "c", 1)
    clock = Clock()
    written = written_bytes()
    after = 0
    for batch in decoded:
        now = time.time_ns() // 1_000_000
        body = b'{"results":[' + b",".join(report.value for report in batch.entries) + b"]}"
        fetch = Fetch(Origin.POLL, now, now, 200, "application/json", body, True, BATCH)
        await timed(clock, "mark_poll", journal.mark_poll(lease, STREAM, now))
        await timed(clock, "append_fetch", journal.append_fetch(lease, STREAM, fetch, None))
        claimed = await timed(clock, "claim_fetch", journal.claim_fetch(STREAM, now))
        await timed(clock, "record_reports", journal.record_reports(claimed, batch, None))
        read = await timed(clock, "read_stream", journal.read_stream(STREAM, after, BATCH, 16 << 20))
        after = read[-1].seq
        await timed(clock, "advance", journal.advance(lease, STREAM, after, "c", now))
    reports = len(decoded) * BATCH
    clock.show(reports)
    print(
        f"  written {(written_bytes() - written) / reports:.0f} bytes a report, now {files.size_bytes(path) >> 20} MiB"
    )
    print(f"  peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10} MiB (bench data included)")
    await journal.close()


async def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--ids", type=int, default=0)
    parser.add_argument("--reports", type=int, default=100_000)
    parser.add_argument("--busy", action="store_true")
    parser.add_argument("--switch-interval", type=float, default=sys.getswitchinterval())
    parser.add_argument("--directory", type=Path, default=None)
    options = parser.parse_args()
    sys.setswitchinterval(options.switch_interval)
    decoded = batches(options.reports // BATCH)
    with tempfile.TemporaryDirectory(dir=options.directory) as directory:
        path = Path(directory) / "relay.db"
        await (await SqliteJournal.open(path, instance="bench")).close()
        if options.ids:
            fill_ids(path, options.ids)
        print(f"{options.reports} reports, {options.ids} ids in the window, busy: {options.busy}")
        stop = threading.Event()
        spinner = threading.Thread(target=lambda: [None for _ in iter(stop.is_set, True)], daemon=True)
        if options.busy:
            spinner.start()
        await measure(path, decoded)
        stop.set()


if __name__ == "__main__":
    asyncio.run(main())
