"""Dead letters: found by what people know of them, put back to be sent again, dropped and counted."""

from typing import Any

import pytest

from relay.domain.history import DeadLetterFilter, Revived
from relay.domain.report import EntryType
from relay.journal.sqlite import SqliteJournal
from relay.ports import Wanted
from tests.conformance.journals import (
    SMS,
    T0,
    VOICE,
    Opener,
    Relay,
    delivered,
    failed,
    given_up,
    own,
    report,
    retention,
)

NOW = T0 + 60_000


async def ids(journal: SqliteJournal, **wanted: Any) -> list[int]:
    return [letter.id for letter in await journal.list_dead_letters(DeadLetterFilter(**wanted))]


async def with_dead(relay: Relay, count: int = 3, callback: str = "billing") -> list[int]:
    """So many singles of `callback` that were given up."""
    await relay.receive_many(count)
    await relay.subscribe(callback, earliest=True)
    await relay.attempt(callback, *(given_up(seq, at_ms=T0 + seq) for seq in range(1, count + 1)), position=count)
    return await ids(relay.journal, callback=callback)


async def test_found_by_callback_stream_time_reason_and_status(journal: SqliteJournal) -> None:
    sms, voice = await own(journal), await own(journal, VOICE)
    for relay in (sms, voice):
        await relay.receive_many(2)
        for callback in ("billing", "crm"):
            await relay.subscribe(callback, earliest=True)
    await sms.attempt("billing", given_up(1, reason="HTTP 410: Gone"))
    await sms.attempt("crm", given_up(1, reason="too old", at_ms=T0 + 1000)._replace(status=None))
    await voice.attempt("crm", given_up(2, reason="HTTP 503", at_ms=T0 + 2000)._replace(status=503))
    first, second, third = await ids(journal)

    assert await ids(journal, callback="crm") == [second, third]
    assert await ids(journal, callback="nobody") == []
    assert await ids(journal, source="acme") == [first, second, third]
    assert await ids(journal, kind="voice") == [third]
    assert await ids(journal, source="other") == []
    assert await ids(journal, since_ms=T0 + 1250) == [second, third]
    assert await ids(journal, since_ms=T0 + 1251, until_ms=T0 + 2251) == [third]
    assert await ids(journal, until_ms=T0 + 1250) == [first]
    assert await ids(journal, reason="gone") == [first]
    assert await ids(journal, reason="%") == []
    assert await ids(journal, status=503) == [third]
    assert await ids(journal, status=410, callback="crm") == []
    assert [letter.status for letter in await journal.list_dead_letters()] == [410, None, 503]


async def test_one_with_what_it_holds_and_what_was_tried(relay: Relay) -> None:
    await relay.receive_many(3)
    await relay.subscribe("billing", earliest=True)
    (batch,) = await relay.store("billing", (1, 2))
    await relay.attempt("billing", failed(1, 2, id_=batch, next_ms=T0 + 5), delivered(3))
    await relay.attempt("billing", given_up(1, 2, id_=batch, at_ms=T0 + 5))

    found = await relay.journal.find_dead_letter(batch)
    assert found is not None
    assert (found.letter.message_ids, found.letter.attempts, found.letter.status) == (("m-1", "m-2"), 2, 410)
    assert [member.value for member in found.members] == [b'{"messageId":"m-1"}', b'{"messageId":"m-2"}']
    assert [(line.started_at_ms, line.result, line.answer) for line in found.attempts] == [
        (T0, "retry", b"busy"),
        (T0 + 5, "dead", b""),
    ]
    assert await relay.journal.find_dead_letter(batch + 1) is None


async def test_what_is_pending_is_no_dead_letter(relay: Relay) -> None:
    await relay.receive_many(1)
    await relay.subscribe("billing", earliest=True)
    (id_,) = await relay.store("billing", (1,))
    assert await relay.journal.find_dead_letter(id_) is None
    assert await relay.journal.revive_dead_letters([id_], NOW) == Revived()
    assert await relay.journal.drop_dead_letters([id_], NOW) == ()
    assert await relay.due("billing") == [(id_, (1,))]


async def test_put_back_with_a_fresh_age(reopen: Opener) -> None:
    relay = await own(await reopen())
    one, two, three = await with_dead(relay)
    revived = await relay.journal.revive_dead_letters([three, one], NOW)
    assert revived == Revived((one, three), 2, (), frozenset({("billing", SMS)}))
    assert await ids(relay.journal) == [two]
    await relay.journal.close()

    relay = await own(await reopen())
    await relay.subscribe("billing")
    first, second = await relay.journal.due_deliveries("billing", SMS, NOW, 10, 1000, ())
    assert [(first.id, first.members[0].seq), (second.id, second.members[0].seq)] == [(one, 1), (three, 3)]
    assert (first.attempts, first.created_at_ms, first.next_attempt_at_ms) == (0, NOW, NOW)
    figures = (await relay.journal.figures(NOW)).callbacks["billing"]
    assert (figures.backlog, figures.dead_letters) == (2, 1)


