"""When not to poll, and when to poll all the same: a report that waits is safe for 48 hours."""

import pytest

from relay.ports import Pressure, StreamState
from relay.stages.intake import PAUSED_CHECK_SECONDS
from tests.unit.stages.intake_fakes import (
    HOUR,
    HOUR_MS,
    MAX_UNPUBLISHED,
    MIN_FREE_BYTES,
    NOW_MS,
    STREAM,
    Bench,
    answered,
    reports,
)

FULL_DISK = Pressure(unpublished=0, free_bytes=MIN_FREE_BYTES - 1)
FULL_STREAM = Pressure(unpublished=MAX_UNPUBLISHED, free_bytes=10**9)


@pytest.mark.parametrize(
    ("pressure", "reason", "words"),
    [(FULL_DISK, "disk", "min_free_bytes"), (FULL_STREAM, "unpublished", "max_unpublished")],
)
async def test_polling_pauses_and_goes_on(pressure: Pressure, reason: str, words: str) -> None:
    bench = Bench()
    bench.journal.pressure_now = pressure
    assert [await bench.intake.step() for _ in range(3)] == [PAUSED_CHECK_SECONDS] * 3
    assert bench.events == ["open_stream"]
    assert bench.telemetry.of("polling_paused") == [(STREAM, reason)]
    assert [words in said for said in bench.health.degraded.values()] == [True]

    bench.journal.pressure_now = Pressure(MAX_UNPUBLISHED - 1, MIN_FREE_BYTES)
    await bench.intake.step()
    assert bench.events[1:] == ["mark_poll", "get", "append_fetch", "wake"]
    assert bench.telemetry.of("polling_paused") == [(STREAM, reason), (STREAM, None)]
    assert bench.health.degraded == {}


@pytest.mark.parametrize(
    ("hours", "alerted", "polled", "unread"),
    [
        (23.9, False, False, False),
        (24, True, False, False),
        (45.9, True, False, False),
        (46, True, True, False),
        (46.9, True, True, False),
        (47, True, True, True),
        (60, True, True, True),
    ],
)
@pytest.mark.parametrize("pressure", [FULL_DISK, FULL_STREAM])
async def test_by_age(pressure: Pressure, hours: float, alerted: bool, polled: bool, unread: bool) -> None:
    bench = Bench()
    bench.journal.pressure_now = pressure
    await bench.intake.step()
    bench.pass_seconds(hours * HOUR)
    bench.source.answers = [answered(b"", status=500)]
    await bench.intake.step()
    assert any("no successful poll" in reason for reason in bench.health.degraded.values()) is alerted
    assert ("get" in bench.events) is polled
    assert ("note_unread" in bench.events) is unread


async def test_polling_regardless_goes_on_until_the_queue_was_read_empty() -> None:
    bench = Bench()
    bench.journal.pressure_now = FULL_STREAM
    await bench.intake.step()
    bench.pass_seconds(46 * HOUR)
    await bench.poll(answered(reports(1000)), answered(reports(1000)), answered(reports(7)))
    assert bench.events.count("get") == 3
    assert await bench.intake.step() == PAUSED_CHECK_SECONDS
    bench.pass_seconds(45 * HOUR)
    assert await bench.intake.step() == PAUSED_CHECK_SECONDS
    assert bench.events.count("get") == 3


async def test_a_restart_in_the_middle_of_that_goes_on_with_it() -> None:
    bench = Bench()
    bench.journal.pressure_now = FULL_STREAM
    bench.journal.state = StreamState(NOW_MS - 90 * HOUR_MS, NOW_MS, None, 0, drained_at_ms=NOW_MS - 46 * HOUR_MS)
    await bench.poll(answered(reports(1000)), answered(reports(3)))
    assert bench.events.count("get") == 2
    assert await bench.intake.step() == PAUSED_CHECK_SECONDS


async def test_a_restart_after_the_queue_was_read_empty_waits() -> None:
    bench = Bench()
    bench.journal.pressure_now = FULL_STREAM
    bench.journal.state = StreamState(NOW_MS - 90 * HOUR_MS, NOW_MS, None, 0, drained_at_ms=NOW_MS - 45 * HOUR_MS)
    assert await bench.intake.step() == PAUSED_CHECK_SECONDS
    assert "get" not in bench.events


async def test_unread_is_noted_once_for_each_span() -> None:
    bench = Bench()
    failing = answered(b"", status=401)
    await bench.poll(answered())
    bench.pass_seconds(47 * HOUR)
    await bench.poll(failing, failing, failing)
    assert bench.events.count("note_unread") == 1
    await bench.poll(answered())
    assert not any("no successful poll" in reason for reason in bench.health.degraded.values())
    bench.pass_seconds(47 * HOUR)
    await bench.poll(failing, failing)
    assert bench.events.count("note_unread") == 2


@pytest.mark.parametrize(
    ("state", "unread"),
    [
        (StreamState(None, None, None, 0), False),
        (StreamState(NOW_MS - 90 * HOUR_MS, NOW_MS - HOUR_MS, None, 0), False),
        (StreamState(NOW_MS - 90 * HOUR_MS, NOW_MS - 47 * HOUR_MS, None, 0), True),
        (StreamState(NOW_MS - 48 * HOUR_MS, None, None, 0), True),
        (StreamState(NOW_MS + HOUR_MS, NOW_MS + HOUR_MS, NOW_MS, 0), False),
    ],
    ids=["new stream", "an hour ago", "47 hours ago", "never since the first poll", "in the future"],
)
async def test_the_age_is_known_from_before_the_start(state: StreamState, unread: bool) -> None:
    bench = Bench()
    bench.journal.state = state
    await bench.poll(answered())
    assert ("note_unread" in bench.events) is unread
    assert "get" in bench.events


async def test_the_wall_clock_does_not_make_reports_old() -> None:
    bench = Bench()
    await bench.poll(answered())
    bench.wall_ms += 100 * HOUR_MS
    await bench.poll(answered())
    assert "note_unread" not in bench.events
    assert bench.health.degraded == {}
