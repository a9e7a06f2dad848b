"""``make bench``, or ``python -m tests.bench [PART …] [options]``: what the relay does here, beside the floor.

Simulator, Apache Kafka, callback receiver and relay are processes of their own; each part has a new journal and new
topics on the same warm broker. Prints, asserts nothing. Parts:

  kafka     Kafka alone, as fast as it goes, in turn with the floor
  paced     Kafka alone, at a steady rate: cost and delay when it is not overrun
  callback  the same with a callback, one report in a POST
  batched   the same with a callback of batch_size 100
  posting   from a full journal to a callback, without Kafka: single POSTs, batches of 100, these beside 19 that hang;
            in turn with the same bodies by a bare aiohttp session
  neighbours  a callback at 1,000 reports/s, alone and beside 19 that never answer: from the journal to the receiver,
            without Kafka, at a steady rate; then the whole relay, whose polls bring what gathered in half a second:
            delays of callback and Kafka, CPU, memory, disk
  backlog   a broker that answers nothing while a million reports come: memory, and how fast it drains
  window    ten million ids in the dedup window, beside an empty one

The floor: the same bodies through orjson (read, each report written), one durable SQLite insert for each report (1000 a
transaction) and aiokafka's batch API in transactions with the same headers, and nothing else.

Scripts for single rooms, each with --help: tests.bench.journal_hot_path, tests.bench.callbacks, tests.bench.steady,
tests.bench.simulator_rate.
"""

import argparse
import asyncio
import contextlib
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import apsw

from tests.bench import figures, neighbours, window
from tests.bench.backlog import backlog, described
from tests.bench.figures import Measured
from tests.bench.floor import PARTITIONS, FloorProcess, FloorRound
from tests.bench.neighbours import beside_neighbours
from tests.bench.processes import running_broker
from tests.bench.profile import profiler
from tests.bench.throughput import Case, paced, saturated
from tests.kafka.broker import Cluster
from tests.kafka.distribution import KafkaMissing, kafka_jars

PARTS = ("kafka", "paced", "callback", "batched", "posting", "neighbours", "backlog", "window")
FLOOR_TOPIC = "floor"


class Bench:
    """All parts, on one broker."""

    def __init__(self, options: argparse.Namespace, directory: Path, kafka: Cluster, floor: FloorProcess) -> None:
        self._options = options
        self._directory = directory
        self._kafka = kafka
        self._floor = floor
        self._floors: list[FloorRound] = []
        self._profiler = profiler(options.profile)

    def run(self, parts: Sequence[str]) -> None:
        print(figures.header())
        for part in PARTS:
            if part in parts:
                getattr(self, part)()

    def kafka(self) -> None:
        self._saturated("kafka", "Kafka alone", self._options.reports)

    def paced(self) -> None:
        rate, seconds = self._options.rate, self._options.seconds
        profiling = self._profiler("paced")
        self._show(
            asyncio.run(paced(self._new("paced"), self._kafka, rate=rate, seconds=seconds, profiling=profiling)), []
        )

    def callback(self) -> None:
        self._saturated("callback", "one callback, single POSTs", self._options.callback_reports, "batch_size: 1")

    def batched(self) -> None:
        self._saturated("batched", "one callback, batch_size 100", self._options.batched_reports, "batch_size: 100")

    def posting(self) -> None:
        options = self._options
        for batch_size, reports, hanging in (
            (1, options.callback_reports, 0),
            (100, options.posting_reports, 0),
            (100, options.posting_reports, options.neighbours),
        ):
            print(f"posting from the journal, batch_size {batch_size}, beside {hanging} that hang", flush=True)
            numbers = {"reports": reports, "batch-size": batch_size, "dead": hanging, "rounds": options.rounds}
            self._script("tests.bench.callbacks", numbers)

    def neighbours(self) -> None:
        options = self._options
        numbers = {"dead": options.neighbours, "rate": options.neighbours_rate, "seconds": options.neighbours_seconds}
        self._script("tests.bench.steady", numbers)
        for hanging in (0, options.neighbours):
            measuring = beside_neighbours(
                self._new(f"neighbours-{hanging}"),
                self._kafka,
                rate=options.neighbours_rate,
                seconds=options.neighbours_seconds,
                hanging=hanging,
                profiling=self._profiler(f"neighbours-{hanging}"),
            )
            print(neighbours.described(asyncio.run(measuring)), flush=True)

    def backlog(self) -> None:
        measuring = backlog(
            self._new("backlog"), self._kafka, reports=self._options.backlog, profiling=self._profiler("backlog")
        )
        print(described(asyncio.run(measuring)), flush=True)

    def window(self) -> None:
        ids = self._options.ids
        self._saturated("window-0", "Kafka alone, empty window", self._options.reports)
        window.prepare(self._new("window"), ids)
        self._saturated("window", f"Kafka alone, {ids:,} ids", self._options.reports)

    def _script(self, module: str, numbers: Mapping[str, int]) -> None:
        command = [sys.executable, "-m", module, "--directory", str(self._directory)]
        subprocess.run([*command, *(f"--{name}={number}" for name, number in numbers.items())], check=True)

    def _saturated(self, part: str, name: str, reports: int, callback: str | None = None) -> None:
        case = Case(name=name, reports=reports, rounds=self._options.rounds, callback=callback)
        measured, floors = asyncio.run(saturated(case, self._new(part), self._kafka, self._floor, self._profiler(part)))
        self._show(measured, floors)

    def _show(self, measured: Measured, floors: Sequence[FloorRound]) -> None:
        """Beside the floor of its own rounds, or else of those before."""
        self._floors += floors
        print(figures.relay_line(measured, floors or self._floors))
        if floors:
            print(figures.floor_line(floors))
        sys.stdout.flush()

    def _new(self, part: str) -> Path:
        directory = self._directory / part
        directory.mkdir(exist_ok=True)
        return directory


