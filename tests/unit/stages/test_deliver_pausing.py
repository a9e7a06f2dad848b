"""The deliverer of a callback that is paused, gone, overloaded or half open: what waits, where, and for how long."""

import asyncio
from typing import Any

import pytest

from relay.config import CallbackConfig
from relay.domain.pausing import Pause, PausedBy
from relay.domain.report import Stream
from relay.observe import Health, Telemetry
from relay.ports import JournalError, PostResult
from relay.stages.deliver import Gate
from tests.unit.stages.deliver_journal import FAILED, NO_ANSWER, OK, MemoryJournal, ToldSender, entry
from tests.unit.stages.deliver_rig import START_MS, Rig, settled, until

GONE = PostResult(410, "", None, 0.001, b"")
BY_HAND = Pause(PausedBy.HAND, "maintenance", START_MS)


def journal_of(count: int) -> MemoryJournal:
    return MemoryJournal(entries=[entry(seq, received_at_ms=START_MS) for seq in range(1, count + 1)])


def paused_rig(journal: MemoryJournal, sender: ToldSender, **keys: Any) -> Rig:
    return Rig(journal, sender, pause=BY_HAND, **keys)


# --- gone ---


async def test_a_410_pauses_at_once_and_the_pause_is_kept() -> None:
    journal, sender = journal_of(500), ToldSender()
    sender.tell("m-3", GONE)
    rig = Rig(journal, sender, concurrency=1)
    async with rig.running():
        await until(lambda: bool(journal.pauses))
        await settled(lambda: len(sender.posts))
        assert sender.posts == [("m-1",), ("m-2",), ("m-3",)]
        assert journal.pauses == [Pause(PausedBy.GONE, "HTTP 410", START_MS)]
        rig.pass_seconds(3600)
        await settled(lambda: len(sender.posts))
        assert len(sender.posts) == 3
        # Its backlog is whole, and no attempt of what waits was counted.
        waiting = sum(len(stored.seqs) for stored in journal.deliveries.values()) + 500 - journal.position
        assert (waiting, journal.dead) == (498, [])
        assert sum(stored.attempts for stored in journal.deliveries.values()) == 1
    assert rig.attempts("gone") == 1


async def test_what_a_410_refused_is_sent_when_it_is_resumed() -> None:
    journal, sender = journal_of(10), ToldSender()
    sender.tell("m-3", GONE)
    rig = Rig(journal, sender, concurrency=1)
    async with rig.running():
        await until(lambda: rig.gate.paused)
        rig.gate.resume()
        rig.pass_seconds(5)
        await until(lambda: journal.position == 10 and not journal.deliveries)
        await until(lambda: journal.pauses[-1:] in ([], [None]))
    assert {post[0] for post in sender.posts} == {f"m-{seq}" for seq in range(1, 11)}


async def test_a_410_of_what_is_too_old_pauses_too() -> None:
    journal, sender = journal_of(1), ToldSender()
    sender.tell("m-1", FAILED, GONE)
    rig = Rig(journal, sender, retry={"initial_seconds": 5, "max_age_seconds": 5})
    async with rig.running():
        await until(lambda: len(journal.deliveries) == 1)
        rig.pass_seconds(5)
        await until(lambda: bool(journal.dead))
    assert rig.gate.paused


@pytest.mark.usefixtures("soon_again")
async def test_a_pause_that_the_journal_did_not_take_is_written_when_it_does(monkeypatch: pytest.MonkeyPatch) -> None:
    journal, sender = journal_of(1), ToldSender(GONE)
    rig = Rig(journal, sender)
    keep_pause, asked = journal.keep_pause, 0

    async def first_in_vain(callback: str, pause: Pause | None) -> None:
        nonlocal asked
        asked += 1
        if asked == 1:
            raise JournalError("not now")
        await keep_pause(callback, pause)

    monkeypatch.setattr(journal, "keep_pause", first_in_vain)
    async with rig.running():
        await until(lambda: bool(journal.pauses), seconds=30)  # an error of a stage is logged with its traceback
    assert asked == 2
    assert [(attempt.status, attempt.delivered) for attempt in journal.attempts] == [(410, False)]


# --- paused by hand ---


