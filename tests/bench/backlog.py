"""A broker that answers nothing while reports keep coming: what the relay holds in memory, and how fast it drains."""

import time
from pathlib import Path
from typing import NamedTuple

from tests.bench.figures import MIB
from tests.bench.processes import Scene, Traffic, running_scene, until
from tests.bench.throughput import Profiling
from tests.bench.usage import Usage, peak_bytes, resident_bytes
from tests.kafka.broker import Cluster

BEFORE_REPORTS = 20_000
"""Published before the broker freezes: nothing is unpacked until the cursor was read."""


class Backlog(NamedTuple):
    """While it grew and while it shrank."""

    reports: int
    growing_seconds: float
    growing: Usage
    resident_bytes: int
    """When the whole backlog was journaled."""
    growing_peak_bytes: int
    draining_seconds: float
    draining: Usage
    peak_bytes: int


async def backlog(directory: Path, kafka: Cluster, *, reports: int, profiling: Profiling) -> Backlog:
    async with running_scene(directory, kafka, Traffic(total=reports + 2 * BEFORE_REPORTS)) as scene:
        await scene.give(BEFORE_REPORTS)
        await until(scene.drained, every_seconds=1.0)
        published = scene.published()
        for broker in kafka.brokers:
            broker.freeze()
        try:
            with profiling(scene.relay.pid):
                waiting, growing_seconds, growing = await _grow(scene)
            resident, growing_peak = resident_bytes(scene.relay.pid), peak_bytes(scene.relay.pid)
        finally:
            for broker in kafka.brokers:
                broker.thaw()
        usage, started_at = scene.usage, time.time()
        ended_at = await scene.until_published(published + waiting)
        return Backlog(
            reports=waiting,
            growing_seconds=growing_seconds,
            growing=growing,
            resident_bytes=resident,
            growing_peak_bytes=growing_peak,
            draining_seconds=ended_at - started_at,
            draining=scene.usage.since(usage),
            peak_bytes=peak_bytes(scene.relay.pid),
        )


async def _grow(scene: Scene) -> tuple[int, float, Usage]:
    """Take all that the API has; how many wait then, and what it took to unpack them."""
    usage, started = scene.usage, time.monotonic()
    scene.simulator.release()
    await until(scene.simulator.drained)
    await until(lambda: not scene.relay.metric("relay_fetches_pending"), every_seconds=0.5)
    seconds, used = time.monotonic() - started, scene.usage.since(usage)
    return int(scene.relay.metric("relay_unpublished_reports")), seconds, used


def described(backlog: Backlog) -> str:
    growing, draining = (
        f"{backlog.reports / seconds:,.0f} reports/s, {used.cpu_seconds / backlog.reports * 1e6:.1f} CPU-s/million, "
        f"{used.written_bytes / backlog.reports:,.0f} bytes/report"
        for seconds, used in (
            (backlog.growing_seconds, backlog.growing),
            (backlog.draining_seconds, backlog.draining),
        )
    )
    return (
        f"Backlog of {backlog.reports:,} unpublished reports, the broker frozen\n"
        f"  growing   {growing}\n"
        f"            {backlog.resident_bytes / MIB:,.0f} MiB resident with the whole backlog, "
        f"peak {backlog.growing_peak_bytes / MIB:,.0f} MiB\n"
        f"  draining  {draining}\n"
        f"            peak {backlog.peak_bytes / MIB:,.0f} MiB"
    )
