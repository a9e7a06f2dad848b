"""The gate of one callback: slots for all its streams, fairness, and how it is spared while it fails."""

import asyncio
import itertools

import pytest
from structlog.testing import capture_logs

from relay.config import CallbackConfig
from relay.domain.pausing import GateState, Pause, PausedBy
from relay.domain.report import Stream
from relay.observe import Health, Telemetry
from relay.ports import JournalError
from relay.stages.deliver import Gate, subscribes
from tests.unit.stages.deliver_journal import OK, MemoryJournal, ToldSender, entry
from tests.unit.stages.deliver_rig import Rig, until


def config(**keys: object) -> CallbackConfig:
    return CallbackConfig.model_validate({"name": "billing", "url": "http://localhost/", **keys})


class Told:
    """A gate by a clock that stands still, without jitter, and what it shows."""

    def __init__(self, *, pause: Pause | None = None, **keys: object) -> None:
        self.health, self.telemetry, self.now = Health(), Telemetry(), 100.0
        self.gate = Gate(
            config(**keys),
            self.health,
            self.telemetry,
            pause=pause,
            monotonic=lambda: self.now,
            uniform=lambda: 1.0,
        )

    @property
    def metric(self) -> float | None:
        return self.telemetry.registry.get_sample_value("relay_callback_paused", {"callback": "billing"})

    def enter(self) -> bool:
        return self.gate.enter(nobody)

    def fail(self, times: int, reason: str = "HTTP 500") -> None:
        """So many that were in flight together."""
        for _ in range(times):
            assert self.enter()
        for _ in range(times):
            self.gate.failed(reason)

    def probe(self) -> float:
        """Wait until one attempt is let in, which fails; how long that took."""
        began = self.now
        while not self.enter():
            self.now += 0.01
        assert not self.enter()  # one at a time
        self.gate.failed("HTTP 500")
        return self.now - began


def gate(concurrency: int = 2) -> Gate:
    return Told(concurrency=concurrency).gate


def nobody() -> None:
    """A waiter that does nothing."""


async def test_as_many_as_concurrency_enter() -> None:
    one = gate(2)
    assert [one.enter(nobody), one.enter(nobody), one.enter(nobody)] == [True, True, False]
    one.succeeded()
    assert one.enter(nobody)


async def test_waiters_are_called_in_turn_once_each() -> None:
    one = gate(1)
    called: list[str] = []
    one.enter(nobody)
    one.enter(lambda: called.append("first"))
    one.enter(lambda: called.append("second"))
    one.succeeded()
    assert called == ["first", "second"]  # the first did not take the slot
    one.leave()
    assert called == ["first", "second"]


async def test_a_waiter_that_takes_the_slot_leaves_the_others_waiting() -> None:
    one = gate(1)
    called: list[str] = []

    def first() -> None:
        called.append("first")
        assert one.enter(first)

    one.enter(nobody)
    one.enter(first)
    one.enter(lambda: called.append("second"))
    one.succeeded()
    assert called == ["first"]


async def test_after_ten_failures_in_a_row_one_attempt_at_a_time_at_growing_distance() -> None:
    told = Told(concurrency=20)
    told.fail(9)
    assert not told.gate.held
    assert [told.enter(), told.enter()] == [True, True]
    told.gate.leave()
    told.gate.failed("HTTP 500")
    assert told.gate.held
    distances = [told.probe() for _ in range(7)]
    assert distances == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0], abs=0.02)
    # It does not last long enough to tell anybody.
    assert told.gate.state is GateState.OPEN
    assert (told.health.degraded, told.metric) == ({}, 0)
    told.gate.withdraw(nobody)


