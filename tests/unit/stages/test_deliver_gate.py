"""The gate of one callback: slots for all its streams, fairness, and how it is spared while it fails."""

import asyncio

import pytest

from relay.config import CallbackConfig
from relay.domain.report import Stream
from relay.observe import Health
from relay.stages.deliver import Gate, subscribes
from tests.unit.stages.deliver_journal import OK, MemoryJournal, ToldSender, entry
from tests.unit.stages.deliver_rig import Rig, until


def gate(concurrency: int = 2) -> tuple[Gate, Health, list[float]]:
    health, now = Health(), [100.0]
    return Gate("billing", concurrency, health, monotonic=lambda: now[0]), health, now


def nobody() -> None:
    """A waiter that does nothing."""


async def test_as_many_as_concurrency_enter() -> None:
    one, _, _ = gate(2)
    assert [one.enter(nobody), one.enter(nobody), one.enter(nobody)] == [True, True, False]
    one.succeeded()
    assert one.enter(nobody)


async def test_waiters_are_called_in_turn_once_each() -> None:
    one, _, _ = gate(1)
    called: list[str] = []
    one.enter(nobody)
    one.enter(lambda: called.append("first"))
    one.enter(lambda: called.append("second"))
    one.succeeded()
    assert called == ["first", "second"]  # the first did not take the slot
    one.leave()
    assert called == ["first", "second"]


async def test_a_waiter_that_takes_the_slot_leaves_the_others_waiting() -> None:
    one, _, _ = gate(1)
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
    one, health, now = gate(20)
    for _ in range(10):
        assert one.enter(nobody)
    for _ in range(9):
        one.failed("HTTP 500")
    assert not one.slow
    assert health.degraded == {}
    one.failed("HTTP 500")
    assert one.slow
    assert health.degraded == {"callback/billing": "10 attempts failed in a row: HTTP 500"}
    distances = []
    for _ in range(9):
        waited = 0.0
        while not one.enter(nobody):
            now[0] += 0.01
            waited += 0.01
        assert not one.enter(nobody)  # one at a time
        distances.append(waited)
        one.failed("HTTP 500")
    assert distances == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0, 5.0], abs=0.02)
    one.withdraw(nobody)


async def test_one_success_opens_it_fully() -> None:
    one, health, now = gate(20)
    for _ in range(12):
        one.enter(nobody)
    for _ in range(12):
        one.failed("HTTP 500")
    now[0] += 10
    assert one.enter(nobody)
    one.succeeded()
    assert health.degraded == {}
    assert [one.enter(nobody) for _ in range(20)] == [True] * 20


async def test_what_an_answer_asked_for_is_kept_though_another_attempt_succeeds() -> None:
    one, _, now = gate(3)
    one.enter(nobody)
    one.enter(nobody)
    one.failed("HTTP 429", hold_seconds=60)
    one.succeeded()
    assert not one.enter(nobody)
    now[0] += 60
    assert one.enter(nobody)
    one.withdraw(nobody)


async def test_who_waits_is_called_when_the_time_is_over() -> None:
    one = Gate("billing", 2, Health())
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

    one = Gate("billing", 16, Health(), monotonic=monotonic)
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
    one = Gate("billing", 1, Health(), monotonic=lambda: now)
    one.enter(nobody)
    one.failed("HTTP 503", hold_seconds=0.01)
    called = asyncio.Event()
    assert not one.enter(called.set)
    await asyncio.sleep(0.05)
    assert not called.is_set()
    now += 1
    async with asyncio.timeout(2):
        await called.wait()


def test_the_backlog_is_for_all_streams_of_the_callback_and_each_may_have_its_share() -> None:
    one, _, _ = gate()
    sms, voice = Stream("acme", "sms"), Stream("acme", "voice")
    one.backlog = {sms: 0, voice: 300}
    assert one.allowed_backlog(sms, 1000) == 700
    one.backlog = {sms: 10, voice: 5000}
    assert one.allowed_backlog(sms, 1000) == 500
    assert one.allowed_backlog(voice, 1000) == 990


async def test_two_streams_share_the_slots_of_their_callback() -> None:
    sender = ToldSender()
    sender.default = asyncio.get_running_loop().create_future()
    shared = Gate("billing", 3, Health())
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
    def config(**keys: object) -> CallbackConfig:
        return CallbackConfig.model_validate({"name": "billing", "url": "http://localhost/", **keys})

    stream = Stream("acme", "sms")
    assert subscribes(config(), stream)
    assert subscribes(config(kinds=["sms", "voice"]), stream)
    assert subscribes(config(sources=["acme"]), stream)
    assert not subscribes(config(kinds=["voice"]), stream)
    assert not subscribes(config(sources=["other"]), stream)
    assert not subscribes(config(sources=["acme"], kinds=["voice"]), stream)
