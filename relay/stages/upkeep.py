"""upkeep: prunes what every subscription has passed, keeps the journal within its bounds."""

from collections.abc import Callable

import structlog

from relay.ports import Pruned, Retention, UpkeepJournal

log = structlog.get_logger(__name__)

INTERVAL_SECONDS = 30.0


class Upkeep:
    """Prunes in small bounded calls, so that no other transaction waits long behind it."""

    def __init__(self, journal: UpkeepJournal, retention: Retention, now_ms: Callable[[], int]) -> None:
        self._journal = journal
        self._retention = retention
        self._now_ms = now_ms

    async def step(self) -> float:
        pruned = await self._journal.prune(self._now_ms(), self._retention)
        if any((pruned.entries, pruned.ids, pruned.attempts, pruned.dead_letters)):
            log.debug("pruned", **pruned._asdict())
        return _pause_seconds(pruned)


def _pause_seconds(pruned: Pruned) -> float:
    return 0.0 if pruned.more else INTERVAL_SECONDS