async def test_a_batch_comes_back_as_it_was(relay: Relay) -> None:
    await relay.receive_many(4)
    await relay.subscribe("billing", earliest=True)
    (batch,) = await relay.store("billing", (4, 1, 3))
    await relay.attempt("billing", given_up(4, 1, 3, id_=batch))
    assert (await relay.journal.revive_dead_letters([batch], NOW)).reports == 3
    assert await relay.due("billing", NOW) == [(batch, (4, 1, 3))]
    assert (await relay.journal.backlog("billing", SMS)).stored == 3


async def test_a_later_revision_waits_for_the_earlier_one(relay: Relay) -> None:
    await relay.receive(report("a", "1:0", final=False), report("a", "2:0"), report("a", "3:0"))
    await relay.subscribe("billing", earliest=True)
    await relay.attempt("billing", given_up(3), given_up(1), given_up(2))
    third, first, second = await ids(relay.journal)

    await relay.journal.revive_dead_letters([third, first, second], NOW)
    assert await relay.due("billing", NOW) == [(first, (1,))]
    await relay.attempt("billing", delivered(1, id_=first, at_ms=NOW))
    assert await relay.due("billing", NOW) == [(second, (2,))]
    await relay.attempt("billing", delivered(2, id_=second, at_ms=NOW))
    assert await relay.due("billing", NOW) == [(third, (3,))]


async def test_dead_once_more_after_it_was_put_back(relay: Relay) -> None:
    (one,) = await with_dead(relay, 1)
    await relay.journal.revive_dead_letters([one], NOW)
    await relay.attempt("billing", failed(1, id_=one, next_ms=NOW + 5, at_ms=NOW))
    await relay.attempt("billing", given_up(1, id_=one, reason="again", at_ms=NOW + 5))
    (letter,) = await relay.journal.list_dead_letters()
    assert (letter.id, letter.attempts, letter.reason, letter.created_at_ms) == (one, 2, "again", NOW)
    assert letter.dead_at_ms == NOW + 255


async def test_without_a_body_there_is_nothing_to_send_again(relay: Relay) -> None:
    one, two = await with_dead(relay, 2)
    await relay.subscribe("slow", earliest=True, wanted=Wanted(frozenset({EntryType.REPORT})))
    await relay.publish(2)
    await relay.journal.drop_dead_letters([one, two], NOW)
    pruned = await relay.journal.prune(NOW, retention(seconds=3600, min_free_bytes=1 << 62))
    while pruned.more:
        pruned = await relay.journal.prune(NOW, retention(seconds=3600, min_free_bytes=1 << 62))
    lost = await relay.journal.list_dead_letters(DeadLetterFilter("slow"))
    assert [letter.has_body for letter in lost] == [False, False]

    without = tuple(letter.id for letter in lost)
    assert await relay.journal.revive_dead_letters(without, NOW) == Revived(without_body=without)
    assert await ids(relay.journal) == list(without)
    assert await relay.due("slow", NOW) == []


async def test_dropped_ones_are_gone_and_counted(reopen: Opener) -> None:
    relay = await own(await reopen())
    one, two, three = await with_dead(relay)
    assert await relay.journal.drop_dead_letters([two, one, 999], NOW) == (one, two)
    assert await relay.journal.drop_dead_letters([two], NOW) == ()
    await relay.journal.close()

    relay = await own(await reopen())
    await relay.subscribe("billing")
    assert await ids(relay.journal) == [three]
    figures = (await relay.journal.figures(NOW)).callbacks["billing"]
    assert (figures.backlog, figures.dead_letters, figures.dropped, figures.expired) == (0, 1, 2, 0)


async def test_expired_ones_are_counted_too(relay: Relay) -> None:
    await with_dead(relay, 2)
    await relay.journal.prune(T0 + 4_000_000, retention(dead=3600))
    figures = (await relay.journal.figures(NOW)).callbacks["billing"]
    assert (figures.dead_letters, figures.dropped, figures.expired) == (0, 0, 2)


@pytest.mark.parametrize("limit", [1, 2])
async def test_in_pages(relay: Relay, limit: int) -> None:
    letters = await with_dead(relay, 5)
    found: list[int] = []
    while page := await relay.journal.list_dead_letters(after_id=found[-1] if found else 0, limit=limit):
        found += [letter.id for letter in page]
    assert found == letters
