"""What was read for a callback that is then left alone: what nobody tried is not stored, it is read again."""

import asyncio

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from relay.domain.pausing import Pause, PausedBy
from relay.domain.report import EntryType
from relay.stages.deliver.window import Window
from tests.unit.stages.deliver_journal import FAILED, NO_ANSWER, OK, MemoryJournal, ToldSender, entry, journal_of
from tests.unit.stages.deliver_rig import START_MS, Rig, settled, until

BY_HAND = Pause(PausedBy.HAND, "maintenance", START_MS)


async def test_what_was_not_tried_is_not_stored() -> None:
    journal, sender = journal_of(2000), ToldSender()
    sender.tell("m-1", FAILED)
    sender.default = asyncio.get_running_loop().create_future()
    rig = Rig(journal, sender, concurrency=4)
    async with rig.running():
        await until(lambda: len(journal.deliveries) == 1 and sender.in_flight == 4)
        rig.gate.pause(BY_HAND)
        rig.deliver.wake()
        await until(lambda: not rig.deliver._lanes.fresh)
        await settled(lambda: len(journal.deliveries))
        assert [stored.seqs for stored in journal.deliveries.values()] == [(1,)]
        assert rig.deliver._recorder is not None
        assert rig.deliver._recorder.window.read_to == 5
        assert rig.deliver._lanes.fresh_bytes == 0
        sender.default.set_result(OK)
        await until(lambda: journal.position == 5)
        rig.gate.resume()
        rig.pass_seconds(10)
        await until(lambda: journal.position == 2000 and not journal.deliveries)
    assert sorted(sender.posts) == sorted([("m-1",), *((f"m-{seq}",) for seq in range(1, 2001))])


async def test_a_callback_that_fails_from_the_start_costs_a_stored_delivery_for_what_it_was_sent_alone() -> None:
    journal, sender = journal_of(2000), ToldSender(NO_ANSWER)
    rig = Rig(journal, sender, concurrency=4)
    async with rig.running():
        await until(lambda: rig.gate.held)
        await settled(lambda: (len(sender.posts), len(journal.deliveries)))
        assert len(journal.deliveries) == len(sender.posts) < 30
        assert journal.position == len(sender.posts)


async def test_for_a_probe_little_is_read() -> None:
    journal, sender, clock = journal_of(2000), ToldSender(NO_ANSWER), [1000.0]
    rig = Rig(journal, sender, concurrency=1, monotonic=lambda: clock[0])
    async with rig.running():
        await until(lambda: rig.gate.held and len(rig.deliver._lanes.fresh) <= 1)
        await settled(lambda: (len(sender.posts), journal.reads))
        reads, read, posts = journal.reads, journal.entries_read, len(sender.posts)
        for _ in range(5):
            clock[0] += 100.0
            rig.deliver.wake()
            await until(lambda before=posts: len(sender.posts) > before)
            posts = len(sender.posts)
        assert journal.entries_read - read <= 16 * (journal.reads - reads)


async def test_a_probe_is_found_however_far_it_is() -> None:
    journal, sender = journal_of(5000), ToldSender(NO_ANSWER)
    journal.entries = [replace(one, status_group=1 if one.seq < 5000 else 3) for one in journal.entries]
    clock = [1000.0]
    rig = Rig(journal, sender, status_groups=["DELIVERED"], monotonic=lambda: clock[0])
    while not rig.gate.held:
        assert rig.gate.enter(lambda: None)
        rig.gate.failed("no")
        clock[0] += 100.0
    async with rig.running():
        await until(lambda: len(sender.posts) == 1)
    assert sender.posts == [("m-5000",)]
    assert journal.reads < 15