async def test_ten_in_a_row_and_thirty_seconds_make_it_half_open() -> None:
    told = Told(concurrency=20)
    told.fail(10)
    distances = []
    with capture_logs() as logged:
        while told.gate.state is GateState.OPEN:
            distances.append(told.probe())
        # From the first failure: 29.99 s is not enough.
        assert 130 <= told.now < 135
        assert sum(distances[:-1]) < 30
        assert told.metric == 1
        assert told.health.degraded == {"callback/billing": f"{10 + len(distances)} attempts failed in a row: HTTP 500"}
        distances = [told.probe() for _ in range(6)]
    assert distances == pytest.approx([10.0, 20.0, 40.0, 60.0, 60.0, 60.0], abs=0.02)
    assert [line["event"] for line in logged] == ["callback is half open"]  # once
    told.gate.withdraw(nobody)


async def test_thirty_seconds_of_few_failures_do_not() -> None:
    told = Told()
    for _ in range(9):
        told.fail(1)
        told.now += 10
    assert told.gate.state is GateState.OPEN
    assert not told.gate.held


async def test_a_success_between_failures_begins_the_row_anew() -> None:
    told = Told(concurrency=20)
    told.fail(9)
    told.now += 60
    assert told.enter()
    told.gate.succeeded()
    told.fail(9)
    assert not told.gate.held


async def test_one_success_opens_it_fully() -> None:
    told = Told(concurrency=20)
    told.fail(10)
    while told.gate.state is GateState.OPEN:
        told.probe()
    told.now += 60
    assert told.enter()
    with capture_logs() as logged:
        told.gate.succeeded()
    assert told.gate.state is GateState.OPEN
    assert (told.health.degraded, told.metric) == ({}, 0)
    assert [line["event"] for line in logged] == ["callback works again"]
    assert [told.enter() for _ in range(20)] == [True] * 20


async def test_the_distance_is_spread_so_that_neighbours_do_not_probe_together() -> None:
    told = Told(concurrency=10)
    told.gate._uniform = lambda: 0.0
    told.fail(10)
    assert told.probe() == pytest.approx(0.05, abs=0.02)
    told.gate.withdraw(nobody)


async def test_attempts_in_flight_when_it_begins_to_fail_do_not_widen_the_distance() -> None:
    told = Told(concurrency=30)
    told.fail(30)
    assert told.probe() == pytest.approx(0.1, abs=0.02)
    told.gate.withdraw(nobody)


# --- too much to do ---


async def test_an_overloaded_callback_gets_half_as_many_at_a_time_and_one_more_after_each_success() -> None:
    told = Told(concurrency=8)
    assert [told.enter() for _ in range(8)] == [True] * 8
    told.gate.failed("HTTP 503", slow_down=True)
    for _ in range(3):
        told.gate.leave()
    assert not told.enter()  # four are inside
    told.gate.succeeded()
    assert [told.enter(), told.enter(), told.enter()] == [True, True, False]  # five may be
    for _ in range(5):
        told.gate.failed("HTTP 503", slow_down=True)
    assert [told.enter(), told.enter()] == [True, False]  # never none
    told.gate.withdraw(nobody)


async def test_what_an_answer_asked_for_is_kept_though_another_attempt_succeeds() -> None:
    told = Told(concurrency=3)
    assert [told.enter(), told.enter()] == [True, True]
    told.gate.failed("HTTP 429", hold_seconds=60)
    told.gate.succeeded()
    assert not told.enter()
    told.now += 60
    assert told.enter()
    told.gate.withdraw(nobody)


async def test_who_waits_is_called_when_the_time_is_over() -> None:
    one = Gate(config(concurrency=2), Health(), Telemetry())
    one.enter(nobody)
    one.failed("HTTP 503", hold_seconds=0.05)
    called = asyncio.Event()
    assert not one.enter(called.set)
    async with asyncio.timeout(2):
        await called.wait()
    assert one.enter(nobody)


async def test_while_attempts_of_a_slow_callback_hang_nothing_spins() -> None:
    looked = 0
    now = 100.0

    def monotonic() -> float:
        nonlocal looked
        looked += 1
        return now

    one = Gate(config(), Health(), Telemetry(), monotonic=monotonic)
    for _ in range(16):
        one.enter(nobody)
    for _ in range(10):
        one.failed("timeout")
    now += 1
    assert not one.enter(nobody)  # six still hang
    looked = 0
    for _ in range(50):
        await asyncio.sleep(0.001)
    assert looked == 0


