"""The gate of one callback that is paused, by hand or by its 410, and what the journal keeps of that."""

import asyncio

import pytest
from structlog.testing import capture_logs

from relay.domain.pausing import GateState, Pause, PausedBy
from relay.ports import JournalError
from tests.unit.stages.deliver_gate_rig import Told

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
        assert (told.health.degraded, told.metric) == (
            {"callback/billing": f"{told_as}; relay callbacks resume billing"},
            1,
        )
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
