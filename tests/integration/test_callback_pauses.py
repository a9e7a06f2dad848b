"""A real receiver in trouble: gone, overloaded, failing on and on, or with a rate; what it gets, and when."""

import asyncio
import contextlib
import itertools
import time
from email.utils import formatdate

import pytest

from relay.domain.pausing import GateState, Pause, PausedBy
from tests.integration.callback_house import REFUSED, House, names, now_ms, report
from tests.receivers.callback import Behaviour, CallbackReceiver

GONE = Behaviour(status=410)


async def quiet(receiver: CallbackReceiver, seconds: float = 0.3) -> int:
    """How many POSTs came, when none has come for a while."""
    while True:
        count = receiver.count
        await asyncio.sleep(seconds)
        if receiver.count == count:
            return count


# --- 410 ---


async def test_410_pauses_at_once_keeps_the_backlog_and_outlives_the_process(
    house: House, receiver: CallbackReceiver
) -> None:
    await house.add(*(report(name) for name in names(300)))
    receiver.rule = lambda headers, _: GONE if headers["ce-id"] == "m-5" else None
    gate = await house.start(receiver.url, concurrency=1)
    await receiver.until(lambda: receiver.count == 6)
    assert await quiet(receiver) == 6
    assert gate.state is GateState.PAUSED
    assert (await house.journal.kept_pauses())["billing"].by is PausedBy.GONE
    figures = (await house.journal.figures(now_ms())).callbacks["billing"]
    assert (figures.backlog, figures.dead_letters) == (295, 0)

    await house.kill()
    receiver.rule = None
    await house.open()
    gate = await house.start(receiver.url)
    assert await quiet(receiver) == 6
    gate.resume()
    await house.settled()
    assert sorted(receiver.accepted_ids) == sorted(names(300))
    assert await house.journal.kept_pauses() == {}


async def test_a_paused_callback_does_not_pause_its_neighbour(house: House, receiver: CallbackReceiver) -> None:
    await house.add(*(report(name) for name in names(300)))
    async with CallbackReceiver(default=GONE) as gone:
        await house.start(gone.url, name="gone")
        await house.start(receiver.url, name="healthy")
        await receiver.until(lambda: len(receiver.accepted_ids) == 300)
        assert await quiet(gone) <= 16  # as many as were in flight when the first of them said so
        await house.stop()
        await house.open()