@pytest.mark.usefixtures("often_checked")
async def test_a_paused_callback_is_sent_nothing_and_nothing_waits_in_memory() -> None:
    journal, sender = journal_of(2000), ToldSender()
    for seq in range(1, 101):
        journal._store((seq,), attempts=1, created_at_ms=START_MS, next_attempt_at_ms=START_MS)
    journal.position = 100
    rig = paused_rig(journal, sender)
    async with rig.running():
        await until(lambda: rig.deliver._recorder is not None)
        for _ in range(20):
            rig.deliver.wake()
            await asyncio.sleep(0.005)
            # Not only at the end: what is put back and taken again is there half of the time.
            assert not rig.deliver._lanes.fresh
            assert not rig.deliver._lanes.due
        assert (sender.posts, journal.reads, journal.position) == ([], 0, 100)
        rig.gate.resume()
        await until(lambda: journal.position == 2000 and not journal.deliveries)
    assert len(sender.posts) == 2000


@pytest.mark.usefixtures("often_checked")
async def test_pausing_puts_what_waits_in_memory_back_into_the_journal() -> None:
    journal, sender = journal_of(2000), ToldSender()
    sender.default = asyncio.get_running_loop().create_future()
    rig = Rig(journal, sender, concurrency=4)
    async with rig.running():
        await until(lambda: sender.in_flight == 4)
        rig.gate.pause(BY_HAND)
        rig.deliver.wake()
        await until(lambda: not rig.deliver._lanes.fresh)
        sender.default.set_result(OK)
        await until(lambda: len(journal.attempts) == 4)
        await settled(lambda: len(sender.posts))
        assert len(sender.posts) == 4
        rig.gate.resume()
        await until(lambda: journal.position == 2000 and not journal.deliveries)
    assert sorted(sender.posts) == sorted((f"m-{seq}",) for seq in range(1, 2001))  # once each
    assert journal.pauses == [BY_HAND, None]


@pytest.mark.usefixtures("often_checked")
async def test_while_it_is_paused_its_backlog_keeps_its_bound() -> None:
    journal, sender = journal_of(2000), ToldSender()
    rig = Rig(journal, sender, max_backlog=800, concurrency=2)
    sender.default = asyncio.get_running_loop().create_future()
    async with rig.running():
        await until(lambda: sender.in_flight == 2)
        rig.gate.pause(BY_HAND)
        rig.deliver.wake()
        await until(lambda: len(journal.dead) == 1200)
        sender.default.set_result(OK)
        await until(lambda: len(journal.attempts) == 2)
        journal.entries += [entry(seq, received_at_ms=START_MS) for seq in range(2001, 2101)]
        await until(lambda: len(journal.dead) == 1298)  # two were delivered
        await settled(lambda: len(journal.dead))
        assert len(journal.dead) == 1298
    waiting = sum(len(stored.seqs) for stored in journal.deliveries.values()) + 2100 - journal.position
    assert waiting == 800


@pytest.mark.usefixtures("often_checked")
async def test_while_it_is_paused_what_is_too_old_becomes_dead_letters_stored_or_not() -> None:
    journal, sender = journal_of(2000), ToldSender()
    sender.default = asyncio.get_running_loop().create_future()
    sender.tell("m-1", FAILED)
    rig = Rig(journal, sender, concurrency=1, retry={"max_age_seconds": 100})
    async with rig.running():
        await until(lambda: len(journal.deliveries) == 1 and sender.in_flight == 1)
        rig.gate.pause(BY_HAND)
        rig.pass_seconds(100)
        await settled(lambda: len(journal.dead))
        assert journal.dead == []
        rig.pass_seconds(0.1)
        # All but the one in flight, which is not given up behind its back.
        await until(lambda: len(journal.dead) == 1999)


async def test_another_callback_is_not_paused_with_it() -> None:
    journal, sender = journal_of(100), ToldSender()
    paused = paused_rig(journal_of(100), ToldSender())
    async with paused.running(), Rig(journal, sender).running():
        await until(lambda: journal.position == 100)
    assert paused.sender.posts == []


# --- neighbours ---


async def test_new_entries_wake_only_whoever_has_room_for_them() -> None:
    journal, sender = journal_of(2000), ToldSender()
    sender.default = asyncio.get_running_loop().create_future()
    rig = Rig(journal, sender, concurrency=4)
    woken: list[str] = []
    async with rig.running():
        await until(lambda: sender.in_flight == 4)
        await settled(lambda: journal.reads)
        rig.deliver.wake, wake = lambda: woken.append("full"), rig.deliver.wake
        rig.deliver.entries_came()
        rig.gate.pause(BY_HAND)
        rig.deliver.entries_came()
        assert woken == []
        rig.gate.resume()
        rig.deliver.wake = wake
        sender.default.set_result(OK)
        await until(lambda: journal.position == 2000)
        journal.entries.append(entry(2001, received_at_ms=START_MS))
        rig.deliver.entries_came()
        await until(lambda: journal.position == 2001, seconds=0.9)


