"""How many a second: even spacing, so that no second sees more than its share.

A limiter that fills a bucket lets a bucket's worth through at once after every pause; a receiver that counts by the
second refuses that. This one (GCRA) is asked for the next moment instead of being awaited, so a gate can wait for it
with the same timer as for everything else.
"""

SLACK_SECONDS = 0.01
"""By so much a timer may be late without lowering the rate; who comes later than that finds nothing saved up."""


class Pace:
    """At most `per_second` in a second, by a clock of the caller (seconds, monotonic)."""

    __slots__ = ("_interval_seconds", "_ready_at")

    def __init__(self, per_second: float) -> None:
        self._interval_seconds = 1.0 / per_second
        self._ready_at = float("-inf")

    @property
    def ready_at(self) -> float:
        """When the next may go; in the past: now."""
        return self._ready_at

    def take(self, now: float) -> None:
        """One goes at `now`, which is not before `ready_at`."""
        punctual = now - self._ready_at <= SLACK_SECONDS
        self._ready_at = (self._ready_at if punctual else now) + self._interval_seconds