async def test_while_paused_by_hand_what_is_too_old_is_a_dead_letter(
    house: House, receiver: CallbackReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("relay.stages.deliver.bounds.CHECK_SECONDS", 0.05)
    await house.add(*(report(name) for name in names(50)))
    await house.journal.keep_pause("billing", Pause(PausedBy.HAND, "", now_ms()))
    house.clock_ms = lambda: now_ms() + 601_000
    await house.start(receiver.url, retry={"initial_seconds": 1, "max_age_seconds": 600})
    await house.until("SELECT sum(dead_reports) FROM subscriptions", 50)
    assert receiver.count == 0


# --- overloaded ---


async def test_429_is_left_alone_for_a_minute_at_least(house: House, receiver: CallbackReceiver) -> None:
    await house.add(*(report(name) for name in names(20)))
    receiver.script.append(Behaviour(status=429, headers={"Retry-After": "1"}))
    began_ms = now_ms()
    await house.start(receiver.url, concurrency=1)
    await receiver.until(lambda: receiver.count == 1)
    assert await quiet(receiver, 1.5) == 1
    await house.until("SELECT count(*) FROM deliveries WHERE state = 0 AND attempts = 1", 1)
    assert house.count("SELECT next_attempt_at_ms FROM deliveries WHERE attempts = 1") >= began_ms + 60_000


@pytest.mark.parametrize("form", ["seconds", "date"])
@pytest.mark.parametrize("status", [502, 503, 504])
async def test_retry_after_as_seconds_or_date_is_honoured(
    house: House, receiver: CallbackReceiver, status: int, form: str
) -> None:
    await house.add(*(report(name) for name in names(20)))
    asked = "1" if form == "seconds" else formatdate(time.time() + 2, usegmt=True)
    receiver.script.append(Behaviour(status=status, headers={"Retry-After": asked}))
    await house.start(receiver.url, concurrency=1)
    await house.settled()
    first, second = receiver.received[0].at, receiver.received[1].at
    assert 0.9 <= second - first <= 3  # the others too
    assert len(receiver.received) == 21


async def test_a_year_is_capped(house: House, receiver: CallbackReceiver) -> None:
    await house.add(report("m-0"))
    receiver.script.append(Behaviour(status=503, headers={"Retry-After": "31536000"}))
    retry = {"initial_seconds": 1, "max_seconds": 7200, "max_age_seconds": 86_400}
    await house.start(receiver.url, retry=retry)
    await house.until("SELECT count(*) FROM deliveries WHERE attempts = 1", 1)
    due_ms = house.count("SELECT next_attempt_at_ms FROM deliveries")
    assert now_ms() + 7_190_000 <= due_ms <= now_ms() + 7_200_000


# --- failing on and on ---


async def test_it_is_half_open_while_it_fails_on_and_on_and_opens_by_itself(
    house: House, receiver: CallbackReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("relay.domain.pausing.HALF_OPEN_SECONDS", 1.0)
    monkeypatch.setattr("relay.stages.deliver.gate.HALF_OPEN_DISTANCE_SECONDS", 0.8)
    receiver.default = REFUSED
    await house.add(*(report(name) for name in names(1000)))
    gate = await house.start(receiver.url, retry={"initial_seconds": 2, "max_seconds": 2})
    async with asyncio.timeout(10):
        while gate.state is GateState.OPEN:  # noqa: ASYNC110 - there is no event for it
            await asyncio.sleep(0.01)
    seen = receiver.count
    await receiver.until(lambda: receiver.count >= seen + 4)
    assert receiver.count < 60
    assert receiver.most_in_flight <= 16
    ats = [received.at for received in receiver.received[seen:]]
    assert min(later - earlier for earlier, later in itertools.pairwise(ats)) > 0.1
    assert house.count("SELECT sum(attempts) FROM deliveries") <= receiver.count
    receiver.default = Behaviour()
    await house.settled()
    assert gate.state is GateState.OPEN
    assert sorted(receiver.accepted_ids) == sorted(names(1000))


# --- rate ---


async def test_the_rate_is_kept(house: House, receiver: CallbackReceiver) -> None:
    await house.add(*(report(name) for name in names(150)))
    await house.start(receiver.url, rate_per_second=50)
    await house.settled()
    ats = [received.at for received in receiver.received]
    assert ats[-1] - ats[0] >= 2.9
    for at in ats:
        assert sum(at <= one < at + 1 for one in ats) <= 53  # what is late on the way may come together


async def test_the_rate_counts_posts_not_reports(house: House, receiver: CallbackReceiver) -> None:
    await house.add(*(report(name) for name in names(300)))
    await house.start(receiver.url, rate_per_second=20, batch_size=10, linger_seconds=0.05)
    await house.settled()
    ats = [received.at for received in receiver.received]
    assert len(ats) == 30
    assert 1.4 <= ats[-1] - ats[0] <= 3.5


# --- neighbours ---

HOSTILE = [
    Behaviour(mode="hang"),
    Behaviour(mode="drip", status=500),
    Behaviour(mode="endless", status=500),
    Behaviour(mode="close"),
    Behaviour(status=500),
    Behaviour(status=410),
    Behaviour(status=429),
    Behaviour(status=503, headers={"Retry-After": "86400"}),
    Behaviour(status=302, headers={"Location": "http://127.0.0.1:1/"}),
]


async def test_nineteen_hostile_neighbours_hold_up_nobody_and_hold_little(
    house: House, receiver: CallbackReceiver
) -> None:
    async with contextlib.AsyncExitStack() as stack:
        for number in range(19):
            hostile = await stack.enter_async_context(CallbackReceiver(default=HOSTILE[number % len(HOSTILE)]))
            await house.start(hostile.url, name=f"hostile-{number}", timeout_seconds=1)
        await house.start(receiver.url, name="healthy")
        for start in range(0, 600, 100):
            await house.add(*(report(name) for name in names(100, start=start)))
        await receiver.until(lambda: receiver.count >= 600, seconds=60)
        assert sorted(receiver.accepted_ids) == sorted(names(600))
        async with asyncio.timeout(30):
            # What was stored while an earlier POST hangs counts twice until that has ended.
            while await _backlogs(house, 19) != {600}:  # noqa: ASYNC110 - there is no event for it
                await asyncio.sleep(0.1)
        figures = (await house.journal.figures(now_ms())).callbacks
        assert sum(one.dead_letters for one in figures.values()) == 0
        for deliver, _, _, _ in house.deliverers:
            lanes = deliver._lanes
            assert len(lanes.fresh) <= (1 if deliver._gate.held else 750)
        await house.stop()
        await house.open()


async def _backlogs(house: House, hostile: int) -> set[int]:
    figures = (await house.journal.figures(now_ms())).callbacks
    return {figures[f"hostile-{number}"].backlog for number in range(hostile)}