# --- half open ---


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


async def test_half_open_makes_one_probe_at_a_time_and_the_rest_waits_without_burning_attempts() -> None:
    journal, sender, clock = journal_of(2000), ToldSender(NO_ANSWER), Clock()
    rig = Rig(journal, sender, concurrency=8, monotonic=clock)
    async with rig.running():
        await until(lambda: rig.gate.held)
        while rig.gate.state.value == "open":
            posts = len(sender.posts)
            clock.now += 5.1
            rig.gate._invite()
            await until(lambda posts=posts: len(sender.posts) == posts + 1)  # type: ignore[misc]
            await settled(lambda: len(sender.posts))
            assert len(sender.posts) == posts + 1
            assert len(rig.deliver._lanes.fresh) + len(rig.deliver._lanes.due) <= 1
        assert rig.telemetry.registry.get_sample_value("relay_callback_paused", {"callback": "billing"}) == 1
        await settled(lambda: len(journal.attempts))
        attempted = len(journal.attempts)
        assert attempted < 30
        stored = list(journal.deliveries.values())
        assert sum(one.attempts for one in stored) == attempted
        assert sum(one.attempts == 0 for one in stored) >= len(stored) - attempted
        sender.default = OK
        clock.now += 61
        rig.gate._invite()
        await until(lambda: journal.position == 2000)
        assert rig.gate.state.value == "open"
        rig.pass_seconds(10)
        await until(lambda: not journal.deliveries)
    assert journal.dead == []


async def test_the_probe_of_a_batching_callback_is_a_batch() -> None:
    journal, sender, clock = journal_of(2000), ToldSender(FAILED), Clock()
    rig = Rig(journal, sender, concurrency=8, batch_size=50, linger_seconds=0.01, monotonic=clock)
    async with rig.running():
        await until(lambda: rig.gate.held)
        await settled(lambda: len(sender.posts))
        sender.default = OK
        clock.now += 5
        rig.gate._invite()
        await until(lambda: journal.position == 2000)
    assert {len(post) for post in sender.posts} == {50}


# --- overloaded ---


@pytest.mark.parametrize("status", [429, 502, 503, 504])
async def test_an_overloaded_callback_slows_down(status: int) -> None:
    journal, sender = journal_of(100), ToldSender()
    hanging = [sender.hang(f"m-{seq}") for seq in range(1, 9)]
    rig = Rig(journal, sender, concurrency=8)
    async with rig.running():
        await until(lambda: sender.in_flight == 8)
        sender.default = asyncio.get_running_loop().create_future()
        hanging[0].set_result(PostResult(status, "", None, 0.001, b""))
        for future in hanging[1:4]:
            future.set_result(FAILED)
        await settled(lambda: sender.in_flight)
        assert sender.in_flight == 4
        sender.default.set_result(OK)
        for future in hanging[4:]:
            future.set_result(OK)


# --- rate ---


async def test_the_rate_holds_over_all_streams_of_the_callback() -> None:
    sender = ToldSender()
    journals = [MemoryJournal(entries=[entry(seq, f"{name}-{seq}") for seq in range(1, 50)]) for name in "ab"]
    config = CallbackConfig(name="billing", url="http://localhost/", rate_per_second=200)
    shared = Gate(config, Health(), Telemetry())
    rigs = [
        Rig(journal, sender, stream=Stream("acme", kind), gate=shared)
        for journal, kind in zip(journals, ("sms", "voice"), strict=True)
    ]
    began = asyncio.get_running_loop().time()
    async with rigs[0].running(), rigs[1].running():
        await until(lambda: len(sender.posts) == 98)
        # By when the last began: until it is recorded, what went too quickly would have been made up for.
        assert asyncio.get_running_loop().time() - began >= 0.48
        await until(lambda: all(journal.position == 49 for journal in journals))
    # Of the first half: over all, one stream after the other would look just as fair.
    half = [post[0][0] for post in sender.posts[:49]]
    assert 15 <= half.count("a") <= 34
