"""Who waits for a slot and who goes before whom: slow attempts, retries, revisions of one message."""

import asyncio
from typing import Any

import pytest

from relay.domain.report import EntryType
from relay.ports import JournalError
from tests.unit.stages.deliver_journal import FAILED, OK, MemoryJournal, ToldSender, entry, journal_of, two_revisions
from tests.unit.stages.deliver_rig import START_MS, Rig, settled, until


async def test_concurrency_bounds_what_is_in_flight_and_what_is_in_memory() -> None:
    journal, sender = journal_of(5000), ToldSender()
    sender.default = asyncio.get_running_loop().create_future()  # everything hangs
    rig = Rig(journal, sender, concurrency=4)
    async with rig.running():
        await until(lambda: sender.in_flight == 4)
        await settled(lambda: journal.reads)
        assert sender.in_flight == 4
        assert len(rig.deliver._lanes.fresh) <= 750


async def test_large_reports_are_bounded_in_memory_by_bytes() -> None:
    journal = MemoryJournal(entries=[entry(seq, size_bytes=300_000) for seq in range(1, 41)])
    sender = ToldSender()
    sender.default = asyncio.get_running_loop().create_future()
    rig = Rig(journal, sender, concurrency=1)
    async with rig.running():
        await until(lambda: sender.in_flight == 1)
        await settled(lambda: journal.reads)
        assert rig.deliver._lanes.fresh_bytes <= 2_500_000


async def test_one_slow_attempt_does_not_hold_up_the_others() -> None:
    journal, sender = journal_of(6000), ToldSender()
    slow = sender.hang("m-1")
    rig = Rig(journal, sender)
    async with rig.running():
        await until(lambda: journal.position == 6000)
        (stored,) = journal.deliveries.values()
        assert stored.seqs == (1,)
        slow.set_result(OK)
        await until(lambda: not journal.deliveries)
    assert sender.posts.count(("m-1",)) == 1
    assert [attempt.delivery_id for attempt in journal.attempts if attempt.seqs == (1,)] == [stored.id]


async def test_a_slow_attempt_that_was_stored_and_fails_is_tried_again() -> None:
    journal, sender = journal_of(6000), ToldSender()
    slow = sender.hang("m-1")
    rig = Rig(journal, sender)
    async with rig.running():
        await until(lambda: journal.position == 6000)
        slow.set_result(FAILED)
        await until(lambda: [stored.attempts for stored in journal.deliveries.values()] == [1])
        rig.pass_seconds(5)
        await until(lambda: not journal.deliveries)
    assert sender.posts.count(("m-1",)) == 2


async def test_hanging_retries_leave_slots_for_fresh_reports() -> None:
    journal = MemoryJournal(entries=[entry(seq) for seq in range(1, 41)], position=20)
    for seq in range(1, 21):
        journal._store((seq,), attempts=1, created_at_ms=START_MS, next_attempt_at_ms=START_MS)
    sender = ToldSender()
    for seq in range(1, 21):
        sender.hang(f"m-{seq}")
    async with Rig(journal, sender, concurrency=4).running():
        await until(lambda: journal.position == 40)
        # With nothing fresh to send, the retries may have all slots.
        await until(lambda: sender.in_flight == 4)


async def test_due_retries_are_not_starved_by_fresh_reports() -> None:
    journal = MemoryJournal(entries=[entry(seq) for seq in range(1, 201)], position=20)
    for seq in range(1, 21):
        journal._store((seq,), attempts=1, created_at_ms=START_MS, next_attempt_at_ms=START_MS)
    sender = ToldSender()
    async with Rig(journal, sender, concurrency=1).running():
        await until(lambda: journal.position == 200 and not journal.deliveries)
    first_hundred = sender.posts[:100]
    assert sum(post in [(f"m-{seq}",) for seq in range(1, 21)] for post in first_hundred) == 20


