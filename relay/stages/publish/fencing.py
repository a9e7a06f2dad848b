"""When a producer that was fenced may be replaced: at once, and if it keeps happening at growing distances, for ever.

Two causes look alike: the broker ended a transaction for its time-out (the machine stood still), which is over with the
next producer; or another producer came with the same transactional id, and comes again as often as we do.
"""

HELD_SECONDS = 60.0
"""Who has published so long undisturbed shares the id with nobody: the next fencing is a first one."""
FIRST_WAIT_SECONDS = 1.0
MAX_WAIT_SECONDS = 60.0


class Fencings:
    """Those in a row, each soon after the one before. Times are monotonic seconds."""

    def __init__(self) -> None:
        self._count = 0
        self._wait_seconds = 0.0
        self._held_since: float | None = None

    @property
    def in_a_row(self) -> int:
        return self._count

    def fenced(self, at: float) -> float:
        """Count one; so many seconds the id is left to whoever has it, before a new producer takes it."""
        if self._held_long(at):
            self._count = 0
        self._count += 1
        self._held_since = None
        doublings = self._count - 2
        self._wait_seconds = min(MAX_WAIT_SECONDS, FIRST_WAIT_SECONDS * 2**doublings) if doublings >= 0 else 0.0
        return self._wait_seconds

    def published(self, at: float) -> bool:
        """The id is ours just now; whether nobody disputes it. A single fencing is no dispute."""
        if self._held_since is None:
            self._held_since = at
        elif self._count and self._held_long(at):
            self._count = 0
        return self._count <= 1

    def _held_long(self, at: float) -> bool:
        """Longer than somebody who waits as we do would have left it to us."""
        return self._held_since is not None and at - self._held_since >= max(HELD_SECONDS, 2 * self._wait_seconds)
