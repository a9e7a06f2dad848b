"""The time by which deliveries are tried again: the wall clock's, but it does not go back."""

import time
from collections.abc import Callable

LEAP_MS = 1000
"""What the wall clock gains on the monotonic one beyond this is a step forward, not drift."""


class ForwardClock:
    """Unix milliseconds. Retries are stored with the time of day, as they must outlive the process; if the clock is set
    back by an hour they must not wait an hour longer, nor may what is stored from then on look an hour old.

    After a step back it stays ahead of the wall clock by as much, until that is set forward again.
    """

    def __init__(self, now_ms: Callable[[], int], *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._now_ms = now_ms
        self._monotonic = monotonic
        self._wall_ms = now_ms()
        self._at_seconds = monotonic()
        self._ahead_ms = 0

    def __call__(self) -> int:
        wall_ms, at_seconds = self._now_ms(), self._monotonic()
        if wall_ms < self._wall_ms:
            self._ahead_ms += self._wall_ms - wall_ms
        elif self._ahead_ms:
            leap_ms = wall_ms - self._wall_ms - round((at_seconds - self._at_seconds) * 1000)
            self._ahead_ms = max(0, self._ahead_ms - leap_ms) if leap_ms > LEAP_MS else self._ahead_ms
        self._wall_ms, self._at_seconds = wall_ms, at_seconds
        return wall_ms + self._ahead_ms
