"""What people do with a callback that is paused already: how long and why is not forgotten."""

import pytest

from relay.domain.pausing import Pause, PausedBy
from relay.domain.report import Stream
from relay.stages.deliver import CallbackControl
from tests.unit.stages.deliver_gate_rig import Told, config
from tests.unit.stages.deliver_journal import MemoryJournal, ToldSender

FIRST_MS, LATER_MS = 1_700_000_000_000, 1_700_000_600_000
GONE = Pause(PausedBy.GONE, "HTTP 410", FIRST_MS)


def control_of(told: Told, journal: MemoryJournal) -> CallbackControl:
    return CallbackControl(
        config(),
        gate=told.gate,
        sender=ToldSender(),
        journal=journal,
        streams=[Stream("acme", "sms")],
        now_ms=lambda: LATER_MS,
    )


async def test_the_first_pause() -> None:
    journal = MemoryJournal()
    control = control_of(Told(), journal)
    assert not await control.pause("maintenance")
    assert journal.pauses == [Pause(PausedBy.HAND, "maintenance", LATER_MS)]


@pytest.mark.parametrize(
    ("before", "reason", "after"),
    [
        (Pause(PausedBy.HAND, "maintenance", FIRST_MS), "", "maintenance"),
        (Pause(PausedBy.HAND, "maintenance", FIRST_MS), "longer than thought", "longer than thought"),
        (GONE, "", "the callback says that it is gone (HTTP 410)"),
    ],
)
async def test_another_pause_keeps_the_time_and_what_it_does_not_replace(
    before: Pause, reason: str, after: str
) -> None:
    told, journal = Told(pause=before), MemoryJournal()
    assert await control_of(told, journal).pause(reason)
    assert told.gate.standing.pause == Pause(PausedBy.HAND, after, FIRST_MS)
    assert journal.pauses in ([], [Pause(PausedBy.HAND, after, FIRST_MS)])