def main() -> int:
    options = _parser().parse_args()
    try:
        kafka_jars()
    except KafkaMissing as missing:
        print(f"bench: {missing}", file=sys.stderr)
        return 1
    print(_machine(options), flush=True)
    with (
        tempfile.TemporaryDirectory(prefix="relay-bench-", dir=options.directory) as name,
        contextlib.ExitStack() as stack,
    ):
        directory = Path(name)
        kafka = stack.enter_context(running_broker(directory / "kafka"))
        kafka.create_topics(FLOOR_TOPIC, partitions=PARTITIONS)
        floor = stack.enter_context(
            FloorProcess.running(directory, kafka.bootstrap_servers, FLOOR_TOPIC, options.floor_reports)
        )
        floor.round()
        Bench(options, directory, kafka, floor).run(options.parts or PARTS)
    return 0


def _machine(options: argparse.Namespace) -> str:
    load = os.getloadavg()[0]
    return (
        f"{os.cpu_count()} cores, load {load:.1f} before we begin; Python {platform.python_version()}, "
        f"SQLite {apsw.sqlite_lib_version()}, Apache Kafka {kafka_jars().name}; medians of {options.rounds} rounds"
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], metavar="PART", help="default: all")
    numbers = {
        "reports": (100_000, "in a round of kafka and window"),
        "callback-reports": (20_000, "in a round of callback and of posting one by one"),
        "batched-reports": (50_000, "in a round of batched"),
        "posting-reports": (100_000, "in a round of posting in batches"),
        "floor-reports": (50_000, "in a round of the floor"),
        "rounds": (3, "of each part; the median is shown"),
        "rate": (5_000, "reports/s, for paced"),
        "seconds": (10, "for paced"),
        "neighbours": (19, "that hang, for neighbours"),
        "neighbours-rate": (1_000, "reports/s, for neighbours"),
        "neighbours-seconds": (40, "for neighbours: they time out after 15"),
        "backlog": (1_000_000, "unpublished reports, for backlog"),
        "ids": (10_000_000, "in the dedup window, for window"),
    }
    for option, (default, help_) in numbers.items():
        parser.add_argument(f"--{option}", type=int, default=default, metavar="N", help=f"{help_} (default {default})")
    parser.add_argument("--directory", type=Path, help="where journals and Kafka's data lie: a real disk")
    parser.add_argument("--profile", type=Path, metavar="DIRECTORY", help="leave a flame graph of each part there")
    return parser


if __name__ == "__main__":
    sys.exit(main())
