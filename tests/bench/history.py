"""What the history of attempts costs a success: ``python -m tests.bench.history [--successes 100000] [--group 100]``.

Records successes of single reports, as a deliverer does, with and without their rows in the history, in turns, and
prints the CPU microseconds of this process for each; the difference is the cost. Then asks for lives of reports, which
is what the rows are for. Asserts nothing.
"""

import argparse
import asyncio
import tempfile
import time
from pathlib import Path
from statistics import median

from relay.domain.report import Decoded, Origin, Report, Stream
from relay.journal import attempts
from relay.journal.sqlite import SqliteJournal
from relay.ports import AttemptRecord, Fetch, Lease

STREAM = Stream("acme", "sms")
VALUE = b'{"messageId":"%d","status":{"groupId":3}}'
ROUNDS = 5
LIVES = 200


class Nothing:
    """In the place of the statement that writes the rows."""

    def execute(self, *_: object) -> None: ...


async def fill(journal: SqliteJournal, count: int) -> None:
    lease = await journal.acquire_lease("stream/acme/sms")
    await journal.confirm_without_kafka(lease, STREAM)
    for start in range(0, count, 1000):
        await journal.append_fetch(None, STREAM, Fetch(Origin.PUSH, 1, 1, 200, "", b"{}", True, 1000), None)
        claimed = await journal.claim_fetch(STREAM, 1)
        assert claimed is not None
        reports = [Report(f"m-{n}", "5:0", 3, True, VALUE % n) for n in range(start, start + 1000)]
        await journal.record_reports(claimed, Decoded(list(reports), True), None)


async def record(journal: SqliteJournal, lease: Lease, seqs: range, group: int) -> float:
    """CPU microseconds for each."""
    began = time.process_time()
    for start in range(seqs.start, seqs.stop, group):
        tried = [
            AttemptRecord(None, (seq,), 1_700_000_000_000 + seq, 0.01, 200, "", b"ok", True, None, None)
            for seq in range(start, min(start + group, seqs.stop))
        ]
        await journal.record_attempts(lease, "billing", STREAM, tried, tried[-1].seqs[0])
    return (time.process_time() - began) / len(seqs) * 1e6


async def measure(path: Path, successes: int, group: int) -> None:
    journal = await SqliteJournal.open(path, instance="bench")
    await fill(journal, successes)
    lease = await journal.acquire_lease("callback/billing/acme/sms")
    await journal.open_subscription(lease, "billing", STREAM, earliest=True, at_ms=1)
    statement = attempts._ATTEMPT
    costs: dict[str, list[float]] = {"with history": [], "without": []}
    part = successes // (2 * ROUNDS)
    for turn in range(2 * ROUNDS):
        name = ("with history", "without")[turn % 2]
        attempts._ATTEMPT = statement if name == "with history" else Nothing()  # type: ignore[assignment]
        seqs = range(turn * part + 1, (turn + 1) * part + 1)
        costs[name].append(await record(journal, lease, seqs, group))
    attempts._ATTEMPT = statement
    for name, found in costs.items():
        print(f"  {name:14} {median(found):6.2f} CPU-us a success   ({min(found):.2f} to {max(found):.2f})")
    print(f"  {'history alone':14} {median(costs['with history']) - median(costs['without']):6.2f} CPU-us a success")
    began = time.perf_counter()
    for n in range(LIVES):
        await journal.inspect(f"m-{n * part // LIVES}")
    print(f"  {'a life':14} {(time.perf_counter() - began) / LIVES * 1000:6.2f} ms wall")
    await journal.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--successes", type=int, default=100_000)
    parser.add_argument("--group", type=int, default=100, help="successes in one transaction")
    parser.add_argument("--directory", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.directory) as directory:
        asyncio.run(measure(Path(directory) / "relay.db", options.successes, options.group))


if __name__ == "__main__":
    main()
