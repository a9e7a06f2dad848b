"""A callback at a steady rate, alone or beside others that never answer: what they change for it and for Kafka."""

import time
from pathlib import Path
from typing import NamedTuple

from tests.bench.figures import MIB, seconds_text
from tests.bench.processes import Traffic, running_scene, until
from tests.bench.throughput import WARM_UP_SECONDS, Profiling
from tests.bench.usage import Delays, Usage, peak_bytes
from tests.kafka.broker import Cluster


class Beside(NamedTuple):
    """One relay at one rate."""

    hanging: int
    reports: int
    seconds: float
    used: Usage
    kafka: Delays
    callback_p50_seconds: float
    callback_p99_seconds: float
    half_open: int
    peak_bytes: int
    journal_bytes: int


async def beside_neighbours(
    directory: Path, kafka: Cluster, *, rate: float, seconds: float, hanging: int, profiling: Profiling
) -> Beside:
    traffic = Traffic(total=int(rate * (WARM_UP_SECONDS + 2 * seconds + 10)), rate=rate)
    async with running_scene(
        directory, kafka, traffic, callback="concurrency: 16", ages=True, hanging=hanging
    ) as scene:
        await until(lambda: scene.simulator.handed_out() >= rate * WARM_UP_SECONDS)
        started, usage, received, delays = time.monotonic(), scene.usage, scene.received(), scene.delays()
        with profiling(scene.relay.pid):
            await until(lambda: scene.simulator.handed_out() >= rate * (WARM_UP_SECONDS + seconds))
        lasted, used, later = time.monotonic() - started, scene.usage.since(usage), scene.received()
        return Beside(
            hanging=hanging,
            reports=later.reports - received.reports,
            seconds=lasted,
            used=used,
            kafka=scene.delays().since(delays),
            callback_p50_seconds=later.age_p50_seconds,
            callback_p99_seconds=later.age_p99_seconds,
            half_open=int(scene.relay.metric("relay_callback_paused")),
            peak_bytes=peak_bytes(scene.relay.pid),
            journal_bytes=_journal_bytes(directory),
        )


def _journal_bytes(directory: Path) -> int:
    return sum(file.stat().st_size for file in directory.glob("relay.db*"))


def described(beside: Beside) -> str:
    who = f"one callback beside {beside.hanging} that hang" if beside.hanging else "one callback alone"
    kafka, callback = (
        f"p50 {seconds_text(p50)}, p99 {seconds_text(p99)}"
        for p50, p99 in (
            (beside.kafka.quantile(0.5), beside.kafka.quantile(0.99)),
            (beside.callback_p50_seconds, beside.callback_p99_seconds),
        )
    )
    return (
        f"{who}, {beside.reports / beside.seconds:,.0f} reports/s\n"
        f"  received to committed in Kafka      {kafka}\n"
        f"  received to posted at the callback  {callback}\n"
        f"  {beside.used.cpu_seconds / beside.reports * 1e6:.0f} CPU-µs/report, "
        f"{beside.used.written_bytes / beside.reports:,.0f} bytes/report written, peak {beside.peak_bytes / MIB:,.0f} "
        f"MiB, journal {beside.journal_bytes / MIB:,.0f} MiB"
        + (f"; {beside.half_open} half open" if beside.hanging else "")
    )
