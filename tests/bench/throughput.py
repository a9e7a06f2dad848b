"""As fast as it goes, or at a given rate: rounds of one relay, in turn with rounds of the floor."""

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.bench.figures import Measured, RelayRound
from tests.bench.floor import FloorProcess, FloorRound
from tests.bench.processes import Scene, Traffic, running_scene, until
from tests.bench.usage import Delays, Usage, peak_bytes
from tests.kafka.broker import Cluster

WARM_UP_REPORTS = 60_000
WARM_UP_SECONDS = 8.0
"""First, for broker and relay alike: compilers, caches, files that grow."""

Profiling = Callable[[int], contextlib.AbstractContextManager[None]]
"""Around the rounds, given the relay's process id."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """What is measured: a name to print, a callback (its further keys) if any, and how many reports make a round."""

    name: str
    reports: int
    rounds: int
    callback: str | None = None

    @property
    def warm_up(self) -> int:
        return min(WARM_UP_REPORTS, self.reports)

    @property
    def total(self) -> int:
        """With some to spare: a hold comes a moment late."""
        return self.warm_up + (self.rounds + 1) * (self.reports + 20_000)


async def saturated(
    case: Case, directory: Path, kafka: Cluster, floor: FloorProcess | None, profiling: Profiling
) -> tuple[Measured, list[FloorRound]]:
    """All reports are there from the start. The API is held between rounds until the relay is idle."""
    rounds: list[RelayRound] = []
    floors: list[FloorRound] = []
    async with running_scene(directory, kafka, Traffic(total=case.total), callback=case.callback) as scene:
        await scene.give(case.warm_up)
        await until(scene.drained, every_seconds=1.0)
        with profiling(scene.relay.pid):
            for _ in range(case.rounds):
                rounds.append(await _round(scene, case.reports))
                if floor is not None:
                    floors.append(floor.round())
        return Measured(case.name, rounds, peak_bytes(scene.relay.pid)), floors


async def paced(directory: Path, kafka: Cluster, *, rate: float, seconds: float, profiling: Profiling) -> Measured:
    """Reports become available at a steady rate that the relay keeps up with: what it costs and how late it is then."""
    total = int(rate * (WARM_UP_SECONDS + 2 * seconds + 10))
    async with running_scene(directory, kafka, Traffic(total=total, rate=rate)) as scene:
        await until(lambda: scene.simulator.handed_out() >= rate * WARM_UP_SECONDS)
        started, usage, published, delays = time.monotonic(), scene.usage, scene.published(), scene.delays()
        with profiling(scene.relay.pid):
            await until(lambda: scene.simulator.handed_out() >= rate * (WARM_UP_SECONDS + seconds))
        lasted, used = time.monotonic() - started, scene.usage.since(usage)
        one = _relay_round(scene.published() - published, lasted, used, scene.delays().since(delays))
        return Measured(f"Kafka alone, {rate:,.0f} reports/s given", [one], peak_bytes(scene.relay.pid))


async def _round(scene: Scene, reports: int) -> RelayRound:
    published, delays, received, usage = scene.published(), scene.delays(), scene.received(), scene.usage
    ledger_bytes = scene.simulator.ledger.stat().st_size
    given = await scene.give(reports)
    published_at = await scene.until_published(published + given)
    if scene.receiver is not None:
        await until(lambda: scene.received().reports >= received.reports + given)
    used = scene.usage.since(usage)
    started_at = scene.simulator.first_handed_out_ms(ledger_bytes) / 1000
    measured = _relay_round(given, published_at - started_at, used, scene.delays().since(delays))
    await until(scene.drained, every_seconds=1.0)
    if scene.receiver is None:
        return measured
    later = scene.received()
    return measured._replace(posts=later.posts - received.posts, posts_seconds=later.last_at - started_at)


def _relay_round(reports: int, seconds: float, used: Usage, delays: Delays) -> RelayRound:
    return RelayRound(
        reports, seconds, used.cpu_seconds, used.written_bytes, delays.quantile(0.5), delays.quantile(0.99)
    )
