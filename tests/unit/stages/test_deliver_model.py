"""A deliverer against everything at once, by seed: failing callbacks and journals, pauses, restarts, later revisions.

Time is virtual. In the end everything works again, and then each wanted report must have arrived, in the order of its
revisions, and once, unless a crash explains more.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from relay.config import CallbackConfig
from relay.domain.pausing import Pause, PausedBy
from relay.domain.report import Entry, EntryType, Stream
from relay.observe import Health, Telemetry
from relay.ports import JournalError, Lease, PostResult
from relay.stages.deliver import Deliver, Gate, bounds, clock, deliverer, recorder, wanted_by
from relay.stages.stage import Stage
from tests.unit.stages.deliver_journal import MemoryJournal, entry
from tests.unit.stages.deliver_rig import START_MS, STREAM
from tests.unit.stages.virtual_time import LeapingLoop

LEASE = Lease(f"callback/billing/{STREAM}", "test", 1)
STATUSES = (200, 200, 200, 500, 429, 503, 404, None)


class Unsteady(MemoryJournal):
    """Fails as it is told to, before anything is written; and watches what the cursor passes."""

    def __init__(self, rng: random.Random, config: CallbackConfig) -> None:
        super().__init__()
        self.rng = rng
        self.error_share = 0.0
        self.wanted = wanted_by(config)
        self.delivered: set[int] = set()
        self.passed = 0
        self.wrong: list[str] = []
        self.crashed = False

    async def _write(self) -> None:
        for _ in range(self.rng.randrange(3)):
            await asyncio.sleep(0)
        if self.rng.random() < 0.2:
            await asyncio.sleep(self.rng.random() * 0.2)
        self._fail()

    def _fail(self) -> None:
        if self.rng.random() < self.error_share:
            raise JournalError("not now")

    async def read_stream(self, *args: Any) -> list[Entry]:
        found = await super().read_stream(*args)
        self._fail()
        return found

    async def store_deliveries(self, *args: Any) -> list[int]:
        ids = await super().store_deliveries(*args)
        self.check_passed()
        return ids

    async def record_attempts(self, lease: Any, callback: Any, stream: Any, attempts: Any, position: int) -> int:
        released = await super().record_attempts(lease, callback, stream, attempts, position)
        self.delivered.update(seq for attempt in attempts if attempt.delivered for seq in attempt.seqs)
        self.check_passed()
        return released

    def check_passed(self) -> None:
        settled = self.delivered | {seq for one in self.deliveries.values() for seq in one.seqs}
        settled |= {seq for seqs, _ in self.dead for seq in seqs}
        while self.passed < self.position:
            self.passed += 1
            one = self.entries[self.passed - 1]
            if one.seq not in settled and self.wanted.takes(one):
                self.wrong.append(f"the cursor passed {one.seq}")
        held = Counter(seq for one in self.deliveries.values() for seq in one.seqs)
        if held and max(held.values()) > 1 and not self.crashed:
            self.wrong.append(f"stored twice: {held.most_common(1)}")


class Callback:
    """Answers as the seed says until `works`; remembers each POST and, when it took it, that it did."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.works = False
        self.failing_share = rng.choice((0.0, 0.1, 0.5, 0.95, 1.0))
        self.gone_share = rng.choice((0.0, 0.0, 0.02))
        self.slowest_seconds = rng.choice((0.0, 0.01, 0.5, 20.0))
        self.hanging_share = rng.choice((0.0, 0.05))
        self.generation = 0
        self.told: list[tuple[str, int, int]] = []
        """(begun|taken, generation, seq), in order."""
        self.in_flight: set[int] = set()
        self.wrong: list[str] = []
        self.crashed = False

    async def post(self, stream: Stream, members: Sequence[Entry], at_ms: int) -> PostResult:
        del stream, at_ms
        seqs, generation = [one.seq for one in members], self.generation
        if self.in_flight & set(seqs) and not self.crashed:
            self.wrong.append(f"the same report twice at the same time: {self.in_flight & set(seqs)}")
        self.in_flight.update(seqs)
        self.told += [("begun", generation, seq) for seq in seqs]
        try:
            result = await self._answer()
        finally:
            self.in_flight.difference_update(seqs)
        if result.status == 200:
            self.told += [("taken", generation, seq) for seq in seqs]
        return result

    async def _answer(self) -> PostResult:
        rng = self.rng
        if self.works:
            await asyncio.sleep(0)
            return PostResult(200, "", None, 0.0, b"")
        if rng.random() < self.hanging_share:
            await asyncio.sleep(rng.random() * 300)
        await asyncio.sleep(rng.choice((0, 0, rng.random())) * self.slowest_seconds)
        chance = rng.random()
        if chance < self.gone_share:
            return PostResult(410, "", None, 0.0, b"")
        if chance < self.failing_share:
            return PostResult(rng.choice(STATUSES[3:]), "", rng.choice((None, 3.0)), 0.0, b"")
        if rng.random() < 0.005:
            raise RuntimeError("a surprise")
        return PostResult(200, "", None, 0.0, b"")