async def test_a_timer_that_fires_early_is_set_again() -> None:
    now = 100.0
    one = Gate(config(concurrency=1), Health(), Telemetry(), monotonic=lambda: now)
    one.enter(nobody)
    one.failed("HTTP 503", hold_seconds=0.01)
    called = asyncio.Event()
    assert not one.enter(called.set)
    await asyncio.sleep(0.05)
    assert not called.is_set()
    now += 1
    async with asyncio.timeout(2):
        await called.wait()


async def test_a_timer_for_later_is_set_again_for_what_comes_before_that() -> None:
    one = Gate(config(concurrency=2, rate_per_second=50), Health(), Telemetry(), uniform=lambda: 1.0)
    assert one.enter(nobody)
    one.failed("HTTP 503", hold_seconds=60)
    assert not one.enter(nobody)  # its timer is set for in a minute
    one.resume()
    called = asyncio.Event()
    assert not one.enter(called.set)  # the rate says: in 20 ms
    async with asyncio.timeout(2):
        await called.wait()
    one.withdraw(nobody)


# --- rate ---


async def test_the_rate_is_kept_and_spread_evenly() -> None:
    told = Told(concurrency=100, rate_per_second=10)
    entered: list[float] = []
    while told.now < 103:
        if told.enter():
            entered.append(told.now)
        told.now += 0.001
    assert len(entered) == 30
    steps = [later - earlier for earlier, later in itertools.pairwise(entered)]
    assert min(steps) > 0.09
    told.gate.withdraw(nobody)


async def test_after_a_quiet_time_there_is_no_burst() -> None:
    told = Told(concurrency=100, rate_per_second=10)
    assert told.enter()
    told.now += 60
    assert [told.enter(), told.enter()] == [True, False]
    told.gate.withdraw(nobody)


async def test_without_a_rate_there_is_none() -> None:
    told = Told(concurrency=100)
    assert [told.enter() for _ in range(100)] == [True] * 100


# --- paused ---

BY_HAND = Pause(PausedBy.HAND, "maintenance", 1_700_000_000_000)
GONE = Pause(PausedBy.GONE, "HTTP 410", 1_700_000_000_000)


class KeptPauses:
    def __init__(self) -> None:
        self.writes: list[Pause | None] = []
        self.failing = 0
        self.hold: asyncio.Event | None = None

    async def keep_pause(self, callback: str, pause: Pause | None) -> None:
        assert callback == "billing"
        if self.hold is not None:
            await self.hold.wait()
        if self.failing:
            self.failing -= 1
            raise JournalError("disk full")
        self.writes.append(pause)

    async def kept_pauses(self) -> dict[str, Pause]:
        return {}


@pytest.mark.parametrize(
    ("pause", "told_as"),
    [(BY_HAND, "paused by hand: maintenance"), (GONE, "the callback says that it is gone (HTTP 410)")],
)
async def test_a_paused_callback_gets_nothing_until_it_is_resumed(pause: Pause, told_as: str) -> None:
    told = Told()
    called: list[str] = []
    with capture_logs() as logged:
        told.gate.pause(pause)
        assert not told.gate.enter(lambda: called.append("resumed"))
        told.now += 1_000_000
        assert not told.enter()
        assert told.gate.state is GateState.PAUSED
        assert (told.health.degraded, told.metric) == ({"callback/billing": told_as}, 1)
        assert told.gate.resume()
    assert called == ["resumed"]
    assert told.enter()
    assert (told.health.degraded, told.metric) == ({}, 0)
    assert [line["event"] for line in logged] == ["callback paused", "callback resumed"]


async def test_attempts_in_flight_do_not_open_a_paused_callback() -> None:
    told = Told()
    assert [told.enter(), told.enter()] == [True, True]
    told.gate.pause(GONE)
    told.gate.succeeded()
    told.gate.failed("HTTP 410")
    assert not told.enter()
    assert told.metric == 1


async def test_every_attempt_in_flight_says_that_it_is_gone_and_that_is_told_once() -> None:
    told = Told()
    with capture_logs() as logged:
        for _ in range(16):
            told.gate.pause(GONE)
    assert len(logged) == 1


