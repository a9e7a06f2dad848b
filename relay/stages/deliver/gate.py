"""When one callback gets a POST: slots for all its streams, its rate, and how it is spared while it fails."""

import asyncio
import random
import time
from collections.abc import Callable

import structlog

from relay.config import CallbackConfig
from relay.domain.pace import Pace
from relay.domain.pausing import (
    FAILURES_UNTIL_SPARED,
    FIRST_DISTANCE_SECONDS,
    HALF_OPEN_DISTANCE_SECONDS,
    SPARED_DISTANCE_SECONDS,
    GateState,
    Pause,
    PausedBy,
    Run,
    Standing,
)
from relay.domain.report import Stream
from relay.domain.retry import Random, equal_jitter_seconds
from relay.observe import Health, Telemetry
from relay.ports import PauseJournal

log = structlog.get_logger(__name__)

Waiter = Callable[[], None]


class Gate:
    """Slots of one callback, shared by the deliverers of its streams; who found it closed is called in turn.

    A callback that is down costs next to nothing: after some failures in a row it gets single attempts at growing
    distance, and the rest waits in the journal without burning theirs. One success opens the gate fully. A pause, by
    hand or because the callback says that it is gone, lasts until `resume`; it is in force at once, and `keep` writes
    it into the journal.
    """

    def __init__(
        self,
        config: CallbackConfig,
        health: Health,
        telemetry: Telemetry,
        *,
        pause: Pause | None = None,
        monotonic: Callable[[], float] = time.monotonic,
        uniform: Random = random.random,
    ) -> None:
        """`pause` is what the journal holds."""
        self.name = config.name
        self.concurrency = config.concurrency
        self.backlog: dict[Stream, int] = {}
        """Reports waiting by stream, as last looked at: `max_backlog` is for all streams of the callback."""
        self._component = f"callback/{config.name}"
        self._health = health
        self._telemetry = telemetry
        self._monotonic = monotonic
        self._uniform = uniform
        self._pace = Pace(config.rate_per_second) if config.rate_per_second else None
        self._limit = config.concurrency
        self._inside = 0
        self._probing = False
        self._run = Run()
        self._half_open = False
        self._distance_seconds = FIRST_DISTANCE_SECONDS
        self._spared_until = 0.0
        self._asked_until = 0.0
        self._waiters: dict[Waiter, None] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._pause = self._kept = pause
        self._keeping = asyncio.Lock()
        if pause is not None:
            log.warning("callback is still paused", callback=self.name, since_ms=pause.at_ms, reason=pause.told)
        self._show()

    # --- what it is like ---

    @property
    def state(self) -> GateState:
        if self._pause is not None:
            return GateState.PAUSED
        return GateState.HALF_OPEN if self._half_open else GateState.OPEN

    @property
    def paused(self) -> bool:
        """Whether nothing is sent until somebody resumes it."""
        return self._pause is not None

    @property
    def held(self) -> bool:
        """Whether no more than single attempts are made: nothing need wait in memory."""
        return self._pause is not None or self._run.spared

    @property
    def standing(self) -> Standing:
        """For people."""
        reason = self._pause.told if self._pause else self._run.reason
        since_seconds = self._monotonic() - self._run.since if self._run.failures else None
        return Standing(self.state, reason, self._pause, self._run.failures, since_seconds, self._inside)

    def allowed_backlog(self, stream: Stream, max_backlog: int) -> int:
        """How much of `max_backlog` one stream may use: what the others leave, but at least its even share."""
        others = sum(reports for other, reports in self.backlog.items() if other != stream)
        return max(max_backlog - others, max_backlog // max(1, len(self.backlog)))

    # --- slots ---

    def enter(self, waiter: Waiter) -> bool:
        """Take a slot; False if there is none now: then `waiter` is called once when there may be one."""
        if self._open():
            self._inside += 1
            self._probing = self._run.spared
            if self._pace is not None:
                self._pace.take(self._monotonic())
            return True
        self._waiters[waiter] = None
        self._set_timer()
        return False

    def leave(self) -> None:
        """Give a slot back without a verdict: the attempt did not happen or did not end."""
        self._inside -= 1
        self._invite()

    def succeeded(self) -> None:
        """Give a slot back after a success."""
        self._inside -= 1
        if self._limit < self.concurrency:
            self._limit += 1
        if self._run.failures:
            self._recover()
        if self._waiters:
            self._invite()

    def failed(self, reason: str, *, hold_seconds: float = 0.0, slow_down: bool = False) -> None:
        """Give a slot back after a failure.

        `hold_seconds`: how long the answer asked to be left alone; `slow_down`: it says that there is too much to do,
        so half as many attempts are made at a time, and one more again after each success.
        """
        self._inside -= 1
        now = self._monotonic()
        self._run = self._run.failed(reason, now)
        if hold_seconds > 0:
            self._asked_until = max(self._asked_until, now + hold_seconds)
        if slow_down:
            self._limit = max(1, self._limit // 2)
        if self._run.failures == FAILURES_UNTIL_SPARED:
            log.warning("callback fails, it gets single attempts", callback=self.name, reason=reason)
        if self._run.spared:
            self._spare(now)
        self._invite()

    def withdraw(self, waiter: Waiter) -> None:
        """Forget a waiter that stops; a timer that nobody needs goes too."""
        self._waiters.pop(waiter, None)
        if not self._waiters:
            self._cancel_timer()

    # --- pausing ---

    def pause(self, pause: Pause) -> None:
        """Let nothing in until `resume`; attempts in flight go on. What people asked for is not replaced by a 410."""
        if self._pause is not None and pause.by is PausedBy.GONE:
            return
        self._pause = pause
        log.warning("callback paused", callback=self.name, by=pause.by.value, reason=pause.told)
        self._show()

    def resume(self) -> bool:
        """Open, as if it had never failed; whether it was paused or half open."""
        before = self.state
        self._pause = None
        self._asked_until = 0.0
        self._limit = self.concurrency
        self._forgive()
        if before is not GateState.OPEN:
            log.info("callback resumed", callback=self.name)
            self._show()
        self._invite()
        return before is not GateState.OPEN

    async def keep(self, journal: PauseJournal) -> None:
        """Write into the journal that it is paused, or no longer, if it does not know. Raises JournalError."""
        if self._pause == self._kept:
            return
        async with self._keeping:
            while self._kept != (wanted := self._pause):
                await journal.keep_pause(self.name, wanted)
                self._kept = wanted

    # --- inside ---

    @property
    def _closed_until(self) -> float:
        """By the monotonic clock; 0 if nothing keeps it closed."""
        if self._pace is not None:
            return max(self._spared_until, self._asked_until, self._pace.ready_at)
        return self._spared_until if self._spared_until > self._asked_until else self._asked_until

    def _open(self) -> bool:
        if self._inside >= self._limit or self._pause is not None or (self._inside and self._run.spared):
            return False
        closed_until = self._closed_until
        return not closed_until or self._monotonic() >= closed_until

    def _spare(self, now: float) -> None:
        """Keep distance, twice as much after each single attempt; what was in flight before does not count."""
        if not self._half_open and self._run.half_open(now):
            self._half_open = True
            log.warning(
                "callback is half open", callback=self.name, failures=self._run.failures, reason=self._run.reason
            )
        if self._probing:
            self._probing = False
            ceiling = HALF_OPEN_DISTANCE_SECONDS if self._half_open else SPARED_DISTANCE_SECONDS
            self._distance_seconds = min(ceiling, 2 * self._distance_seconds)
        distance = self._distance_seconds
        self._spared_until = now + equal_jitter_seconds(
            1, initial_seconds=distance, max_seconds=distance, random=self._uniform
        )
        if self._half_open:
            self._show()

    def _recover(self) -> None:
        run, half_open = self._run, self._half_open
        self._forgive()
        if run.spared:
            log.info("callback works again", callback=self.name, failures=run.failures)
        if half_open:
            self._show()

    def _forgive(self) -> None:
        self._run = Run()
        self._half_open = False
        self._distance_seconds = FIRST_DISTANCE_SECONDS
        self._spared_until = 0.0

    def _show(self) -> None:
        """In the metrics and in the health."""
        state = self.state
        self._telemetry.callback_paused(self.name, state is not GateState.OPEN)
        if self._pause is not None:
            self._health.degrade(self._component, f"{self._pause.told}; relay callbacks resume {self.name}")
        elif state is GateState.HALF_OPEN:
            self._health.degrade(self._component, f"{self._run.failures} attempts failed in a row: {self._run.reason}")
        else:
            self._health.recover(self._component)

    def _invite(self) -> None:
        """Call waiters, first come first served, while there is room; who is not content queues up again."""
        for _ in range(len(self._waiters)):
            if not self._open():
                self._set_timer()
                return
            waiter = next(iter(self._waiters))
            del self._waiters[waiter]
            waiter()

    def _set_timer(self) -> None:
        """For when time opens the gate; a slot that is given back, and who resumes it, invite by themselves."""
        closed_until = self._closed_until
        if not self._waiters or not closed_until or self._pause is not None:
            return
        seconds = closed_until - self._monotonic()
        if seconds <= 0:
            return
        loop = asyncio.get_running_loop()
        if self._timer is not None:
            if self._timer.when() <= loop.time() + seconds:
                return
            self._timer.cancel()
        self._timer = loop.call_later(seconds, self._timed_out)

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _timed_out(self) -> None:
        self._timer = None
        self._invite()
