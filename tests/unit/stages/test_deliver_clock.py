"""The clock of deliveries: what it shows when the wall clock is set."""

import pytest

from relay.stages.deliver.clock import ForwardClock

HOUR_MS = 3_600_000
START_MS = 1_700_000_000_000


class Clocks:
    """Both clocks of a machine, by hand."""

    def __init__(self) -> None:
        self.wall_ms = START_MS
        self.monotonic_seconds = 5.0

    def pass_seconds(self, seconds: float) -> None:
        self.wall_ms += round(seconds * 1000)
        self.monotonic_seconds += seconds


@pytest.fixture
def clocks() -> Clocks:
    return Clocks()


@pytest.fixture
def clock(clocks: Clocks) -> ForwardClock:
    return ForwardClock(lambda: clocks.wall_ms, monotonic=lambda: clocks.monotonic_seconds)


def test_it_is_the_wall_clock(clocks: Clocks, clock: ForwardClock) -> None:
    assert clock() == START_MS
    clocks.pass_seconds(7.5)
    assert clock() == START_MS + 7500


def test_set_back_it_goes_on(clocks: Clocks, clock: ForwardClock) -> None:
    clocks.pass_seconds(10)
    assert clock() == START_MS + 10_000
    clocks.wall_ms -= HOUR_MS
    assert clock() == START_MS + 10_000
    clocks.pass_seconds(5)
    assert clock() == START_MS + 15_000


def test_set_back_twice_it_goes_on(clocks: Clocks, clock: ForwardClock) -> None:
    for _ in range(2):
        clocks.wall_ms -= HOUR_MS
        assert clock() == START_MS


def test_set_right_again_it_is_the_wall_clock_again(clocks: Clocks, clock: ForwardClock) -> None:
    clocks.wall_ms -= HOUR_MS
    assert clock() == START_MS
    clocks.pass_seconds(60)
    clocks.wall_ms += HOUR_MS
    assert clock() == START_MS + 60_000
    clocks.pass_seconds(60)
    assert clock() == START_MS + 120_000 == clocks.wall_ms


def test_set_forward_it_follows(clocks: Clocks, clock: ForwardClock) -> None:
    clocks.wall_ms += HOUR_MS
    assert clock() == START_MS + HOUR_MS


def test_drift_is_no_step_forward(clocks: Clocks, clock: ForwardClock) -> None:
    clocks.wall_ms -= HOUR_MS
    clock()
    for _ in range(100):
        clocks.pass_seconds(1)
        clocks.wall_ms += 1
        clock()
    assert clock() == START_MS + 100_100
