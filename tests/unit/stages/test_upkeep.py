from collections.abc import Collection

from relay.domain.report import Stream
from relay.ports import Pruned, Retention
from relay.stages.upkeep import INTERVAL_SECONDS, Upkeep

SMS = Stream("acme", "sms")
RETENTION = Retention(3600.0, 7200.0, {"billing": 600.0}, 1000)


class Journal:
    """Answers prune() from a list; notes what it was asked."""

    def __init__(self, *pruned: Pruned) -> None:
        self.pruned = list(pruned)
        self.asked: list[object] = []

    async def prune(self, at_ms: int, limits: Retention) -> Pruned:
        self.asked.append(("prune", at_ms, limits))
        return self.pruned.pop(0)

    async def retire_subscriptions(
        self, active: Collection[tuple[str, Stream]], at_ms: int, retention_seconds: float
    ) -> list[tuple[str, Stream]]:
        self.asked.append(("retire", set(active), at_ms, retention_seconds))
        return [("gone", SMS)]


async def test_more_to_prune_is_pruned_at_once_then_it_rests() -> None:
    journal = Journal(Pruned(entries=500, more=True), Pruned(entries=20))
    upkeep = Upkeep(journal, RETENTION, {("billing", SMS)}, lambda: 42)

    assert [await upkeep.step(), await upkeep.step()] == [0.0, INTERVAL_SECONDS]
    assert journal.asked[:2] == [("retire", {("billing", SMS)}, 42, 3600.0), ("prune", 42, RETENTION)]


async def test_what_is_configured_is_what_stays() -> None:
    journal = Journal(Pruned())
    await Upkeep(journal, RETENTION, set(), lambda: 7).step()
    assert ("retire", set(), 7, 3600.0) in journal.asked


async def test_another_configuration_is_followed_from_the_next_step_on() -> None:
    journal = Journal(Pruned(), Pruned())
    upkeep = Upkeep(journal, RETENTION, {("billing", SMS)}, lambda: 7)
    await upkeep.step()
    longer = RETENTION._replace(dead_letter_seconds={"crm": 60.0})
    upkeep.follow(longer, {("crm", SMS)})
    await upkeep.step()
    assert journal.asked[2:] == [("retire", {("crm", SMS)}, 7, 3600.0), ("prune", 7, longer)]
