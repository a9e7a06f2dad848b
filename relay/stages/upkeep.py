"""upkeep: prunes what every subscription has passed, keeps the journal within its bounds."""

from collections.abc import Callable, Collection

import structlog

from relay.domain.report import Stream
from relay.ports import Pruned, Retention, UpkeepJournal

log = structlog.get_logger(__name__)

INTERVAL_SECONDS = 30.0


class Upkeep:
    """Prunes in small bounded calls, so that no other transaction waits long behind it.

    `subscriptions` are the (callback, stream) pairs of the configuration. The cursor of one that was removed from it is
    kept for the retention time, in case it comes back; for ever, it would hold every entry after it.
    """

    def __init__(
        self,
        journal: UpkeepJournal,
        retention: Retention,
        subscriptions: Collection[tuple[str, Stream]],
        now_ms: Callable[[], int],
    ) -> None:
        self._journal = journal
        self._retention = retention
        self._subscriptions = subscriptions
        self._now_ms = now_ms

    def follow(self, retention: Retention, subscriptions: Collection[tuple[str, Stream]]) -> None:
        """From the next step on by another configuration."""
        self._retention = retention
        self._subscriptions = subscriptions

    async def step(self) -> float:
        await self._retire()
        pruned = await self._journal.prune(self._now_ms(), self._retention)
        if any((pruned.entries, pruned.ids, pruned.attempts, pruned.dead_letters)):
            log.debug("pruned", **pruned._asdict())
        return _pause_seconds(pruned)

    async def _retire(self) -> None:
        dropped = await self._journal.retire_subscriptions(
            self._subscriptions, self._now_ms(), self._retention.retention_seconds
        )
        for callback, stream in dropped:
            log.info("cursor of a removed callback dropped", callback=callback, stream=str(stream))


def _pause_seconds(pruned: Pruned) -> float:
    return 0.0 if pruned.more else INTERVAL_SECONDS
