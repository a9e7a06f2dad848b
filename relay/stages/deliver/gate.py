"""How many POSTs one callback has in flight, over all its streams, and how it is spared while it fails."""

import asyncio
import time
from collections.abc import Callable

import structlog

from relay.domain.report import Stream
from relay.observe import Health

log = structlog.get_logger(__name__)

FAILURES_UNTIL_SLOW = 10
"""So many failures in a row, and only one attempt at a time is made, at growing distance."""

FIRST_DISTANCE_SECONDS = 0.1
LONGEST_DISTANCE_SECONDS = 5.0

Waiter = Callable[[], None]


class Gate:
    """Slots of one callback, shared by the deliverers of its streams; who found it closed is called in turn.

    A callback that is down costs next to nothing: after FAILURES_UNTIL_SLOW failures in a row it gets single attempts,
    the rest waits in the journal without burning theirs. One success opens the gate fully.
    """

    def __init__(
        self,
        name: str,
        concurrency: int,
        health: Health,
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = name
        self.concurrency = concurrency
        self.backlog: dict[Stream, int] = {}
        """Reports waiting by stream, as last looked at: `max_backlog` is for all streams of the callback."""
        self._health = health
        self._monotonic = monotonic
        self._inside = 0
        self._failures = 0
        self._distance_seconds = FIRST_DISTANCE_SECONDS
        self._spared_until = 0.0
        self._asked_until = 0.0
        self._waiters: dict[Waiter, None] = {}
        self._timer: asyncio.TimerHandle | None = None

    @property
    def slow(self) -> bool:
        """Whether it failed so often that only single attempts are made."""
        return self._failures >= FAILURES_UNTIL_SLOW

    def allowed_backlog(self, stream: Stream, max_backlog: int) -> int:
        """How much of `max_backlog` one stream may use: what the others leave, but at least its even share."""
        others = sum(reports for other, reports in self.backlog.items() if other != stream)
        return max(max_backlog - others, max_backlog // max(1, len(self.backlog)))

    def enter(self, waiter: Waiter) -> bool:
        """Take a slot; False if there is none now: then `waiter` is called once when there may be one."""
        if self._open():
            self._inside += 1
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
        if self._failures:
            self._recover()
        if self._waiters:
            self._invite()

    def failed(self, reason: str, *, hold_seconds: float = 0.0) -> None:
        """Give a slot back after a failure; `hold_seconds`: how long the answer asked to be left alone."""
        self._inside -= 1
        self._failures += 1
        if hold_seconds > 0:
            self._asked_until = max(self._asked_until, self._monotonic() + hold_seconds)
        if self.slow:
            self._spare()
        if self._failures == FAILURES_UNTIL_SLOW:
            log.warning("callback fails", callback=self.name, failures=self._failures, reason=reason)
        if self.slow:
            self._health.degrade(f"callback/{self.name}", f"{self._failures} attempts failed in a row: {reason}")
        self._invite()

    def withdraw(self, waiter: Waiter) -> None:
        """Forget a waiter that stops; a timer that nobody needs goes too."""
        self._waiters.pop(waiter, None)
        if not self._waiters and self._timer is not None:
            self._timer.cancel()
            self._timer = None

    @property
    def _closed_until(self) -> float:
        """By the monotonic clock; 0 if nothing keeps it closed."""
        return max(self._spared_until, self._asked_until)

    def _spare(self) -> None:
        """Keep distance, twice as much after each single attempt; what was in flight before does not count."""
        if self._failures > FAILURES_UNTIL_SLOW and not self._inside:
            self._distance_seconds = min(LONGEST_DISTANCE_SECONDS, 2 * self._distance_seconds)
        self._spared_until = self._monotonic() + self._distance_seconds

    def _open(self) -> bool:
        if self._inside >= (1 if self.slow else self.concurrency):
            return False
        if self._closed_until:
            if self._monotonic() < self._closed_until:
                return False
            self._spared_until = self._asked_until = 0.0
        return True

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
        """For when time opens the gate; a slot that is given back invites by itself."""
        if self._timer is not None or not self._waiters or not self._closed_until:
            return
        seconds = self._closed_until - self._monotonic()
        if seconds > 0:
            self._timer = asyncio.get_running_loop().call_later(seconds, self._timed_out)

    def _timed_out(self) -> None:
        self._timer = None
        self._invite()

    def _recover(self) -> None:
        if self.slow:
            log.info("callback works again", callback=self.name, failures=self._failures)
            self._health.recover(f"callback/{self.name}")
        self._failures = 0
        self._distance_seconds = FIRST_DISTANCE_SECONDS
        self._spared_until = 0.0
