"""How late a callback gets its reports: ``python -m tests.bench.steady [--rate N] [--seconds N] [--dead N]``.

Reports are journaled and unpacked at a steady rate, some every 20 ms; a deliverer posts them one by one to a receiver
in another process, which looks at how long ago each was handed to the journal. ``--dead N`` adds callbacks that hang;
they time out, are tried again and are half open in the meantime. Prints, asserts nothing.

This is the sender alone. ``python -m tests.bench neighbours`` has the same with the whole relay, whose polls bring what
gathered in half a second at once.
"""

import argparse
import asyncio
import logging
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import NamedTuple

import structlog

from relay.config import CallbackConfig
from relay.journal.sqlite import SqliteJournal
from tests.bench.callbacks import SECRET, STREAM, Running, as_in_production, now_ms, receiver, record
from tests.bench.figures import seconds_text

TICK_SECONDS = 0.02
WARM_UP_SECONDS = 3.0


class Late(NamedTuple):
    """Of one run: reports posted, their ages when they came, and what a report cost this process."""

    reports: int
    p50_seconds: float
    p99_seconds: float
    cpu_seconds: float


def asked(process: "subprocess.Popen[str]") -> list[float]:
    """POSTs, reports, when the last came, and the ages since it was asked before."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write("\n")
    process.stdin.flush()
    return [float(number) for number in process.stdout.readline().split()]


async def journaling(journal: SqliteJournal, rate: int, seconds: float, followers: Sequence[Running]) -> None:
    """At this rate, by the clock: what is late is made up for."""
    lease = await journal.acquire_lease(f"stream/{STREAM}")
    await journal.open_stream(lease, STREAM, now_ms())
    await journal.confirm_without_kafka(lease, STREAM)
    began, made = time.monotonic(), 0
    while (passed := time.monotonic() - began) < seconds:
        due = int(passed * rate)
        if due > made:
            await record(journal, lease, [f"message-{number:09}" for number in range(made, due)])
            made = due
            for follower in followers:
                follower.deliver.entries_came()
        await asyncio.sleep(TICK_SECONDS)


async def run(
    arguments: argparse.Namespace, dead: int, url: str, dead_url: str, process: "subprocess.Popen[str]"
) -> Late:
    with tempfile.TemporaryDirectory(dir=arguments.directory) as directory:
        journal = await SqliteJournal.open(Path(directory) / "relay.db", instance="bench")
        as_in_production()
        urls = {f"dead-{number}": dead_url for number in range(dead)} | {"billing": url}
        running = []
        for name, one_url in urls.items():
            lease = await journal.acquire_lease(f"callback/{name}/{STREAM}")
            config = CallbackConfig(name=name, url=one_url, start="earliest", secrets=[SECRET], concurrency=16)
            running.append(Running(config, journal, lease))
        writing = asyncio.create_task(journaling(journal, arguments.rate, WARM_UP_SECONDS + arguments.seconds, running))
        await asyncio.sleep(WARM_UP_SECONDS)
        _, before, *_ = await asyncio.to_thread(asked, process)
        cpu_seconds = time.process_time()
        await writing
        _, after, _, p50, p99 = await asyncio.to_thread(asked, process)
        cpu_seconds = time.process_time() - cpu_seconds
        for one in running:
            await one.stop()
        await journal.close()
        return Late(int(after - before), p50, p99, cpu_seconds)


def described(dead: int, runs: Sequence[Late]) -> str:
    reports = sum(one.reports for one in runs)
    p99 = [one.p99_seconds for one in runs]
    return (
        f"beside {dead:2} that hang: journal to receiver p50 {seconds_text(median(one.p50_seconds for one in runs))}, "
        f"p99 {seconds_text(median(p99))} (rounds {', '.join(seconds_text(one) for one in sorted(p99))}), "
        f"{sum(one.cpu_seconds for one in runs) / reports * 1e6:.0f} CPU-µs/report with journaling"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=40, help="of each run; those that hang time out after 15")
    parser.add_argument("--dead", type=int, default=19)
    parser.add_argument("--rounds", type=int, default=1, help="of both, in turn; the medians are shown")
    parser.add_argument("--directory", default=None, help="where the journal is made; a real disk")
    arguments = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    runs: dict[int, list[Late]] = {0: [], arguments.dead: []}
    with receiver("--ages") as (url, process), receiver("--delay", "3600") as (dead_url, _):
        for _ in range(arguments.rounds):
            for dead, late in runs.items():
                late.append(asyncio.run(run(arguments, dead, url, dead_url, process)))
    for dead, late in runs.items():
        print(described(dead, late), flush=True)


if __name__ == "__main__":
    main()
