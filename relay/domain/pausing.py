"""When a callback is left alone: paused until somebody resumes it, or half open until an attempt succeeds."""

from enum import StrEnum
from typing import NamedTuple

FAILURES_UNTIL_SPARED = 10
"""So many failures in a row, and only one attempt at a time is made, at growing distance."""

HALF_OPEN_SECONDS = 30.0
"""A row of failures that lasts so long makes the callback half open: the distance grows further, and it is told."""

FIRST_DISTANCE_SECONDS = 0.1
SPARED_DISTANCE_SECONDS = 5.0
HALF_OPEN_DISTANCE_SECONDS = 60.0
"""How far attempts of a callback that fails are apart at most; how long it takes at most until it opens again."""


class GateState(StrEnum):
    """Whether a callback gets its deliveries."""

    OPEN = "open"
    HALF_OPEN = "half_open"
    PAUSED = "paused"


class PausedBy(StrEnum):
    """Why a callback gets nothing until it is resumed."""

    HAND = "hand"
    GONE = "gone"


class Pause(NamedTuple):
    """Lasts until somebody resumes the callback; a restart does not end it."""

    by: PausedBy
    reason: str
    at_ms: int

    @property
    def told(self) -> str:
        """For people."""
        if self.by is PausedBy.GONE:
            return f"the callback says that it is gone ({self.reason})"
        return f"paused by hand: {self.reason}" if self.reason else "paused by hand"


class Run(NamedTuple):
    """Failures in a row: how many, when the first of them ended (seconds, monotonic), what the last one was."""

    failures: int = 0
    since: float = 0.0
    reason: str = ""

    def failed(self, reason: str, now: float) -> "Run":
        return Run(self.failures + 1, self.since if self.failures else now, reason)

    @property
    def spared(self) -> bool:
        """Whether only single attempts are made."""
        return self.failures >= FAILURES_UNTIL_SPARED

    def half_open(self, now: float) -> bool:
        """Whether it fails on and on."""
        return self.spared and now - self.since >= HALF_OPEN_SECONDS


class Standing(NamedTuple):
    """How a callback's gate stands."""

    state: GateState
    reason: str
    """Why it is paused, else how the last attempt failed."""
    pause: Pause | None
    failures: int
    """In a row."""
    failing_seconds: float | None
    """Since the first of them ended; None without any."""
    in_flight: int
