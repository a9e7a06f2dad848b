"""How many a second, by a clock that is told."""

from collections.abc import Iterator

import pytest

from relay.domain.pace import Pace


def taken(pace: Pace, times: Iterator[float]) -> list[float]:
    """When somebody who looks at these times goes, one at a time."""
    went = []
    for now in times:
        while pace.ready_at <= now:
            pace.take(now)
            went.append(round(now, 6))
    return went


def test_the_first_goes_at_once_and_the_next_when_its_share_of_a_second_is_over() -> None:
    pace = Pace(4)
    assert pace.ready_at <= 0.0
    pace.take(50.0)
    assert pace.ready_at == 50.25


@pytest.mark.parametrize(("per_second", "late_seconds"), [(10, 0.0), (10, 0.004), (400, 0.003), (2000, 0.005)])
def test_timers_that_are_late_do_not_lower_the_rate_nor_raise_it(per_second: int, late_seconds: float) -> None:
    pace, went = Pace(per_second), []
    now = 1000.0
    while now < 1010.0:
        pace.take(now)
        went.append(now)
        now = max(now, pace.ready_at + late_seconds) if pace.ready_at > now else now
    assert per_second * 10 * 0.99 <= len(went) <= per_second * 10 + 1
    in_any_second = max(sum(at <= one < at + 1 for one in went) for at in went[:: max(1, len(went) // 50)])
    assert in_any_second <= per_second * 1.02 + 1


def test_nothing_is_saved_up() -> None:
    pace = Pace(10)
    pace.take(0.0)
    assert taken(pace, iter([60.0, 60.05, 60.1])) == [60.0, 60.1]


def test_less_than_one_a_second() -> None:
    pace = Pace(0.1)
    pace.take(0.0)
    assert taken(pace, iter(range(1, 31))) == [10.0, 20.0, 30.0]