async def test_later_revisions_that_waited_in_memory_come_in_their_order() -> None:
    entries = [entry(1, "a"), entry(2, "b")]
    entries += [entry(seq, "a", revision=seq - 1, type_=EntryType.COMPLETION) for seq in (3, 4)]
    entries += [entry(5, "c"), entry(6, "b", revision=2, type_=EntryType.COMPLETION)]
    journal, sender = MemoryJournal(entries=entries), ToldSender()
    first = sender.hang("a")
    rig = Rig(journal, sender, concurrency=1)
    async with rig.running():
        await until(lambda: sender.in_flight == 1 and len(rig.deliver._lanes.fresh) == 2)
        rig.gate.pause(BY_HAND)
        rig.deliver.wake()
        await until(lambda: not rig.deliver._lanes.fresh)
        assert journal.deliveries == {}
        first.set_result(OK)
        rig.gate.resume()
        await until(lambda: journal.position == 6 and not journal.deliveries)
    assert [post for post in sender.posts if post[0].startswith("a")] == [("a",), ("a#2",), ("a#3",)]
    assert [post for post in sender.posts if post[0].startswith("b")] == [("b",), ("b#2",)]
    assert ("c",) in sender.posts
    assert len(sender.posts) == 6


async def test_a_revision_whose_predecessor_has_just_gone_on_is_stored_where_it_stands() -> None:
    # a#2 goes to the end of the lane when a was delivered: behind younger ones, which one may not read again past it.
    entries = [entry(1, "a"), entry(2, "a", revision=2, type_=EntryType.COMPLETION), entry(3, "b"), entry(4, "c")]
    journal, sender = MemoryJournal(entries=entries), ToldSender()
    second = sender.hang("b")
    rig = Rig(journal, sender, concurrency=1)
    async with rig.running():
        await until(lambda: sender.in_flight == 1 and [job.seq for job in rig.deliver._lanes.fresh] == [4, 2])
        rig.gate.pause(BY_HAND)
        rig.deliver.wake()
        await until(lambda: not rig.deliver._lanes.fresh)
        assert [stored.seqs for stored in journal.deliveries.values()] == [(2,)]
        second.set_result(OK)
        rig.gate.resume()
        await until(lambda: journal.position == 4 and not journal.deliveries)
    assert sorted(sender.posts) == [("a",), ("a#2",), ("b",), ("c",)]


async def test_a_batch_that_is_being_filled_is_filled_anew() -> None:
    journal, sender = journal_of(23), ToldSender()
    first = sender.hang("m-1")
    rig = Rig(journal, sender, batch_size=5, linger_seconds=60, concurrency=1)
    async with rig.running():
        await until(lambda: sender.in_flight == 1 and len(rig.deliver._lanes.fresh) == 3)
        rig.gate.pause(BY_HAND)
        rig.deliver.wake()
        await until(lambda: not rig.deliver._lanes.fresh)
        assert journal.position == 20
        assert rig.deliver._recorder is not None
        assert rig.deliver._recorder.window.read_to == 20
        journal.entries += [entry(seq) for seq in (24, 25)]
        first.set_result(OK)
        rig.gate.resume()
        await until(lambda: len(journal.attempts) == 5 and not journal.deliveries)
    assert sorted(sender.posts) == [tuple(f"m-{n}" for n in range(start, start + 5)) for start in (1, 11, 16, 21, 6)]


@given(
    wanted=st.lists(st.integers(1, 40), unique=True, min_size=1, max_size=20).map(sorted),
    done=st.sets(st.integers(1, 40)),
    untried=st.sets(st.integers(1, 40)),
)
def test_a_window_forgets_the_end_of_what_was_read_as_far_as_nobody_has_it(
    wanted: list[int], done: set[int], untried: set[int]
) -> None:
    window = Window(0)
    for seq in wanted:
        window.open(seq)
    window.read_to = 41
    window.finish(done)
    last = []
    for seq in reversed(wanted):
        if seq in done or seq not in untried:
            break
        last.append(seq)
    assert window.unread(untried) == set(last)
    assert window.read_to == (min(last) - 1 if last else 41)
    still_open = [seq for seq in wanted if seq not in done and seq not in last]
    assert window.cursor() == (still_open[0] - 1 if still_open else window.read_to)
    # What is read again is opened where it was.
    for seq in sorted(last):
        window.open(seq)
    assert window.overtaken == {seq for seq in wanted if seq not in done and any(d > seq for d in done & set(wanted))}
