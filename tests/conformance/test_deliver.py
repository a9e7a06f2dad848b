import pytest
from msgspec.structs import replace

from relay.domain.report import EntryType
from relay.journal.sqlite import SqliteJournal
from relay.ports import Backlog, JournalError
from tests.conformance.journals import SMS, T0, VOICE, Opener, Relay, delivered, failed, given_up, own, report


async def test_a_new_callback_starts_after_the_newest_or_before_the_oldest(relay: Relay) -> None:
    await relay.receive_many(3)
    assert await relay.subscribe("billing") == 3
    assert await relay.subscribe("crm", earliest=True) == 0


async def test_a_known_callback_goes_on_where_it_was(reopen: Opener) -> None:
    relay = await own(await reopen())
    await relay.receive_many(3)
    await relay.subscribe("billing", earliest=True)
    await relay.attempt("billing", position=2)
    await relay.journal.close()

    relay = await own(await reopen())
    assert await relay.subscribe("billing", earliest=True) == 2


async def test_a_callback_may_be_called_kafka(relay: Relay) -> None:
    await relay.receive_many(3)
    await relay.publish(2)
    assert await relay.subscribe("kafka", earliest=True) == 0
    cursor = await relay.journal.local_cursor(SMS)
    assert cursor is not None
    assert cursor.position == 2


async def test_what_was_never_opened_is_an_error(relay: Relay) -> None:
    with pytest.raises(JournalError, match="no subscription"):
        await relay.due("billing")


async def test_the_cursor_never_goes_back(relay: Relay) -> None:
    await relay.receive_many(5)
    await relay.subscribe("billing", earliest=True)
    await relay.attempt("billing", delivered(1), position=4)
    await relay.attempt("billing", delivered(2), position=3)
    assert await relay.subscribe("billing") == 4


async def test_delivered_singles_leave_history_and_nothing_to_do(relay: Relay) -> None:
    await relay.receive_many(3)
    await relay.subscribe("billing", earliest=True)
    assert await relay.attempt("billing", delivered(1), delivered(2, at_ms=T0 + 1), position=2) == 0

    assert await relay.due("billing", T0 + 10**9) == []
    assert await relay.journal.backlog("billing", SMS) == Backlog(0, 1, None, T0)
    (life,) = await relay.journal.inspect("m-2")
    (line,) = life.attempts
    assert line == ("billing", T0 + 1, 0.25, 200, "delivered", "", b"ok")


async def test_a_failed_single_is_stored_until_it_is_delivered(relay: Relay) -> None:
    await relay.receive_many(2)
    await relay.subscribe("billing", earliest=True)
    await relay.attempt("billing", failed(1, next_ms=T0 + 5000, at_ms=T0 + 7), position=2)

    assert await relay.due("billing", T0 + 4999) == []
    assert await relay.journal.next_due_at_ms("billing", SMS, ()) == T0 + 5000
    (delivery,) = await relay.journal.due_deliveries("billing", SMS, T0 + 5000, 10, 1000, ())
    (member,) = delivery.members
    assert member.message_id == "m-1"
    assert (delivery.callback, delivery.stream, delivery.attempts, delivery.created_at_ms) == (
        "billing",
        SMS,
        1,
        T0 + 7,
    )
    await relay.attempt("billing", failed(1, id_=delivery.id, next_ms=T0 + 9000, at_ms=T0 + 5000))
    (delivery,) = await relay.journal.due_deliveries("billing", SMS, T0 + 9000, 10, 1000, ())
    assert (delivery.attempts, delivery.next_attempt_at_ms) == (2, T0 + 9000)
    await relay.attempt("billing", delivered(1, id_=delivery.id, at_ms=T0 + 9000))

    assert await relay.journal.next_due_at_ms("billing", SMS, ()) is None
    assert (await relay.journal.backlog("billing", SMS)).stored == 0
    (life,) = await relay.journal.inspect("m-1")
    assert [line.result for line in life.attempts] == ["retry", "retry", "delivered"]


async def test_stored_deliveries_are_due_at_once_and_outlive_the_process(reopen: Opener) -> None:
    relay = await own(await reopen())
    await relay.receive_many(5)
    await relay.subscribe("billing", earliest=True)
    one, two = await relay.store("billing", (1, 3), (2,), position=3)
    assert one != two
    await relay.journal.close()

    relay = await own(await reopen())
    assert await relay.subscribe("billing") == 3
    assert await relay.due("billing") == [(one, (1, 3)), (two, (2,))]
    assert await relay.journal.backlog("billing", SMS) == Backlog(3, 2, T0, T0)


