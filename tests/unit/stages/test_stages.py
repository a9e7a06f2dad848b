"""Stages that run together: started, stopped by room, and what one that ends by itself leaves to be seen."""

import asyncio
from collections.abc import Callable

import pytest

from relay.observe import Health
from relay.ports import JournalFatal
from relay.stages.stage import Stage, Stages


class Work:
    """A step that can be held, and can fail."""

    def __init__(self) -> None:
        self.steps = 0
        self.ended = False
        self.free = asyncio.Event()
        self.free.set()
        self.error: Exception | None = None

    async def step(self) -> float:
        self.steps += 1
        await self.free.wait()
        if self.error is not None:
            raise self.error
        self.ended = True
        return 60.0


async def until(condition: Callable[[], object]) -> None:
    """Wait for what no event announces."""
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 - another task's progress is only to be looked at
            await asyncio.sleep(0)


async def test_a_room_is_stopped_after_the_step_in_hand() -> None:
    stages = Stages(Health())
    held, other = Work(), Work()
    held.free.clear()
    stages.start("intake", "intake/a", held.step)
    stages.start("upkeep", "upkeep", other.step)
    await until(lambda: held.steps)
    stopping = asyncio.create_task(stages.stop("intake"))
    await asyncio.sleep(0)
    assert not stopping.done()
    held.free.set()
    await stopping
    assert held.ended
    await stages.stop("intake", "upkeep", "nothing")
    await stages.stop("upkeep")
    assert not stages.failed.is_set()


async def test_a_cancelled_stage_leaves_its_step_and_is_no_failure() -> None:
    stages = Stages(Health())
    held, other = Work(), Work()
    held.free.clear()
    stages.start("reconcile", "reconcile/a", held.step)
    stages.start("upkeep", "upkeep", other.step)
    await until(lambda: held.steps)
    stages.cancel("reconcile", "nothing")
    await stages.stop("reconcile")
    assert not held.ended
    assert not stages.failed.is_set()
    stages.raise_if_failed()
    await stages.stop("upkeep")


async def test_what_ends_a_stage_is_told() -> None:
    stages = Stages(Health())
    broken, sound = Work(), Work()
    broken.error = JournalFatal("the disk is gone")
    stages.start("unpack", "unpack/a", broken.step)
    stages.start("upkeep", "upkeep", sound.step)
    async with asyncio.timeout(30):
        await stages.failed.wait()
    with pytest.raises(JournalFatal, match="the disk is gone"):
        stages.raise_if_failed()
    await stages.stop("unpack", "upkeep")


async def test_another_error_ends_no_stage() -> None:
    health = Health()
    stages = Stages(health)
    work = Work()
    work.error = ValueError("surprise")
    stages.start("unpack", "unpack/a", work.step)
    await until(lambda: health.degraded)
    stages.raise_if_failed()
    await stages.stop("unpack")


async def test_some_of_a_room_end_while_the_others_run() -> None:
    health = Health()
    stages = Stages(health)
    leaving, staying = Work(), Work()
    leaving.error = RuntimeError("refused")
    gone = stages.start("deliver", "deliver/a", leaving.step)
    stages.start("deliver", "deliver/b", staying.step)
    await until(lambda: leaving.steps and staying.ended)
    await until(lambda: health.degraded)
    await stages.end([gone])
    assert health.degraded == {}
    assert not stages.failed.is_set()
    assert staying.steps == 1
    await stages.stop("deliver")
    assert leaving.steps == 1


async def test_what_ended_a_stage_is_told_after_others_were_ended_too() -> None:
    stages = Stages(Health())
    broken = Work()
    broken.error = JournalFatal("the disk is gone")
    stage = stages.start("deliver", "deliver/a", broken.step)
    async with asyncio.timeout(30):
        await stages.failed.wait()
    await stages.end([stage])
    with pytest.raises(JournalFatal, match="the disk is gone"):
        stages.raise_if_failed()


@pytest.mark.parametrize("turns", range(6))
async def test_a_cancellation_ends_it_even_if_it_is_woken_at_that_moment(turns: int) -> None:
    async def step() -> float:
        return 60.0

    stage = Stage("one", step, Health())
    task = asyncio.create_task(stage.run())
    for _ in range(5):
        await asyncio.sleep(0)
    stage.wake.set()
    for _ in range(turns):
        await asyncio.sleep(0)
    task.cancel()
    done, _ = await asyncio.wait([task], timeout=1.0)
    stage.stop()
    assert done
