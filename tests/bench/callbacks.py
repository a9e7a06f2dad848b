"""How many callbacks a second: ``python -m tests.bench.callbacks [--reports N] [--batch-size N] [--dead N]``.

A journal of N reports, one deliverer on it, a receiver in another process; in turn with the floor, which posts the same
bodies by a bare aiohttp session. Prints POSTs and reports per second, the CPU time of this process for each and how
busy the receiver was, and asserts nothing. ``--without-journal`` keeps everything in memory: what posting alone costs.
``--dead N`` adds callbacks that hang; they do before anything is measured.
"""

import argparse
import asyncio
import contextlib
import gc
import logging
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import structlog

from relay.cli.run import SWITCH_SECONDS
from relay.config import CallbackConfig
from relay.domain.pausing import Pause
from relay.domain.report import Decoded, Entry, EntryType, Origin, Report, Stream
from relay.journal.sqlite import SqliteJournal
from relay.observe import Health, Telemetry
from relay.ports import AttemptRecord, Backlog, DeliverJournal, Delivery, Fetch, Lease, NewDelivery
from relay.sinks.callback import HttpCallback
from relay.stages.deliver import Deliver, Gate
from relay.stages.stage import Stage
from tests.bench.journal_hot_path import value_of
from tests.bench.posting_floor import bodies_of, post_all
from tests.bench.usage import Usage

STREAM = Stream("acme", "sms")
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
BATCH = 1000


def now_ms() -> int:
    return time.time_ns() // 1_000_000


class InMemory:
    """A journal that costs nothing."""

    def __init__(self, count: int) -> None:
        at_ms = now_ms()
        self.position = 0
        self._entries = [
            Entry(seq, EntryType.REPORT, f"message-{seq:09}", 1, Origin.POLL, at_ms, 3, value_of(f"message-{seq:09}"))
            for seq in range(1, count + 1)
        ]
        self._next_id = 0

    async def open_subscription(self, *_: Any, **__: Any) -> int:
        return 0

    async def read_stream(self, stream: Stream, after_seq: int, limit: int, max_bytes: int) -> list[Entry]:
        return self._entries[after_seq : after_seq + limit]

    async def store_deliveries(
        self,
        lease: Lease,
        callback: str,
        stream: Stream,
        deliveries: Sequence[NewDelivery],
        position: int,
        at_ms: int,
    ) -> list[int]:
        self._next_id += len(deliveries)
        return list(range(self._next_id - len(deliveries), self._next_id))

    async def record_attempts(
        self, lease: Lease, callback: str, stream: Stream, attempts: Sequence[AttemptRecord], position: int
    ) -> int:
        self.position = position
        return 0

    async def due_deliveries(self, *_: Any) -> list[Delivery]:
        return []

    async def next_due_at_ms(self, callback: str, stream: Stream, skip: Collection[int]) -> int | None:
        return None

    async def keep_pause(self, callback: str, pause: Pause | None) -> None:
        return

    async def kept_pauses(self) -> dict[str, Pause]:
        return {}

    async def backlog(self, *_: Any) -> Backlog:
        return Backlog(0, 0, None, None)


async def fill(journal: SqliteJournal, count: int) -> None:
    lease = await journal.acquire_lease(f"stream/{STREAM}")
    await journal.open_stream(lease, STREAM, now_ms())
    await journal.confirm_without_kafka(lease, STREAM)
    for start in range(0, count, BATCH):
        await record(journal, lease, [f"message-{number:09}" for number in range(start, min(start + BATCH, count))])


async def record(journal: SqliteJournal, lease: Lease, names: Sequence[str]) -> None:
    """A fetch with these messageIds, journaled and unpacked."""
    decoded = Decoded([Report(name, "5:0", 3, True, value_of(name)) for name in names], True)
    at_ms = now_ms()
    fetch = Fetch(Origin.POLL, at_ms, at_ms, 200, "application/json", b"{}", True, len(names))
    await journal.append_fetch(lease, STREAM, fetch, None)
    claimed = await journal.claim_fetch(STREAM, at_ms)
    assert claimed is not None
    await journal.record_reports(claimed, decoded, None)