async def test_members_keep_their_order(relay: Relay) -> None:
    await relay.receive_many(5)
    await relay.subscribe("billing", earliest=True)
    (id_,) = await relay.store("billing", (4, 1, 3))
    assert await relay.due("billing") == [(id_, (4, 1, 3))]


async def test_due_deliveries_come_earliest_first_within_bounds(relay: Relay) -> None:
    await relay.receive(*(replace(report(f"m-{n}"), value=b"v" * 100) for n in range(1, 7)))
    await relay.subscribe("billing", earliest=True)
    late, early, both = await relay.store("billing", (1,), (2,), (3, 4))
    await relay.attempt("billing", failed(1, id_=late, next_ms=T0 + 50), failed(2, id_=early, next_ms=T0 + 20))

    assert await relay.due("billing", T0 + 50) == [(both, (3, 4)), (early, (2,)), (late, (1,))]
    assert await relay.due("billing", T0 + 50, limit=2) == [(both, (3, 4)), (early, (2,))]
    assert await relay.due("billing", T0 + 50, max_bytes=200) == [(both, (3, 4))]
    assert await relay.due("billing", T0 + 50, max_bytes=201) == [(both, (3, 4)), (early, (2,))]
    skipping = await relay.journal.due_deliveries("billing", SMS, T0 + 50, 10, 1000, {both, late})
    assert [delivery.id for delivery in skipping] == [early]
    assert await relay.journal.next_due_at_ms("billing", SMS, {both}) == T0 + 20


async def test_callbacks_and_streams_do_not_see_each_others_deliveries(relay: Relay) -> None:
    voice = await own(relay.journal, VOICE)
    for owner in (relay, voice):
        await owner.receive_many(1)
        await owner.subscribe("billing", earliest=True)
    await relay.subscribe("crm", earliest=True)
    (id_,) = await relay.store("billing", (1,))
    assert await relay.due("crm") == []
    assert await voice.due("billing") == []
    await relay.attempt("crm", delivered(1, id_=id_))
    assert await relay.due("billing") == [(id_, (1,))]


async def test_given_up_deliveries_become_dead_letters(relay: Relay) -> None:
    await relay.receive_many(4)
    await relay.subscribe("billing", earliest=True)
    (batch,) = await relay.store("billing", (2, 3))
    await relay.attempt(
        "billing", given_up(1, reason="410 gone"), given_up(2, 3, id_=batch, reason="too old"), position=3
    )

    assert sorted(await relay.dead("billing")) == [(("m-1",), "410 gone"), (("m-2", "m-3"), "too old")]
    assert await relay.due("billing", T0 + 10**9) == []
    assert await relay.journal.backlog("billing", SMS) == Backlog(0, 1, None, T0)
    letters = {letter.message_ids: letter for letter in await relay.journal.list_dead_letters()}
    assert letters[("m-1",)].attempts == 1
    assert letters[("m-1",)].dead_at_ms == T0 + 250
    assert all(letter.has_body for letter in letters.values())
    figures = await relay.journal.figures(T0)
    assert figures.callbacks["billing"][:3] == (1, T0, 3)


async def test_an_attempt_of_a_delivery_that_is_gone_is_history_and_nothing_else(relay: Relay) -> None:
    await relay.receive_many(1)
    await relay.subscribe("billing", earliest=True)
    (id_,) = await relay.store("billing", (1,), position=1)
    await relay.attempt("billing", delivered(1, id_=id_))
    await relay.attempt("billing", failed(1, id_=id_, next_ms=T0 + 5, at_ms=T0 + 2))

    assert await relay.due("billing", T0 + 10) == []
    assert await relay.dead() == []
    (life,) = await relay.journal.inspect("m-1")
    assert [line.result for line in life.attempts] == ["delivered", "retry"]


async def test_a_dead_letter_that_was_delivered_after_all_is_no_longer_dead(relay: Relay) -> None:
    await relay.receive_many(1)
    await relay.subscribe("billing", earliest=True)
    (id_,) = await relay.store("billing", (1,), position=1)
    await relay.attempt("billing", given_up(1, id_=id_))
    await relay.attempt("billing", delivered(1, id_=id_, at_ms=T0 + 1))
    assert await relay.dead() == []
    assert (await relay.journal.figures(T0)).callbacks["billing"][:3] == (0, None, 0)


