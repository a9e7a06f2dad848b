"""One run: faults one after another while reports flow, then quiet, then what must hold when nothing moves any more."""

import asyncio
import random
import time
import traceback
from collections import Counter, defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.chaos.arena import KINDS, RECOVERY_SECONDS, Arena, now_ms
from tests.chaos.checker import Verdict, judge
from tests.chaos.evidence import Blow, Evidence, keep
from tests.chaos.faults import FAULTS
from tests.kafka.broker import Cluster
from tests.scene.processes import until

SETTLING_SECONDS = 600.0
WAIT_FOR_RECOVERY = 0.6
"""In so many cases the next fault waits until the last one has healed; in the others it strikes on top of it."""
FIRST_SECONDS = 2.5
"""Nothing that was done before the first poll is ever got from the logs, so that must have been read by then."""
KILLS = ("kill-at-point", "kill-at-point", "kill-at-point", "kill")
"""These come first while fewer kills have been than should be, as a rule."""
KILLS_FIRST = 0.5
LAST_REPORTS = 200
"""Go through a relay that has just started, so that its counters must say exactly these."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a run does. `rate` is for each kind."""

    seed: int
    seconds: float
    rate: int = 60
    kills: int = 0
    """The faults go on until there were so many; "pause" is one."""
    every: bool = False
    """And until each kind was there."""
    at_least: int = 0
    """And until there were so many faults of any kind."""
    faults: Sequence[str] = tuple(FAULTS)

    @property
    def traffic(self) -> list[str]:
        total = int(self.rate * max(self.seconds + min(60, self.seconds / 10) + 5, self.kills * 9.5))
        rates = ["--rate", str(self.rate), "--total", str(total), "--duplicates", "0.03", "--revisions", "0.03"]
        return [*rates, "--final-only", "--seed", str(self.seed)]

    def behind(self, seconds: float, blows: Sequence[Blow]) -> bool:
        """Whether fewer kills have been than should be by now."""
        return _kills(blows) < self.kills * min(1.0, seconds / self.seconds)

    def goes_on(self, seconds: float, blows: Sequence[Blow], outcome: "Outcome", missed: Collection[str]) -> bool:
        return (
            seconds < self.seconds
            or _kills(blows) < self.kills
            or outcome.injected.total() < self.at_least
            or (self.every and bool(missed))
        )


def _kills(blows: Sequence[Blow]) -> int:
    return sum(blow.what.startswith(("kill", "pause")) for blow in blows)


@dataclass
class Outcome:
    """What happened, for whoever reads the report."""

    plan: Plan
    injected: Counter[str] = field(default_factory=Counter)
    recovery_seconds: defaultdict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    kills: Counter[str] = field(default_factory=Counter)
    noticed: Counter[str] = field(default_factory=Counter)
    """What the relay was seen to say, and what else a fault has to tell."""
    skipped: dict[str, str] = field(default_factory=dict)
    """Faults that cannot be made here, and why."""
    verdict: Verdict = field(default_factory=lambda: Verdict({}, []))
    objections: list[str] = field(default_factory=list)
    """Of the run itself, beside the checker's."""

    @property
    def green(self) -> bool:
        return self.verdict.green and not self.objections

    def told(self) -> str:
        lines = [f"seed {self.plan.seed}, {self.plan.seconds:.0f} s of faults, {self.plan.rate} reports/s of each kind"]
        lines.append("faults injected: " + (_counted(self.injected) or "none"))
        lines += [f"fault {name} left out: {reason}" for name, reason in self.skipped.items()]
        lines.append(f"kills and pauses: {self.kills.total()}: " + (_counted(self.kills) or "none"))
        lines.append("noticed: " + (_counted(self.noticed) or "nothing"))
        lines += [f"  {name}: {count}" for name, count in self.verdict.counts.items()]
        lines.append("seconds until both streams flow again (times, median, most):")
        for name, seconds in sorted(self.recovery_seconds.items()):
            if not seconds:
                continue
            ordered = sorted(seconds)
            lines.append(f"  {name}: {len(ordered)}, {ordered[len(ordered) // 2]:.1f}, {ordered[-1]:.1f}")
        lines += [f"OBJECTION {objection}" for objection in (*self.objections, *self.verdict.objections)]
        lines.append(f"verdict: {'GREEN' if self.green else 'RED'} (seed {self.plan.seed})")
        return "\n".join(lines)


async def run(plan: Plan, directory: Path, kafka: Cluster) -> Outcome:
    """From an empty journal to the verdict."""
    outcome = Outcome(plan)
    prefix = f"chaos-{plan.seed}-{now_ms()}"
    async with Arena(directory, kafka, *plan.traffic, prefix=prefix, own_disk=True) as arena:
        try:
            await _run(arena, outcome)
        except Exception as error:
            outcome.objections.append("".join(traceback.format_exception(error))[-6000:])
        outcome.noticed = arena.noticed
        outcome.kills = Counter(blow.what for blow in arena.blows)
    return outcome


