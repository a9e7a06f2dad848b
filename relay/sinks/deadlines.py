"""The deadlines of one callback's POSTs: one timer for all, as each has the same time from its beginning."""

import asyncio
from typing import Protocol


class Expiring(Protocol):
    """What has a deadline."""

    def give_up(self, error: Exception) -> None:
        """Fail whoever waits for it with `error`."""


class Deadlines:
    """What began first is due first. A timer for each, nearly all of them for nothing, would cost ten times as much."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._due_at: dict[Expiring, float] = {}
        self._timer: asyncio.TimerHandle | None = None

    def begin(self, expiring: Expiring, at: float) -> None:
        """From `at`, now by the event loop's clock, it has so many seconds to `end`; then it has to give up."""
        due_at = self._due_at[expiring] = at + self._seconds
        if self._timer is None:
            self._set_timer(due_at)

    def end(self, expiring: Expiring) -> None:
        """May be called twice."""
        self._due_at.pop(expiring, None)

    def close(self) -> None:
        """Nothing has a deadline any more; idempotent."""
        self._due_at.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _set_timer(self, at: float) -> None:
        self._timer = asyncio.get_running_loop().call_at(at, self._look)

    def _look(self) -> None:
        self._timer = None
        now = asyncio.get_running_loop().time()
        while self._due_at:
            expiring, due_at = next(iter(self._due_at.items()))
            if due_at > now:
                self._set_timer(due_at)
                return
            del self._due_at[expiring]
            expiring.give_up(TimeoutError())
