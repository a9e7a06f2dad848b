"""A one-time queue: what is taken is gone."""

from collections import deque
from collections.abc import Callable, Iterable

from relay.simulator.traffic import Item, Traffic


class ReportQueue:
    """The reports of one kind that nobody has read yet: given ones first, then generated traffic."""

    def __init__(self, traffic: Traffic, now_ms: Callable[[], int]) -> None:
        self._traffic = traffic
        self._now_ms = now_ms
        self._given: deque[Item] = deque()
        self._generated = 0
        self.handed_out = 0

    @property
    def waiting(self) -> int:
        return len(self._given) + self._traffic.due(self._now_ms()) - self._generated

    @property
    def drained(self) -> bool:
        """Nothing waits, and no more will be generated."""
        return not self._given and self._generated == self._traffic.last

    def put(self, items: Iterable[Item]) -> None:
        self._given.extend(items)

    def take(self, limit: int, *, bulk_id: str | None = None, message_id: str | None = None) -> list[Item]:
        """Remove and return up to `limit` reports, oldest first; with filters only those that match."""
        if bulk_id is None and message_id is None:
            taken = self._take_first(limit)
        else:
            taken = self._take_matching(limit, bulk_id, message_id)
        self.handed_out += len(taken)
        return taken

    def _take_first(self, limit: int) -> list[Item]:
        taken = [self._given.popleft() for _ in range(min(limit, len(self._given)))]
        taken.extend(self._generate(limit - len(taken)))
        return taken

    def _take_matching(self, limit: int, bulk_id: str | None, message_id: str | None) -> list[Item]:
        self._given.extend(self._generate(self.waiting - len(self._given)))
        taken: list[Item] = []
        left: deque[Item] = deque()
        for item in self._given:
            wanted = bulk_id in (None, item.bulk_id) and message_id in (None, item.message_id)
            (taken if wanted and len(taken) < limit else left).append(item)
        self._given = left
        return taken

    def _generate(self, at_most: int) -> list[Item]:
        count = min(at_most, self._traffic.due(self._now_ms()) - self._generated)
        if count <= 0:
            return []
        items = list(self._traffic.items(self._generated, count))
        self._generated += count
        return items
