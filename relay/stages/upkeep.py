"""upkeep: prunes what every subscription has passed, keeps the journal within its bounds."""

from collections.abc import Callable, Collection
from typing import NamedTuple

import structlog

from relay.domain.report import Stream
from relay.domain.timestamps import rfc3339_from_epoch_ms
from relay.ports import Pruned, Retention, UpkeepJournal

log = structlog.get_logger(__name__)

INTERVAL_SECONDS = 30.0

SHORTAGE_SECONDS = 3600.0
"""So long nothing has gone before its time: the shortage is over. Room comes and goes at the bound."""


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
        self._shortage: _Shortage | None = None

    def follow(self, retention: Retention, subscriptions: Collection[tuple[str, Stream]]) -> None:
        """From the next step on by another configuration."""
        self._retention = retention
        self._subscriptions = subscriptions

    async def step(self) -> float:
        await self._retire()
        at_ms = self._now_ms()
        pruned = await self._journal.prune(at_ms, self._retention)
        self._tell_shortage(pruned, at_ms)
        if any((pruned.entries, pruned.ids, pruned.attempts, pruned.dead_letters)):
            log.debug("pruned", **pruned._asdict())
        return _pause_seconds(pruned)

    async def _retire(self) -> None:
        dropped = await self._journal.retire_subscriptions(
            self._subscriptions, self._now_ms(), self._retention.retention_seconds
        )
        for callback, stream in dropped:
            log.info("cursor of a removed callback dropped", callback=callback, stream=str(stream))

    def _tell_shortage(self, pruned: Pruned, at_ms: int) -> None:
        """Once when it begins, as soon as there is room enough again, and once when it is over."""
        last = self._shortage
        if pruned.early:
            until_ms = pruned.early_until_ms if last is None else max(last.until_ms, pruned.early_until_ms)
            entries = pruned.early if last is None else last.entries + pruned.early
            self._shortage = _Shortage(entries, until_ms, at_ms, told=last is not None and last.told)
        if self._shortage is None or pruned.more:
            return
        if not self._shortage.told:
            log.warning("disk short: history went before its retention was over", **_shown(self._shortage))
            self._shortage = self._shortage._replace(told=True)
        elif at_ms - self._shortage.at_ms >= SHORTAGE_SECONDS * 1000:
            log.info("disk no longer short: history is kept for its retention again", **_shown(self._shortage))
            self._shortage = None


class _Shortage(NamedTuple):
    """What went early: so many entries, received up to `until_ms`; `at_ms` is when the last of them went."""

    entries: int
    until_ms: int
    at_ms: int
    told: bool


def _shown(shortage: _Shortage) -> dict[str, object]:
    return {"entries": shortage.entries, "received_until": rfc3339_from_epoch_ms(shortage.until_ms)}


def _pause_seconds(pruned: Pruned) -> float:
    return 0.0 if pruned.more else INTERVAL_SECONDS
