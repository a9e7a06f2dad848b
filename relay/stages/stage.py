"""The loop that all stages share: step, wait, again; one failing stage never takes another down."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress

import structlog

from relay.observe import Health
from relay.ports import JournalFatal, LeaseLost

log = structlog.get_logger(__name__)

FIRST_BACKOFF_SECONDS = 0.5
MAX_BACKOFF_SECONDS = 30.0

Step = Callable[[], Awaitable[float]]
"""Do one piece of work; answer how many seconds to wait before the next unless woken (0: again at once)."""


class Stage:
    """Runs `step` until stopped. A stop lets the step in hand finish: a destructive read is never cancelled.

    An exception of a step is logged, shown as degraded and tried again with growing, jittered distance.
    JournalFatal and LeaseLost end the loop and reach whoever runs it.
    """

    def __init__(self, name: str, step: Step, health: Health) -> None:
        self.name = name
        self.wake = asyncio.Event()
        self._step = step
        self._health = health
        self._stopping = asyncio.Event()
        self._failures = 0

    def stop(self) -> None:
        """Ask the loop to end after the step in hand; may be called twice."""
        self._stopping.set()
        self.wake.set()

    @property
    def stopping(self) -> bool:
        return self._stopping.is_set()

    async def run(self) -> None:
        while not self.stopping:
            self.wake.clear()
            wait_seconds = await self._guarded_step()
            if wait_seconds > 0 and not self.stopping:
                with suppress(TimeoutError):  # not wait_for: in Python 3.11 it may swallow a cancellation
                    async with asyncio.timeout(wait_seconds):
                        await self._interruption()
            else:
                await asyncio.sleep(0)

    async def _guarded_step(self) -> float:
        try:
            wait_seconds = await self._step()
        except (JournalFatal, LeaseLost, asyncio.CancelledError):
            raise
        except Exception as error:  # one stage's surprise must not stop the others
            self._failures += 1
            self._health.degrade(self.name, f"{type(error).__name__}: {error}")
            log.exception("stage failed", stage=self.name, failures=self._failures)
            return self._backoff_seconds()
        if self._failures:
            self._failures = 0
            self._health.recover(self.name)
        return wait_seconds

    def _backoff_seconds(self) -> float:
        ceiling = min(MAX_BACKOFF_SECONDS, FIRST_BACKOFF_SECONDS * 2 ** min(self._failures, 10))
        return random.uniform(ceiling / 2, ceiling)  # noqa: S311 - jitter, not a secret

    async def _interruption(self) -> None:
        # After a failure only a stop cuts the wait short: a wake from a busy neighbour must not make a hot loop.
        await (self._stopping if self._failures else self.wake).wait()


class Stages:
    """The stages that run, by room; `failed` is set when one has ended by itself."""

    def __init__(self, health: Health) -> None:
        self.failed = asyncio.Event()
        self._health = health
        self._rooms: dict[str, list[Stage]] = {}
        self._tasks: dict[Stage, asyncio.Task[None]] = {}

    def start(self, room: str, name: str, step: Step) -> Stage:
        stage = Stage(name, step, self._health)
        task = asyncio.create_task(stage.run(), name=name)
        task.add_done_callback(self._ended)
        self._rooms.setdefault(room, []).append(stage)
        self._tasks[stage] = task
        return stage

    async def stop(self, *rooms: str) -> None:
        """Ask them to end after the step in hand, and wait for it; may be called twice, and for rooms without any."""
        stages = self._in(rooms)
        for stage in stages:
            stage.stop()
        await asyncio.gather(*(self._tasks[stage] for stage in stages), return_exceptions=True)

    async def end(self, stages: Iterable[Stage]) -> None:
        """As `stop`, for some of a room while the others run; they leave nothing behind but the error of one that had
        ended by itself."""
        ending = list(stages)
        for stage in ending:
            stage.stop()
        await asyncio.gather(*(self._tasks[stage] for stage in ending), return_exceptions=True)
        for stage in ending:
            self._health.recover(stage.name)
            if not self.failed.is_set():
                self._forget(stage)

    def cancel(self, *rooms: str) -> None:
        """For those whose step may be left undone."""
        for stage in self._in(rooms):
            self._tasks[stage].cancel()

    def raise_if_failed(self) -> None:
        """Raise what ended a stage, if one has ended by itself."""
        for task in self._tasks.values():
            if task.done() and not task.cancelled() and (error := task.exception()) is not None:
                raise error

    def _forget(self, stage: Stage) -> None:
        del self._tasks[stage]
        for room in self._rooms.values():
            if stage in room:
                room.remove(stage)

    def _in(self, rooms: Iterable[str]) -> list[Stage]:
        return [stage for room in rooms for stage in self._rooms.get(room, ())]

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and task.exception() is not None:
            self.failed.set()
