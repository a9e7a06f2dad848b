from collections.abc import Collection

from structlog.testing import capture_logs

from relay.domain.report import Stream
from relay.ports import Pruned, Retention
from relay.stages.upkeep import INTERVAL_SECONDS, SHORTAGE_SECONDS, Upkeep

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


async def test_a_shortage_is_told_once_when_it_begins_and_once_when_it_is_over() -> None:
    clock = [0]
    journal = Journal(
        Pruned(entries=2000, more=True, early=1500, early_until_ms=1_700_000_000_000),
        Pruned(entries=10, early=10, early_until_ms=1_700_000_060_000),
        Pruned(),
        Pruned(entries=5, early=5, early_until_ms=1_700_000_120_000),
        Pruned(entries=7),
        Pruned(),
        Pruned(),
        Pruned(entries=1, early=1, early_until_ms=1_700_009_000_000),
    )
    upkeep = Upkeep(journal, RETENTION, set(), lambda: clock[0])
    hour_ms = int(SHORTAGE_SECONDS * 1000)
    begins = "disk short: history went before its retention was over"
    ends = "disk no longer short: history is kept for its retention again"

    async def told_at(at_ms: int) -> list[tuple[object, ...]]:
        clock[0] = at_ms
        with capture_logs() as lines:
            await upkeep.step()
        shown = [line for line in lines if line["event"] in (begins, ends)]
        return [(line["log_level"], line["event"], line["entries"], line["received_until"]) for line in shown]

    assert await told_at(0) == [], "the room is not yet made"
    assert await told_at(1) == [("warning", begins, 1510, "2023-11-14T22:14:20.000Z")]
    assert await told_at(1000) == []
    assert await told_at(2000) == [], "it is the same shortage"
    assert await told_at(1999 + hour_ms) == []
    assert await told_at(2000 + hour_ms) == [("info", ends, 1515, "2023-11-14T22:15:20.000Z")]
    assert await told_at(9999 + hour_ms) == []
    assert await told_at(10_000 + hour_ms) == [("warning", begins, 1, "2023-11-15T00:43:20.000Z")]