async def test_a_pause_by_hand_is_not_replaced_by_a_gone_but_the_other_way_round() -> None:
    told = Told()
    told.gate.pause(GONE)
    told.gate.pause(BY_HAND)
    told.gate.pause(GONE)
    assert told.gate.standing.pause == BY_HAND


async def test_resuming_a_half_open_callback_opens_it() -> None:
    told = Told(concurrency=20)
    told.fail(10)
    while told.gate.state is GateState.OPEN:
        told.probe()
    assert not told.enter()
    assert told.gate.resume()
    assert [told.enter(), told.enter()] == [True, True]
    assert not told.gate.resume()  # it was open


async def test_what_the_journal_holds_is_in_force_from_the_start_and_told() -> None:
    with capture_logs() as logged:
        told = Told(pause=GONE)
    assert [line["event"] for line in logged] == ["callback is still paused"]
    assert not told.enter()
    assert told.metric == 1
    journal = KeptPauses()
    await told.gate.keep(journal)
    assert journal.writes == []  # it is there
    told.gate.resume()
    await told.gate.keep(journal)
    assert journal.writes == [None]


async def test_a_pause_that_could_not_be_written_is_written_later() -> None:
    told, journal = Told(), KeptPauses()
    told.gate.pause(GONE)
    journal.failing = 1
    with pytest.raises(JournalError):
        await told.gate.keep(journal)
    await told.gate.keep(journal)
    await told.gate.keep(journal)
    assert journal.writes == [GONE]


async def test_who_resumes_while_the_pause_is_being_written_has_the_last_word() -> None:
    told, journal = Told(), KeptPauses()
    journal.hold = asyncio.Event()
    told.gate.pause(GONE)
    writing = asyncio.create_task(told.gate.keep(journal))
    await asyncio.sleep(0)
    told.gate.resume()
    resuming = asyncio.create_task(told.gate.keep(journal))
    await asyncio.sleep(0)
    journal.hold.set()
    await asyncio.gather(writing, resuming)
    assert journal.writes[-1] is None


# --- shares ---


def test_the_backlog_is_for_all_streams_of_the_callback_and_each_may_have_its_share() -> None:
    one = gate()
    sms, voice = Stream("acme", "sms"), Stream("acme", "voice")
    one.backlog = {sms: 0, voice: 300}
    assert one.allowed_backlog(sms, 1000) == 700
    one.backlog = {sms: 10, voice: 5000}
    assert one.allowed_backlog(sms, 1000) == 500
    assert one.allowed_backlog(voice, 1000) == 990


async def test_two_streams_share_the_slots_of_their_callback() -> None:
    sender = ToldSender()
    sender.default = asyncio.get_running_loop().create_future()
    shared = Gate(config(concurrency=3), Health(), Telemetry())
    one, two = [MemoryJournal(entries=[entry(seq, f"{name}-{seq}") for seq in range(1, 50)]) for name in "ab"]
    async with (
        Rig(one, sender, stream=Stream("acme", "sms"), gate=shared, concurrency=3).running(),
        Rig(two, sender, stream=Stream("acme", "voice"), gate=shared, concurrency=3).running(),
    ):
        await until(lambda: sender.in_flight == 3)
        sender.default.set_result(OK)
        await until(lambda: one.position == 49 and two.position == 49)
    assert sender.most_in_flight == 3
    middle = [post[0][0] for post in sender.posts[10:40]]
    assert 10 <= middle.count("a") <= 20  # neither waits for the other to be done


def test_sources_and_kinds() -> None:
    stream = Stream("acme", "sms")
    assert subscribes(config(), stream)
    assert subscribes(config(kinds=["sms", "voice"]), stream)
    assert subscribes(config(sources=["acme"]), stream)
    assert not subscribes(config(kinds=["voice"]), stream)
    assert not subscribes(config(sources=["other"]), stream)
    assert not subscribes(config(sources=["acme"], kinds=["voice"]), stream)
