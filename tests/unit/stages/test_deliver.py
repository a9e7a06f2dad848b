"""The deliverer on a journal in memory: what is sent, when, and what is recorded of it."""

import asyncio
import copy

import pytest
from msgspec.structs import replace

from relay.domain.report import EntryType
from relay.ports import Lease, NewDelivery, PostResult
from tests.unit.stages.deliver_journal import (
    FAILED,
    NO_ANSWER,
    OK,
    MemoryJournal,
    Stored,
    ToldSender,
    entry,
    journal_of,
)
from tests.unit.stages.deliver_rig import START_MS, STREAM, Rig, settled, until


async def test_every_report_is_posted_once_and_the_cursor_follows() -> None:
    journal, sender = journal_of(1200), ToldSender()
    async with Rig(journal, sender).running():
        await until(lambda: journal.position == 1200)
    assert sender.posts == [(f"m-{seq}",) for seq in range(1, 1201)]
    assert [attempt.seqs for attempt in journal.attempts] == [(seq,) for seq in range(1, 1201)]
    assert {(attempt.delivered, attempt.delivery_id, attempt.status) for attempt in journal.attempts} == {
        (True, None, 200)
    }
    assert journal.deliveries == {}


async def test_attempts_are_recorded_in_groups() -> None:
    journal = journal_of(1200)
    async with Rig(journal, ToldSender()).running():
        await until(lambda: journal.position == 1200)
    assert len(journal.commits) < 100


async def test_new_entries_are_read_when_woken() -> None:
    journal, sender = journal_of(1), ToldSender()
    rig = Rig(journal, sender)
    async with rig.running():
        await until(lambda: journal.position == 1)
        journal.entries.append(entry(2))
        rig.deliver.wake()
        await until(lambda: journal.position == 2, seconds=0.5)


async def test_only_what_is_wanted_is_posted_and_the_cursor_passes_the_rest() -> None:
    journal = MemoryJournal(
        entries=[
            entry(1, "a"),
            entry(2, "", type_=EntryType.QUARANTINE, status_group=None),
            entry(3, "b", type_=EntryType.COMPLETION, revision=2),
            entry(4, "c", type_=EntryType.REVISION, revision=2),
            entry(5, "d", status_group=5),
            entry(6, "e", status_group=None),
            entry(7, "", type_=EntryType.QUARANTINE, status_group=None),
        ]
    )
    sender = ToldSender()
    async with Rig(journal, sender, status_groups=["DELIVERED"]).running():
        await until(lambda: journal.position == 7)
    assert sender.posts == [("a",), ("b#2",)]


async def test_revisions_go_to_callbacks_that_ask_for_them() -> None:
    journal = MemoryJournal(entries=[entry(1, "c", type_=EntryType.REVISION, revision=2)])
    sender = ToldSender()
    async with Rig(journal, sender, revisions=True).running():
        await until(lambda: journal.position == 1)
    assert sender.posts == [("c#2",)]


async def test_a_refused_record_goes_to_callbacks_all_the_same() -> None:
    journal = MemoryJournal(entries=[replace(entry(1), refused=True)])
    sender = ToldSender()
    async with Rig(journal, sender).running():
        await until(lambda: journal.position == 1)
    assert sender.posts == [("m-1",)]


async def test_a_failed_first_attempt_is_stored_and_no_longer_holds_the_cursor() -> None:
    journal, sender = journal_of(3), ToldSender()
    sender.tell("m-2", FAILED, FAILED)
    rig = Rig(journal, sender)
    async with rig.running():
        await until(lambda: journal.position == 3)
        assert sorted(sender.posts) == [("m-1",), ("m-2",), ("m-3",)]
        (stored,) = journal.deliveries.values()
        # the first wait is at most 5 s, and the jitter of this test is always the whole of it
        assert stored == Stored(1, (2,), 1, START_MS, START_MS + 5000)
        rig.pass_seconds(4.9)
        await settled(lambda: len(sender.posts))
        assert len(sender.posts) == 3
        rig.pass_seconds(0.1)
        await until(lambda: stored.attempts == 2)
        assert stored.next_attempt_at_ms == START_MS + 5000 + 10_000
        rig.pass_seconds(10)
        await until(lambda: not journal.deliveries)
    assert sender.posts.count(("m-2",)) == 3
    assert [(a.delivery_id, a.status, a.delivered) for a in journal.attempts if a.seqs == (2,)] == [
        (None, 500, False),
        (1, 500, False),
        (1, 200, True),
    ]
    assert rig.attempts("server_error") == 2
    assert rig.attempts("delivered") == 3


