"""Deadlines that share a timer: each at its own time, none after its end."""

import asyncio

import pytest

from relay.sinks.deadlines import Deadlines


class Waiting:
    def __init__(self) -> None:
        self.gave_up: list[Exception] = []
        self.done = asyncio.Event()

    def give_up(self, error: Exception) -> None:
        self.gave_up.append(error)
        self.done.set()


def now() -> float:
    return asyncio.get_running_loop().time()


async def test_what_does_not_end_gives_up_in_time_and_once() -> None:
    deadlines, waiting, began = Deadlines(0.05), Waiting(), now()
    deadlines.begin(waiting, began)
    await asyncio.wait_for(waiting.done.wait(), 2)
    assert now() - began >= 0.05
    deadlines.end(waiting)
    await asyncio.sleep(0.06)
    assert [type(error) for error in waiting.gave_up] == [TimeoutError]


async def test_what_ends_is_left_alone_and_those_after_it_keep_their_own_time() -> None:
    deadlines, ended, waiting, later = Deadlines(0.1), Waiting(), Waiting(), Waiting()
    began = now()
    deadlines.begin(ended, began - 0.08)  # first due
    deadlines.begin(waiting, began)
    deadlines.begin(later, began + 0.05)
    deadlines.end(ended)
    await asyncio.wait_for(waiting.done.wait(), 2)
    assert now() - began >= 0.1
    assert not later.gave_up
    await asyncio.wait_for(later.done.wait(), 2)
    assert now() - began >= 0.15
    assert not ended.gave_up


async def test_all_that_are_due_at_once_give_up_at_once() -> None:
    deadlines, waiting = Deadlines(0.02), [Waiting() for _ in range(3)]
    for one in waiting:
        deadlines.begin(one, now() - 1)
    await asyncio.wait_for(waiting[0].done.wait(), 2)
    assert [len(one.gave_up) for one in waiting] == [1, 1, 1]


async def test_the_same_may_begin_again() -> None:
    deadlines, waiting, began = Deadlines(0.06), Waiting(), now()
    deadlines.begin(waiting, began - 0.03)
    deadlines.end(waiting)
    deadlines.begin(waiting, began)
    await asyncio.wait_for(waiting.done.wait(), 2)
    assert now() - began >= 0.06


async def test_after_a_rest_there_is_a_timer_again() -> None:
    deadlines, first, second = Deadlines(0.02), Waiting(), Waiting()
    deadlines.begin(first, now())
    deadlines.end(first)
    await asyncio.sleep(0.04)  # the timer found nothing
    deadlines.begin(second, now())
    await asyncio.wait_for(second.done.wait(), 2)


@pytest.mark.parametrize("times", [1, 2])
async def test_closed_it_forgets(times: int) -> None:
    deadlines, waiting = Deadlines(0.02), Waiting()
    deadlines.begin(waiting, now())
    for _ in range(times):
        deadlines.close()
    await asyncio.sleep(0.04)
    assert not waiting.gave_up