async def _run(arena: Arena, outcome: Outcome) -> None:
    await arena.start_relay()
    await arena.flowing(60, time.time())
    await until(lambda: has_published(arena), 60, "nothing is published")
    await asyncio.sleep(FIRST_SECONDS)
    await _strike(arena, outcome.plan, random.Random(outcome.plan.seed), outcome)
    await _settle(arena, outcome)
    first = await asyncio.to_thread(arena.evidence)
    outcome.objections += await _restart_changes_nothing(arena, first)
    outcome.objections += await _counters_tell_the_truth(arena)
    await arena.terminate_relay()
    evidence = await asyncio.to_thread(arena.evidence)
    await asyncio.to_thread(keep, evidence, arena.directory)
    outcome.verdict = judge(evidence)


async def _strike(arena: Arena, plan: Plan, chance: random.Random, outcome: Outcome) -> None:
    outcome.skipped = {name: why for name in plan.faults if (why := arena.lacks(FAULTS[name].needs))}
    possible = [name for name in plan.faults if name not in outcome.skipped]
    order: list[str] = []
    began = time.monotonic()
    while plan.goes_on(elapsed := time.monotonic() - began, arena.blows, outcome, _missed(possible, outcome)):
        if not order:
            order = [name for name in possible for _ in range(FAULTS[name].weight)]
            chance.shuffle(order)
        late = plan.behind(elapsed, arena.blows) and chance.random() < KILLS_FIRST
        name = chance.choice(KILLS) if late else order.pop()
        print(f"{elapsed:6.0f} s  {name}", flush=True)
        await FAULTS[name].do(arena, chance)
        outcome.injected[name] += 1
        if chance.random() < WAIT_FOR_RECOVERY:
            outcome.recovery_seconds[name].append(await _recovered(arena))
        else:
            await asyncio.sleep(chance.uniform(0, 1.5))
    if missed := _missed(possible, outcome):
        print(f"no time was left for: {', '.join(missed)}", flush=True)


def _missed(possible: Sequence[str], outcome: Outcome) -> list[str]:
    return [name for name in possible if not outcome.injected[name]]


async def _recovered(arena: Arena) -> float:
    begun = time.time()
    await arena.flowing(RECOVERY_SECONDS, begun)
    return time.time() - begun


async def _settle(arena: Arena, outcome: Outcome) -> None:
    """Nothing more goes wrong; everything ends."""
    await arena.clear_faults()
    outcome.recovery_seconds["all of it"].append(await _recovered(arena))
    await arena.drained(SETTLING_SECONDS)
    await asyncio.to_thread(arena.metrics)
    await arena.terminate_relay()


async def _restart_changes_nothing(arena: Arena, before: Evidence) -> list[str]:
    """Started once more with nothing to do, it does nothing; it stays up for what follows."""
    await arena.start_relay()
    await until(lambda: _has_looked(arena), 60, lambda: f"nothing to do, and it is not idle:\n{arena.status()}")
    after = await asyncio.to_thread(arena.evidence_of_topics)
    changed = []
    if after != list(before.committed):
        changed.append(f"a restart changed the topics: {len(before.committed)} records before, {len(after)} after")
    if len(arena.posted) != len(before.posted):
        changed.append(f"a restart made {len(arena.posted) - len(before.posted)} POSTs")
    return changed


def has_published(arena: Arena) -> bool:
    """Both streams know the cluster that they belong to."""
    return all(
        arena.relay.metric("relay_records_published_total", topic=f"{arena.prefix}.{kind}.reports") for kind in KINDS
    )


def _has_looked(arena: Arena) -> bool:
    """Every stream has committed its cursor again and was polled a few times."""
    committed = arena.relay.metric("relay_kafka_transactions_total", outcome="committed")
    polls = [arena.relay.metric("relay_polls_total", kind=kind, outcome="ok") for kind in KINDS]
    return committed >= len(KINDS) and min(polls) >= 5


async def _counters_tell_the_truth(arena: Arena) -> list[str]:
    """What a fresh process counts is exactly what went through it."""
    ids = [f"last-{number}" for number in range(LAST_REPORTS)]
    await arena.put_reports("sms", ids[: LAST_REPORTS // 2])
    await arena.put_reports("voice", ids[LAST_REPORTS // 2 :])
    posted_before = len(arena.posted)
    await until(lambda: len(arena.posted) - posted_before >= LAST_REPORTS, 60, "the last reports do not arrive")
    await arena.drained(60)
    await asyncio.to_thread(arena.metrics)
    expected = {
        ("relay_reports_total", "outcome", "new"): LAST_REPORTS,
        ("relay_reports_total", "outcome", "duplicate"): 0,
        ("relay_reports_total", "outcome", "revision"): 0,
        ("relay_reports_total", "outcome", "quarantined"): 0,
        ("relay_records_published_total", "topic", f"{arena.prefix}.sms.reports"): LAST_REPORTS // 2,
        ("relay_records_published_total", "topic", f"{arena.prefix}.voice.reports"): LAST_REPORTS // 2,
        ("relay_callback_attempts_total", "callback", "billing"): LAST_REPORTS,
        ("relay_gaps_open", "source", "acme"): 0,
        ("relay_dead_letters", "callback", "billing"): 0,
        ("relay_unpublished_reports", "source", "acme"): 0,
        ("relay_callback_backlog_reports", "callback", "billing"): 0,
    }
    return [
        f"{name}{{{label}={value}}} is {found:.0f}, the ledgers say {wanted}"
        for (name, label, value), wanted in expected.items()
        if (found := arena.relay.metric(name, **{label: value})) != wanted
    ]


def _counted(counter: Counter[str]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(counter.items()))