async def test_a_later_revision_waits_for_the_attempt_in_flight() -> None:
    journal, sender = two_revisions(), ToldSender()
    first = sender.hang("a")
    async with Rig(journal, sender).running():
        await until(lambda: ("b",) in sender.posts)
        await settled(lambda: len(sender.posts))
        assert sender.posts == [("a",), ("b",)]
        first.set_result(OK)
        await until(lambda: journal.position == 4)
    assert sender.posts == [("a",), ("b",), ("a#2",), ("a#3",)]
    assert journal.deliveries == {}


async def test_a_later_revision_waits_for_the_retries_of_an_earlier_one() -> None:
    journal, sender = two_revisions(), ToldSender()
    sender.tell("a", FAILED)
    rig = Rig(journal, sender)
    async with rig.running():
        await until(lambda: journal.position == 4)
        assert [(stored.seqs, stored.behind) for stored in journal.deliveries.values()] == [
            ((1,), None),
            ((2,), 1),
            ((3,), 2),
        ]
        await settled(lambda: len(sender.posts))
        rig.pass_seconds(5)
        await until(lambda: not journal.deliveries)
    assert sender.posts == [("a",), ("b",), ("a",), ("a#2",), ("a#3",)]


async def test_a_revision_read_later_queues_up_behind_a_stored_delivery() -> None:
    journal, sender = MemoryJournal(entries=[entry(1, "a")]), ToldSender()
    sender.tell("a", FAILED)
    rig = Rig(journal, sender)
    async with rig.running():
        await until(lambda: journal.position == 1)
        journal.entries.append(entry(2, "a", revision=2, type_=EntryType.COMPLETION))
        rig.deliver.wake()
        await until(lambda: journal.position == 2)
        assert sender.posts == [("a",)]
        rig.pass_seconds(5)
        await until(lambda: not journal.deliveries)
    assert sender.posts == [("a",), ("a",), ("a#2",)]


async def test_a_revision_of_a_dead_report_is_sent() -> None:
    journal, sender = two_revisions(), ToldSender()
    sender.tell("a", FAILED, FAILED)
    rig = Rig(journal, sender, retry={"initial_seconds": 5, "max_age_seconds": 5})
    async with rig.running():
        await until(lambda: journal.position == 4)
        rig.pass_seconds(5)
        await until(lambda: not journal.deliveries)
    assert [seqs for seqs, _ in journal.dead] == [(1,)]
    assert sender.posts == [("a",), ("b",), ("a",), ("a#2",), ("a#3",)]


@pytest.mark.usefixtures("soon_again")
@pytest.mark.parametrize("failing", ["record_attempts", "store_deliveries"])
async def test_revisions_that_wait_survive_a_failing_journal(failing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    journal, sender = two_revisions(), ToldSender()
    first = sender.hang("a")
    errors = iter([JournalError("not now")])
    write = getattr(journal, failing)

    async def first_in_vain(*arguments: Any) -> Any:
        if error := next(errors, None):
            raise error
        return await write(*arguments)

    async with Rig(journal, sender).running():
        await until(lambda: ("b",) in sender.posts and len(journal.attempts) == 1)
        monkeypatch.setattr(journal, failing, first_in_vain)
        first.set_result(FAILED)
        await until(lambda: journal.position == 4)
    assert next(errors, None) is None
    assert [stored.behind for stored in journal.deliveries.values()] == [None, 1, 2]


async def test_a_later_revision_that_a_stop_stores_is_not_read_again() -> None:
    # b has overtaken a, which is stored with a#2 behind it: that has overtaken c.
    entries = [entry(1, "a"), entry(2, "b"), entry(3, "c"), entry(4, "a", revision=2, type_=EntryType.COMPLETION)]
    journal, sender = MemoryJournal(entries=entries), ToldSender()
    sender.hang("a")
    sender.hang("c")
    async with Rig(journal, sender, concurrency=2).running(grace_seconds=0.0):
        await until(lambda: sender.posts == [("a",), ("b",), ("c",)] and len(journal.attempts) == 1)
    assert journal.position == 4
    assert [stored.seqs for stored in journal.deliveries.values()] == [(1,), (4,), (3,)]
    sender.posts.clear()
    async with Rig(journal, sender, concurrency=2).running():
        await until(lambda: not journal.deliveries)
    assert sorted(sender.posts) == [("a",), ("a#2",), ("c",)]