@contextlib.contextmanager
def receiver(*arguments: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    command = [sys.executable, "-m", "tests.receivers.counting", *arguments]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield process.stdout.readline().strip(), process
        assert process.stdin is not None
        process.stdin.close()


class Running:
    """A deliverer of a callback in its stage."""

    def __init__(self, config: CallbackConfig, journal: DeliverJournal, lease: Lease) -> None:
        self.health = Health()
        self.sender = HttpCallback(config)
        telemetry = Telemetry()
        self.deliver = Deliver(
            config=config,
            stream=STREAM,
            lease=lease,
            journal=journal,
            sender=self.sender,
            gate=Gate(config, self.health, telemetry),
            telemetry=telemetry,
            now_ms=now_ms,
        )
        self.stage = Stage(config.name, self.deliver.step, self.health)
        self.deliver.wake = self.stage.wake.set
        self.task = asyncio.create_task(self.stage.run())

    def hangs(self) -> bool:
        """It has as many POSTs in flight as it may, and takes in no more."""
        return len(self.deliver._running) == self.deliver._config.concurrency and not self.deliver._room_for_fresh()

    def has_recorded(self, reports: int) -> bool:
        recorder = self.deliver._recorder
        return recorder is not None and recorder.window.cursor() >= reports and not recorder.loaded

    async def stop(self) -> None:
        self.stage.stop()
        await self.task
        await self.deliver.close(0.0)
        await self.sender.close()


class Round(NamedTuple):
    """What was posted, and what it took."""

    posts: int
    reports: int
    seconds: float
    cpu_seconds: float
    receiver_cpu_seconds: float


class Clock:
    """From its making to `read`: wall, this process, the receiver."""

    def __init__(self, receiver_pid: int) -> None:
        self._receiver_pid = receiver_pid
        self._began = self._now()

    def _now(self) -> tuple[float, float, float]:
        return time.perf_counter(), time.process_time(), Usage.of(self._receiver_pid).cpu_seconds

    def read(self, reports: int, batch_size: int) -> Round:
        seconds, cpu, receiver = [now - then for now, then in zip(self._now(), self._began, strict=True)]
        return Round(-(-reports // batch_size), reports, seconds, cpu, receiver)


def as_in_production() -> None:
    gc.collect()
    gc.freeze()
    sys.setswitchinterval(SWITCH_SECONDS)


async def deliver(arguments: argparse.Namespace, url: str, pid: int, dead_url: str, directory: str) -> Round:
    keys = {"start": "earliest", "secrets": [SECRET], "batch_size": arguments.batch_size}
    journal: Any
    if arguments.without_journal:
        journal = InMemory(arguments.reports)
    else:
        journal = await SqliteJournal.open(Path(directory) / "relay.db", instance="bench")
        await fill(journal, arguments.reports)

    async def run(name: str, url: str, **more: Any) -> Running:
        place = f"callback/{name}/{STREAM}"
        lease = Lease(place, "bench", 1) if arguments.without_journal else await journal.acquire_lease(place)
        return Running(CallbackConfig(name=name, url=url, **keys, **more), journal, lease)

    as_in_production()
    dead = [await run(f"dead-{number}", dead_url) for number in range(arguments.dead)]
    while not all(one.hangs() for one in dead):  # noqa: ASYNC110 - nothing is measured yet
        await asyncio.sleep(0.02)
    clock = Clock(pid)
    billing = await run("billing", url, concurrency=arguments.concurrency)
    while not billing.has_recorded(arguments.reports):  # noqa: ASYNC110 - looking costs the measured code nothing
        await asyncio.sleep(0.02)
    measured = clock.read(arguments.reports, arguments.batch_size)
    for one in (*dead, billing):
        await one.stop()
    if not arguments.without_journal:
        await journal.close()
    return measured


async def floor(arguments: argparse.Namespace, url: str, pid: int) -> Round:
    bodies = bodies_of(arguments.reports, arguments.batch_size)
    as_in_production()
    clock = Clock(pid)
    await post_all(url, bodies, arguments.concurrency)
    return clock.read(arguments.reports, arguments.batch_size)


def described(name: str, rounds: Sequence[Round]) -> str:
    """Medians."""

    def median_of(value: Callable[[Round], float]) -> float:
        return median(value(one) for one in rounds)

    return (
        f"{name}: {median_of(lambda one: one.posts / one.seconds):,.0f} POSTs/s, "
        f"{median_of(lambda one: one.reports / one.seconds):,.0f} reports/s, "
        f"{median_of(lambda one: one.cpu_seconds / one.posts) * 1e6:.0f} CPU-µs a POST, "
        f"{median_of(lambda one: one.cpu_seconds / one.reports) * 1e6:.1f} a report; "
        f"the receiver took {median_of(lambda one: one.receiver_cpu_seconds / one.posts) * 1e6:.0f} CPU-µs a POST, "
        f"{median_of(lambda one: one.receiver_cpu_seconds / one.seconds):.0%} of its core"
    )


def measure(arguments: argparse.Namespace) -> None:
    relays: list[Round] = []
    floors: list[Round] = []
    with receiver() as (url, process), receiver("--delay", "3600") as (dead_url, _):
        for _ in range(arguments.rounds):
            with tempfile.TemporaryDirectory(dir=arguments.directory) as directory:
                relays.append(asyncio.run(deliver(arguments, url, process.pid, dead_url, directory)))
            floors.append(asyncio.run(floor(arguments, url, process.pid)))
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write("\n")
        process.stdin.flush()
        counted = int(process.stdout.readline().split()[0])
    wanted = sum(one.posts for one in (*relays, *floors))
    print(described("relay", relays))
    print(described("floor", floors))
    ratio = median(one.cpu_seconds for one in relays) / median(one.cpu_seconds for one in floors)
    peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"relay / floor by CPU {ratio:.2f}; peak {peak_mib:.0f} MiB; {counted:,} of {wanted:,} POSTs were received")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--reports", type=int, default=20_000)
    parser.add_argument("--batch-size", type=int, default=1)
    parser.add_argument("--concurrency", type=int, default=16)
    parser.add_argument("--dead", type=int, default=0)
    parser.add_argument("--rounds", type=int, default=3, help="the medians are shown")
    parser.add_argument("--without-journal", action="store_true")
    parser.add_argument("--directory", default=None, help="where the journal is made; a real disk")
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    measure(parser.parse_args())


if __name__ == "__main__":
    main()