async def test_what_is_too_old_becomes_a_dead_letter() -> None:
    journal, sender = journal_of(1), ToldSender(FAILED)
    rig = Rig(journal, sender, retry={"initial_seconds": 5, "max_age_seconds": 8})
    async with rig.running():
        await until(lambda: len(journal.deliveries) == 1)
        rig.pass_seconds(5)
        await until(lambda: len(journal.attempts) == 2)
        rig.pass_seconds(3)
        await until(lambda: bool(journal.dead))
    assert journal.dead == [((1,), "not delivered within 8 s; last try: HTTP 500")]
    assert journal.deliveries == {}
    assert len(sender.posts) == 3


async def test_retries_survive_a_restart() -> None:
    journal, sender = journal_of(1), ToldSender()
    sender.tell("m-1", NO_ANSWER)
    async with Rig(journal, sender).running():
        await until(lambda: len(journal.deliveries) == 1)
    later = Rig(journal, sender)
    later.now_ms += 5000
    async with later.running():
        await until(lambda: not journal.deliveries)
    assert sender.posts == [("m-1",), ("m-1",)]


async def test_after_a_kill_what_a_broken_attempt_held_up_is_posted_again() -> None:
    journal, sender = journal_of(3), ToldSender()
    sender.hang("m-2")
    async with Rig(journal, sender).running():
        await until(lambda: len(journal.attempts) == 2)
        killed = copy.deepcopy(journal)
    assert killed.position == 1  # 3 is recorded, 2 holds the cursor
    async with Rig(killed, sender).running():
        await until(lambda: killed.position == 3)
    assert sender.posts == [("m-1",), ("m-2",), ("m-3",), ("m-2",), ("m-3",)]


async def test_after_a_stop_only_attempts_that_were_broken_off_are_made_again() -> None:
    journal, sender = journal_of(4), ToldSender()
    sender.hang("m-2")
    sender.hang("m-4")
    async with Rig(journal, sender).running(grace_seconds=0.0):
        await until(lambda: len(journal.attempts) == 2)
    assert [stored.seqs for stored in journal.deliveries.values()] == [(2,)]
    assert journal.position == 3
    async with Rig(journal, sender).running():
        await until(lambda: journal.position == 4 and not journal.deliveries)
    assert sorted(sender.posts) == [("m-1",), ("m-2",), ("m-2",), ("m-3",), ("m-4",), ("m-4",)]


async def test_what_is_delivered_before_a_revision_that_waits_is_not_posted_again_after_a_stop() -> None:
    entries = [entry(1, "a"), entry(2, "a", revision=2, type_=EntryType.COMPLETION), *map(entry, (3, 4, 5))]
    journal, sender = MemoryJournal(entries=entries), ToldSender()
    sender.hang("m-4")
    async with Rig(journal, sender, concurrency=1).running(grace_seconds=0.0):
        await until(lambda: len(journal.attempts) == 2 and sender.in_flight == 1)
    assert sender.posts == [("a",), ("m-3",), ("m-4",)]
    assert journal.position == 3
    async with Rig(journal, sender, concurrency=1).running():
        await until(lambda: journal.position == 5 and not journal.deliveries)
    assert sorted(sender.posts[3:]) == [("a#2",), ("m-4",), ("m-5",)]


async def test_closing_waits_for_what_is_in_flight_and_records_it() -> None:
    journal, sender = journal_of(2), ToldSender()
    first, second = sender.hang("m-1"), sender.hang("m-2")
    rig = Rig(journal, sender)
    async with rig.running(grace_seconds=0.2):
        await until(lambda: sender.in_flight == 2)
        asyncio.get_running_loop().call_later(0.05, first.set_result, OK)
    assert second.cancelled()
    assert [attempt.seqs for attempt in journal.attempts] == [(1,)]
    assert journal.position == 1
    assert rig.gate.enter(lambda: None)  # its slots were given back
    assert rig.attempts("delivered") == 1


async def test_nothing_new_is_sent_while_closing() -> None:
    journal, sender = journal_of(5), ToldSender()
    hanging = sender.hang("m-1")
    async with Rig(journal, sender, concurrency=1).running(grace_seconds=0.2):
        await until(lambda: sender.in_flight == 1)
        asyncio.get_running_loop().call_later(0.05, hanging.set_result, OK)
    assert sender.posts == [("m-1",)]
    assert journal.position == 1


