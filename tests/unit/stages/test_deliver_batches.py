"""Several reports in one POST: filled, stored before they are sent, kept together."""

import asyncio

import pytest

from tests.unit.stages.deliver_journal import FAILED, OK, MemoryJournal, ToldSender, entry, journal_of, two_revisions
from tests.unit.stages.deliver_rig import Rig, settled, until


async def test_batches_are_filled_and_stored_before_they_are_sent() -> None:
    journal, sender = journal_of(250), ToldSender()
    sender.default = asyncio.get_running_loop().create_future()
    async with Rig(journal, sender, batch_size=100, linger_seconds=0.02).running():
        await until(lambda: len(sender.posts) == 3)
        assert [len(post) for post in sender.posts] == [100, 100, 50]
        assert journal.position == 250
        assert [len(stored.seqs) for stored in journal.deliveries.values()] == [100, 100, 50]
        sender.default.set_result(OK)
        await until(lambda: not journal.deliveries)
    assert [attempt.delivery_id for attempt in journal.attempts] == [1, 2, 3]
    assert [len(attempt.seqs) for attempt in journal.attempts] == [100, 100, 50]


@pytest.mark.usefixtures("often_checked")
async def test_who_has_not_answered_yet_gets_no_more_taken_into_memory_than_one_read_beyond_the_slots() -> None:
    journal, sender = journal_of(6000), ToldSender()
    sender.default = asyncio.get_running_loop().create_future()
    async with Rig(journal, sender, batch_size=100, concurrency=16).running():
        await until(lambda: sender.in_flight == 16)
        await settled(lambda: journal.reads)
        assert journal.position == 2000  # four reads: three fill 15 slots
        sender.default.set_result(OK)
        await until(lambda: journal.position == 6000 and not journal.deliveries)


async def test_a_batch_waits_for_members_until_it_has_lingered() -> None:
    journal, sender = journal_of(1), ToldSender()
    rig = Rig(journal, sender, batch_size=10, linger_seconds=0.3)
    async with rig.running():
        await until(lambda: journal.reads > 0)
        journal.entries.append(entry(2))
        rig.deliver.wake()
        await until(lambda: len(sender.posts) == 1)
    assert sender.posts == [("m-1", "m-2")]


async def test_the_members_of_a_batch_stay_together_after_a_restart() -> None:
    journal, sender = journal_of(5), ToldSender()
    sender.hang("m-1")
    async with Rig(journal, sender, batch_size=3, linger_seconds=0.01).running(grace_seconds=0.0):
        await until(lambda: len(sender.posts) == 2)
        await until(lambda: len(journal.attempts) == 1)
    journal.entries.append(entry(6))
    async with Rig(journal, sender, batch_size=3, linger_seconds=0.01).running():
        await until(lambda: not journal.deliveries and journal.position == 6)
    assert sender.posts == [("m-1", "m-2", "m-3"), ("m-4", "m-5"), ("m-1", "m-2", "m-3"), ("m-6",)]


async def test_a_failed_batch_is_tried_again_whole() -> None:
    journal, sender = journal_of(3), ToldSender()
    sender.tell("m-1", FAILED)
    rig = Rig(journal, sender, batch_size=3)
    async with rig.running():
        await until(lambda: len(journal.attempts) == 1)
        rig.pass_seconds(5)
        await until(lambda: not journal.deliveries)
    assert sender.posts == [("m-1", "m-2", "m-3")] * 2


async def test_a_revision_is_never_in_the_batch_of_an_earlier_one_nor_before_it() -> None:
    journal, sender = two_revisions(), ToldSender()
    sender.tell("a", FAILED)
    rig = Rig(journal, sender, batch_size=10, linger_seconds=0.01)
    async with rig.running():
        await until(lambda: len(journal.attempts) == 2)
        assert sorted(sender.posts) == [("a",), ("b",)]
        rig.pass_seconds(5)
        await until(lambda: not journal.deliveries)
    assert [post for post in sender.posts if post != ("b",)] == [("a",), ("a",), ("a#2",), ("a#3",)]


async def test_a_batch_is_closed_before_it_grows_over_a_mebibyte() -> None:
    journal = MemoryJournal(entries=[entry(seq, size_bytes=400_000) for seq in range(1, 6)])
    sender = ToldSender()
    async with Rig(journal, sender, batch_size=100, linger_seconds=0.01).running():
        await until(lambda: journal.position == 5 and not journal.deliveries)
    assert sender.posts == [("m-1", "m-2"), ("m-3", "m-4"), ("m-5",)]