class World:
    def __init__(self, seed: int, loop: LeapingLoop, *, may_crash: bool) -> None:
        self.loop = loop
        self.may_crash = may_crash
        self.rng = rng = random.Random(seed)
        self.config = CallbackConfig(
            name="billing",
            url="http://localhost/",
            start="earliest",
            concurrency=rng.choice((1, 2, 4, 16)),
            batch_size=rng.choice((1, 1, 1, 2, 5, 40)),
            linger_seconds=rng.choice((0.0, 0.1, 3.0)),
            revisions=rng.random() < 0.7,
            status_groups=rng.choice((None, ("DELIVERED",))),
            rate_per_second=rng.choice((None, None, 50.0)),
            retry={"initial_seconds": 5, "max_seconds": 60, "max_age_seconds": 1e6},
            max_backlog=rng.choice((1_000_000, 1_000_000, 30)),
        )
        self.journal = Unsteady(rng, self.config)
        self.callback = Callback(rng)
        self.callback.wrong = self.journal.wrong
        self.seen: Counter[str] = Counter()
        self.crashes = 0
        self.most_ids = rng.choice((5, 50, 1000))
        self.start()

    # --- what happens ---

    def start(self) -> None:
        self.health, self.callback.generation = Health(), self.callback.generation + 1
        telemetry = Telemetry()
        pause = self.journal.pauses[-1] if self.journal.pauses else None
        self.gate = Gate(
            self.config, self.health, telemetry, pause=pause, monotonic=self.loop.time, uniform=self.rng.random
        )
        self.deliver = Deliver(
            config=self.config,
            stream=STREAM,
            lease=LEASE,
            journal=self.journal,
            sender=self.callback,
            gate=self.gate,
            telemetry=telemetry,
            now_ms=self.now_ms,
            uniform=self.rng.random,
        )
        self.stage = Stage("deliver", self.deliver.step, self.health)
        self.deliver.wake = self.stage.wake.set
        self.task = asyncio.create_task(self.stage.run())

    def now_ms(self) -> int:
        return START_MS + round(self.loop.time() * 1000)

    def receive(self, most: int) -> None:
        for _ in range(self.rng.randrange(most)):
            name = f"m-{self.rng.randrange(self.most_ids)}"
            self.seen[name] += 1
            revision = self.seen[name]
            later = self.rng.choice((EntryType.REVISION, EntryType.COMPLETION))
            self.journal.entries.append(
                entry(
                    len(self.journal.entries) + 1,
                    name,
                    revision=revision,
                    type_=EntryType.REPORT if revision == 1 else later,
                    status_group=self.rng.choice((3, 3, 1)),
                    received_at_ms=self.now_ms(),
                    size_bytes=self.rng.choice((20, 20, 20, 100_000)),
                )
            )
        self.deliver.entries_came()

    async def stop(self) -> None:
        self.stage.stop()
        await self.task
        errors = self.journal.error_share
        if not self.crashes:
            self.journal.error_share = 0.0
        await self.deliver.close(self.rng.choice((0.0, 0.5, 30.0)))
        self.journal.error_share = errors
        assert self.gate._inside == 0
        assert not self.callback.in_flight
        assert not self.journal.wrong, self.journal.wrong[:3]

    async def crash(self) -> None:
        """All at once, in the middle of whatever it is."""
        self.crashes += 1
        self.journal.crashed = self.callback.crashed = True
        self.deliver._closing = True
        self.stage.stop()  # asyncio.wait_for may swallow the cancellation
        self.task.cancel()
        workers = list(self.deliver._workers)
        for worker in workers:
            worker.cancel()
        await asyncio.gather(self.task, *workers, return_exceptions=True)
        self.gate.withdraw(self.deliver._launch)
        if self.deliver._wake_timer is not None:
            self.deliver._wake_timer.cancel()

    async def something(self) -> None:
        match self.rng.randrange(12):
            case 0 | 1:
                self.receive(self.rng.choice((3, 30, 100)))
            case 2 | 3:
                self.gate.pause(Pause(PausedBy.HAND, "", self.now_ms()))
                self.deliver.wake()
            case 4 | 5 | 6:
                self.gate.resume()
                self.deliver.wake()
            case 7:
                await self.stop()
                self.start()
            case 8 if self.may_crash:
                await self.crash()
                self.start()
            case 9:
                self.journal.error_share = self.rng.choice((0.0, 0.0, 0.3, 0.9))
            case 10:
                self.callback.failing_share = self.rng.choice((0.0, 0.1, 1.0))
                self.callback.slowest_seconds = self.rng.choice((0.0, 0.01, 0.5, 20.0))
            case _:
                self.deliver.stored_elsewhere()

    async def live(self) -> None:
        self.receive(150)
        for _ in range(self.rng.randrange(25)):
            await asyncio.sleep(self.rng.choice((0.0, 0.01, 0.1, 1.0, 15.0, 100.0)) * self.rng.random())
            await self.something()
        self.journal.error_share, self.callback.works = 0.0, True
        self.gate.resume()
        self.deliver.wake()
        until = self.loop.time() + 4_000
        while self.journal.position < len(self.journal.entries) or self.journal.deliveries:
            assert not self.journal.wrong
            assert self.loop.time() < until, "something is stuck"
            assert not self.task.done(), self.task.exception()
            await asyncio.sleep(1)
            self.gate.resume()  # a late 410 may have paused it
        await asyncio.sleep(20)
        await self.stop()

    # --- what must be true then ---

    def check(self) -> None:
        journal, told = self.journal, self.callback.told
        assert not journal.wrong, journal.wrong[:3]
        by_seq = {one.seq: one for one in journal.entries}
        wanted = {one.seq for one in journal.entries if journal.wanted.takes(one)}
        dead = {seq for seqs, _ in journal.dead for seq in seqs}
        taken = Counter(seq for what, _, seq in told if what == "taken")
        assert wanted == taken.keys() | dead
        assert not self.deliver._recorder or not self.deliver._recorder.window._open
        assert not self.deliver._recorder or not self.deliver._recorder.loaded
        assert self.deliver._lanes._retries_running == 0
        assert all(reason == "backlog" for _, reason in journal.dead)
        if not self.crashes:
            assert set(taken.values()) <= {1}
            assert not dead & taken.keys()
        # Once it was taken it is not posted again; a later revision only after the earlier one.
        last: dict[tuple[int, str], int] = {}
        done: set[int] = set()
        before: dict[int, int] = {}
        newest: dict[str, int] = {}
        for one in journal.entries:
            if one.seq in wanted:
                if one.message_id in newest:
                    before[one.seq] = newest[one.message_id]
                newest[one.message_id] = one.seq
        for what, generation, seq in told:
            if what == "taken":
                done.add(seq)
                continue
            assert self.crashes or seq not in done, f"{seq} is posted again"
            name = (generation, by_seq[seq].message_id)
            assert self.crashes or last.get(name, 0) <= seq, "an earlier revision after a later one"
            last[name] = seq
            earlier = before.get(seq)
            assert self.crashes or earlier is None or earlier in done or earlier in dead, f"{seq} before {earlier}"


def run(seed: int, *, may_crash: bool) -> None:
    loop = LeapingLoop()
    patched = SimpleNamespace(monotonic=loop.time)
    with pytest.MonkeyPatch.context() as patch, capture_logs():  # tracebacks cost more than all the rest
        for module in (bounds, recorder, deliverer):
            patch.setattr(module, "time", patched)
        patch.setattr(clock.ForwardClock.__init__, "__kwdefaults__", {"monotonic": loop.time})
        try:
            loop.run_until_complete(_run(seed, loop, may_crash=may_crash))
        finally:
            for task in asyncio.all_tasks(loop):
                task.cancel()
            loop.run_until_complete(asyncio.sleep(0))
            loop.close()


async def _run(seed: int, loop: LeapingLoop, *, may_crash: bool) -> None:
    world = World(seed, loop, may_crash=may_crash)
    await world.live()
    world.check()


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_each_report_arrives_once_and_revisions_in_their_order(seed: int) -> None:
    run(seed, may_crash=False)


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_whatever_a_crash_repeats_nothing_is_lost(seed: int) -> None:
    run(seed, may_crash=True)