@pytest.mark.usefixtures("soon_again")
async def test_a_journal_that_cannot_be_written_loses_no_result() -> None:
    journal, sender = journal_of(20), ToldSender()
    sender.tell("m-7", FAILED)
    journal.failing = 1
    async with Rig(journal, sender).running():
        await until(lambda: journal.position == 20)
    assert len(sender.posts) == 20
    assert len(journal.attempts) == 20
    assert [stored.seqs for stored in journal.deliveries.values()] == [(7,)]


async def test_an_unexpected_error_after_an_attempt_strands_nobody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    journal, sender = journal_of(50), ToldSender()
    rig = Rig(journal, sender, concurrency=1)
    surprises = iter([RuntimeError("surprise")])

    def finished(*_: object) -> None:
        if len(sender.posts) == 3:
            raise next(surprises)

    monkeypatch.setattr(rig.telemetry, "attempt_finished", finished)
    async with rig.running():
        await until(lambda: len(sender.posts) == 50)
    assert sorted(sender.posts) == sorted((f"m-{seq}",) for seq in range(1, 51))


async def test_an_unexpected_error_of_one_attempt_is_a_failed_attempt() -> None:
    journal, sender = journal_of(2), ToldSender()
    sender.tell("m-1", RuntimeError("surprise"))
    async with Rig(journal, sender).running():
        await until(lambda: journal.position == 2)
    failed = [attempt for attempt in journal.attempts if not attempt.delivered]
    assert [(attempt.seqs, attempt.error) for attempt in failed] == [((1,), "internal: RuntimeError")]


async def test_of_an_answer_one_kib_is_kept() -> None:
    journal, sender = journal_of(1), ToldSender(PostResult(200, "", None, 0.5, b"a" * 5000))
    async with Rig(journal, sender).running():
        await until(lambda: journal.position == 1)
    assert journal.attempts[0].answer == b"a" * 1024
    assert journal.attempts[0].duration_seconds == 0.5


async def test_a_dead_callback_is_spared_and_its_backlog_stays_unattempted() -> None:
    journal, sender = journal_of(2000), ToldSender(NO_ANSWER)
    rig = Rig(journal, sender, concurrency=8)
    async with rig.running():
        await until(lambda: rig.gate.held)
        await settled(lambda: sender.in_flight)
        assert len(sender.posts) < 30
        # Whoever is not the probe waits in the journal, and its attempts are not counted.
        assert len(rig.deliver._lanes.fresh) + len(rig.deliver._lanes.due) <= 1
        assert sum(stored.attempts for stored in journal.deliveries.values()) == len(journal.attempts)
        sender.default = OK
        failed = len(sender.posts)
        await until(lambda: journal.position == 2000 and len(journal.deliveries) <= failed)
    assert {stored.attempts for stored in journal.deliveries.values()} == {1}  # those that were tried in vain


async def test_too_many_requests_hold_back_the_other_deliveries() -> None:
    journal, sender = journal_of(100), ToldSender()
    sender.tell("m-3", PostResult(429, "", 0.4, 0.001, b""))
    rig = Rig(journal, sender, concurrency=1)
    async with rig.running():
        await until(lambda: len(journal.attempts) == 3)
        await settled(lambda: len(sender.posts))
        assert len(sender.posts) == 3
        (stored,) = journal.deliveries.values()
        assert stored.next_attempt_at_ms == START_MS + 60_000


async def test_service_unavailable_with_retry_after_holds_back_for_that_long() -> None:
    journal, sender = journal_of(100), ToldSender()
    sender.tell("m-3", PostResult(503, "", 0.4, 0.001, b""))
    began = asyncio.get_running_loop().time()
    async with Rig(journal, sender, concurrency=1).running():
        await until(lambda: len(journal.attempts) == 3)
        await until(lambda: len(sender.posts) > 3)
        assert asyncio.get_running_loop().time() - began >= 0.4
        await until(lambda: journal.position == 100)


async def test_what_somebody_else_has_stored_is_sent_at_once_when_that_is_told() -> None:
    journal, sender = journal_of(2), ToldSender()
    rig = Rig(journal, sender)
    async with rig.running():
        await until(lambda: journal.position == 2)
        await settled(lambda: len(journal.commits))
        lease = Lease("callback/billing/acme/sms", "test", 1)
        await journal.store_deliveries(lease, "billing", STREAM, [NewDelivery((1,))], 2, START_MS)
        rig.deliver.wake()
        await settled(lambda: len(sender.posts))
        assert sender.posts == [("m-1",), ("m-2",)]
        rig.deliver.stored_elsewhere()
        await until(lambda: not journal.deliveries)
    assert sender.posts == [("m-1",), ("m-2",), ("m-1",)]