async def _three_revisions(journal: SqliteJournal) -> Relay:
    relay = await own(journal)
    entries = await relay.receive(report("a", "1:0", final=False), report("a", "2:0"), report("a", "3:0"), report("b"))
    assert [entry.type for entry in entries] == [
        EntryType.REPORT,
        EntryType.COMPLETION,
        EntryType.REVISION,
        EntryType.REPORT,
    ]
    await relay.subscribe("billing", earliest=True)
    return relay


async def test_revisions_wait_in_a_chain(journal: SqliteJournal) -> None:
    relay = await _three_revisions(journal)
    (first,) = await relay.store("billing", (1,))
    second, third, other = await relay.store("billing", (2,), (3,), (4,), waits=True)
    assert await relay.due("billing") == [(first, (1,)), (other, (4,))]
    assert await journal.next_due_at_ms("billing", SMS, {first, other}) is None

    assert await relay.attempt("billing", delivered(1, id_=first)) == 1
    assert await relay.due("billing") == [(second, (2,)), (other, (4,))]
    assert await relay.attempt("billing", given_up(2, id_=second)) == 1
    assert await relay.due("billing") == [(third, (3,)), (other, (4,))]
    assert await relay.attempt("billing", delivered(4, id_=other)) == 0


async def test_a_revision_waits_behind_a_batch_that_holds_the_first(journal: SqliteJournal) -> None:
    relay = await _three_revisions(journal)
    (batch,) = await relay.store("billing", (4, 1))
    (waiting,) = await relay.store("billing", (2,), waits=True)
    assert await relay.due("billing") == [(batch, (4, 1))]
    await relay.attempt("billing", delivered(4, 1, id_=batch))
    assert await relay.due("billing") == [(waiting, (2,))]


async def test_nothing_stored_nothing_to_wait_for(journal: SqliteJournal) -> None:
    relay = await _three_revisions(journal)
    await relay.attempt("billing", given_up(1))
    (id_,) = await relay.store("billing", (2,), waits=True)
    assert await relay.due("billing") == [(id_, (2,))]


async def test_which_messages_have_something_stored(journal: SqliteJournal) -> None:
    relay = await _three_revisions(journal)
    await relay.receive_many(2)
    await relay.subscribe("crm", earliest=True)
    await relay.store("billing", (2,), (5,))
    await relay.store("crm", (4,))
    await relay.attempt("billing", given_up(6))
    wanted = ["m-1", "a", "b", "m-2", "unknown"]
    assert await journal.pending_message_ids("billing", SMS, wanted) == {"a", "m-1"}
    assert await journal.pending_message_ids("crm", SMS, wanted) == {"b"}
    assert await journal.pending_message_ids("crm", SMS, []) == set()


async def test_batches_are_found_in_the_history_of_each_member(relay: Relay) -> None:
    await relay.receive_many(6)
    await relay.subscribe("billing", earliest=True)
    even, odd = await relay.store("billing", (2, 4, 6), (3, 5), position=6)
    await relay.attempt("billing", delivered(2, 4, 6, id_=even), delivered(3, 5, id_=odd, at_ms=T0 + 1))
    for message_id, started_ms in (("m-2", [T0]), ("m-4", [T0]), ("m-5", [T0 + 1]), ("m-1", [])):
        (life,) = await relay.journal.inspect(message_id)
        assert [line.started_at_ms for line in life.attempts] == started_ms


async def test_answers_and_errors_are_kept_in_part(relay: Relay) -> None:
    await relay.receive_many(1)
    await relay.subscribe("billing", earliest=True)
    await relay.attempt("billing", delivered(1)._replace(answer=b"x" * 5000, error="e" * 5000), position=1)
    (life,) = await relay.journal.inspect("m-1")
    assert (len(life.attempts[0].answer), len(life.attempts[0].error)) == (1024, 500)


async def test_a_thousand_attempts_in_one_transaction(relay: Relay) -> None:
    await relay.receive_many(1000)
    await relay.subscribe("billing", earliest=True)
    await relay.attempt("billing", *(delivered(seq) for seq in range(1, 1001)), position=1000)
    assert await relay.subscribe("billing") == 1000
    (life,) = await relay.journal.inspect("m-777")
    assert len(life.attempts) == 1
