"""The gate of one callback: slots for all its streams, fairness, and how it is spared while it fails."""

import asyncio
import itertools

import pytest
from structlog.testing import capture_logs

from relay.domain.pausing import GateState
from relay.domain.report import Stream
from relay.observe import Health, Telemetry
from relay.stages.deliver import Gate, subscribes
from tests.unit.stages.deliver_gate_rig import Told, config, gate, nobody
from tests.unit.stages.deliver_journal import OK, MemoryJournal, ToldSender, entry
from tests.unit.stages.deliver_rig import Rig, until


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


async def test_that_it_fails_and_works_again_is_logged_once_each() -> None:
    told = Told(concurrency=20)
    with capture_logs() as logged:
        told.fail(9)
        assert logged == []
        told.fail(5)
        told.now += 60
        assert told.enter()
        told.gate.succeeded()
    assert [(line["event"], line["log_level"]) for line in logged] == [
        ("callback fails, it gets single attempts", "warning"),
        ("callback works again", "info"),
    ]
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
