import pytest

from relay.domain.report import EntryType, GapCause, Rejected
from relay.journal.sqlite import SqliteJournal
from relay.ports import Pruned, Retention, Wanted
from tests.conformance.journals import (
    HOUR_MS,
    SMS,
    T0,
    VOICE,
    Opener,
    Relay,
    delivered,
    failed,
    fetch,
    given_up,
    own,
    report,
    retention,
)

SHORT = 1 << 60
"""No disk has so much: it is nearly full."""


async def prune(relay: Relay, at_ms: int, limits: Retention) -> Pruned:
    """Until nothing more is to be done at this time."""
    total = Pruned()
    for _ in range(1000):
        part = await relay.journal.prune(at_ms, limits)
        total = Pruned(
            total.entries + part.entries,
            total.ids + part.ids,
            total.attempts + part.attempts,
            total.dead_letters + part.dead_letters,
        )
        if not part.more:
            return total
    pytest.fail("pruning never ends")


async def kept(relay: Relay) -> list[int]:
    return [entry.seq for entry in await relay.journal.read_stream(SMS, 0, 10_000, 1 << 30)]


async def test_nothing_goes_before_kafka_has_it(relay: Relay) -> None:
    await relay.receive_many(5)
    await prune(relay, T0 + 10**12, retention())
    assert await kept(relay) == [1, 2, 3, 4, 5]
    await relay.publish(3)
    assert (await prune(relay, T0 + 10**12, retention())).entries == 3
    assert await kept(relay) == [4, 5]


async def test_nothing_goes_before_every_callback_has_passed_it(relay: Relay) -> None:
    await relay.receive_many(5)
    await relay.publish(5)
    await relay.subscribe("billing", earliest=True)
    await relay.subscribe("crm", earliest=True)
    await relay.attempt("billing", position=5)
    await relay.attempt("crm", position=2)
    await prune(relay, T0, retention())
    assert await kept(relay) == [3, 4, 5]


async def test_without_any_subscription_everything_stays(journal: SqliteJournal) -> None:
    relay = await own(journal, kafka=False)
    await relay.receive_many(2)
    await prune(relay, T0 + 10**12, retention())
    assert await kept(relay) == [1, 2]


async def test_retention_counts_from_when_all_had_passed(relay: Relay) -> None:
    day = 24 * HOUR_MS
    limits = retention(seconds=day / 1000)
    await relay.receive_many(3)
    await relay.publish(2)
    await prune(relay, T0 + 10 * day, limits)
    await relay.publish(3)
    await prune(relay, T0 + 10 * day + HOUR_MS, limits)

    await prune(relay, T0 + 11 * day - 1, limits)
    assert await kept(relay) == [1, 2, 3]
    await prune(relay, T0 + 11 * day, limits)
    assert await kept(relay) == [3]
    await prune(relay, T0 + 11 * day + HOUR_MS, limits)
    assert await kept(relay) == []


async def test_a_cursor_that_was_set_back_starts_the_retention_anew(relay: Relay) -> None:
    limits = retention(seconds=60)
    await relay.receive_many(3)
    await relay.publish(3)
    await prune(relay, T0, limits)
    await relay.publish(1)
    await prune(relay, T0 + 30_000, limits)
    await relay.publish(3)
    await prune(relay, T0 + 60_000, limits)
    assert await kept(relay) == [1, 2, 3]
    await prune(relay, T0 + 120_000, limits)
    assert await kept(relay) == []


async def test_what_a_delivery_or_a_dead_letter_holds_stays_until_it_ends(relay: Relay) -> None:
    await relay.receive_many(5)
    await relay.publish(5)
    await relay.subscribe("billing", earliest=True)
    (batch,) = await relay.store("billing", (2, 4), position=5)
    await relay.attempt("billing", given_up(5, reason="gone"), delivered(1))
    await prune(relay, T0 + 1000, retention())
    assert await kept(relay) == [2, 4, 5]

    assert await relay.due("billing") == [(batch, (2, 4))]
    await relay.attempt("billing", delivered(2, 4, id_=batch, at_ms=T0 + 2000))
    await prune(relay, T0 + 2250, retention())
    assert await kept(relay) == [5]


async def test_what_was_let_go_late_is_kept_for_the_retention(relay: Relay) -> None:
    limits = retention(seconds=60)
    await relay.receive_many(2)
    await relay.publish(2)
    await relay.subscribe("billing", earliest=True)
    await relay.attempt("billing", failed(1, next_ms=T0 + 5), position=2)
    await prune(relay, T0, limits)
    await prune(relay, T0 + 60_000, limits)
    assert await kept(relay) == [1]
    ((id_, _),) = await relay.due("billing", T0 + 60_000)
    await relay.attempt("billing", delivered(1, id_=id_, at_ms=T0 + 100_000))

    await prune(relay, T0 + 160_000, limits)
    assert await kept(relay) == [1]
    (life,) = await relay.journal.inspect("m-1")
    assert [line.result for line in life.attempts] == ["retry", "delivered"]
    assert (await prune(relay, T0 + 160_250, limits)).attempts == 2
    assert await kept(relay) == []


async def test_the_history_of_attempts_goes_with_its_entries(relay: Relay) -> None:
    await relay.receive_many(3)
    await relay.publish(3)
    await relay.subscribe("billing", earliest=True)
    await relay.attempt("billing", *(delivered(seq) for seq in (1, 2, 3)), position=3)
    assert await prune(relay, T0, retention()) == Pruned(entries=3, attempts=3)


async def test_dead_letters_expire_by_callback(relay: Relay) -> None:
    await relay.receive_many(2)
    await relay.publish(2)
    for callback in ("billing", "crm"):
        await relay.subscribe(callback, earliest=True)
        await relay.attempt(callback, given_up(1, at_ms=T0), position=2)
    limits = Retention(0, 96 * 3600, {"billing": 60, "crm": 120}, 0)

    assert (await prune(relay, T0 + 250 + 59_999, limits)).dead_letters == 0
    assert (await prune(relay, T0 + 250 + 60_000, limits)).dead_letters == 1
    assert [letter.callback for letter in await relay.journal.list_dead_letters()] == ["crm"]
    assert await kept(relay) == [1]
    assert (await prune(relay, T0 + 250 + 120_000, limits)).dead_letters == 1
    assert await relay.dead() == []
    await prune(relay, T0 + 250 + 120_000, limits)
    assert await kept(relay) == []


async def test_ids_outlive_the_bodies_until_their_window_is_over(relay: Relay) -> None:
    await relay.receive_many(3, at_ms=T0)
    await relay.publish(3)
    window = retention(window=96 * 3600)
    assert await prune(relay, T0 + 96 * HOUR_MS, window) == Pruned(entries=3)
    assert await relay.receive_many(3, at_ms=T0 + 96 * HOUR_MS) == []

    assert (await prune(relay, T0 + 103 * HOUR_MS, window)).ids == 3
    assert [entry.seq for entry in await relay.receive_many(3, at_ms=T0 + 103 * HOUR_MS)] == [4, 5, 6]


async def test_the_sweep_over_many_ids_ends_and_rests(relay: Relay) -> None:
    for n in range(6):
        await relay.receive_many(2000, prefix=f"m{n}")
    assert (await prune(relay, T0 + 200 * HOUR_MS, retention())).ids == 12_000
    await relay.receive_many(1, at_ms=T0, prefix="again")
    assert (await prune(relay, T0 + 200 * HOUR_MS + 1, retention())).ids == 0
    assert (await prune(relay, T0 + 207 * HOUR_MS, retention())).ids == 1


async def test_fetches_stay_until_they_are_unpacked(relay: Relay) -> None:
    await relay.journal.append_fetch(relay.lease, SMS, fetch(b"keep me"), None)
    await prune(relay, T0 + 10**12, retention(min_free_bytes=SHORT))
    claimed = await relay.journal.claim_fetch(SMS, T0)
    assert claimed is not None
    assert claimed.fetch.body == b"keep me"


async def test_a_removed_callback_holds_for_the_retention_time_then_goes(relay: Relay) -> None:
    await relay.receive_many(4)
    await relay.publish(4)
    for callback in ("billing", "crm"):
        await relay.subscribe(callback, earliest=True)
    await relay.attempt("crm", position=4)
    await relay.store("billing", (2,), position=2)
    await relay.attempt("billing", given_up(1))
    active = [("crm", SMS)]

    assert await relay.journal.retire_subscriptions(active, T0, 60) == []
    await prune(relay, T0, retention())
    assert await kept(relay) == [1, 2, 3, 4]
    assert set((await relay.journal.figures(T0)).callbacks) == {"crm"}
    assert await relay.journal.retire_subscriptions(active, T0 + 59_999, 60) == []
    assert await relay.journal.retire_subscriptions(active, T0 + 60_000, 60) == [("billing", SMS)]
    await prune(relay, T0 + 60_000, retention())
    assert await kept(relay) == []
    assert await relay.dead() == []


async def test_a_callback_that_comes_back_in_time_goes_on(relay: Relay) -> None:
    await relay.receive_many(4)
    await relay.publish(4)
    await relay.subscribe("billing", earliest=True)
    await relay.attempt("billing", position=1)
    await relay.journal.retire_subscriptions([], T0, 60)
    assert await relay.subscribe("billing") == 1
    assert await relay.journal.retire_subscriptions([("billing", SMS)], T0 + 60_000, 60) == []
    await prune(relay, T0 + 60_000, retention())
    assert await kept(relay) == [2, 3, 4]


async def test_without_kafka_its_old_cursor_holds_nothing(reopen: Opener) -> None:
    relay = await own(await reopen())
    await relay.receive_many(3)
    await relay.publish(1)
    await relay.journal.close()
    relay = await own(await reopen(), kafka=False)
    await relay.subscribe("billing", earliest=True)
    await relay.attempt("billing", position=3)
    await prune(relay, T0, retention())
    assert await kept(relay) == []
    cursor = await relay.journal.local_cursor(SMS)
    assert cursor is not None
    assert cursor.position == 1


async def test_streams_are_pruned_apart(relay: Relay) -> None:
    voice = await own(relay.journal, VOICE)
    await relay.receive_many(2)
    await voice.receive_many(2)
    await voice.publish(2)
    await prune(relay, T0, retention())
    assert await kept(relay) == [1, 2]
    assert await relay.journal.read_stream(VOICE, 0, 10, 1000) == []


async def test_a_new_callback_begins_at_the_oldest_that_is_kept(relay: Relay) -> None:
    await relay.receive_many(5)
    await relay.publish(3)
    await prune(relay, T0, retention())
    assert await relay.subscribe("billing", earliest=True) == 3


async def test_a_short_disk_takes_history_before_its_time(relay: Relay) -> None:
    await relay.receive_many(4)
    await relay.publish(4)
    await relay.subscribe("billing", earliest=True)
    await relay.attempt("billing", *(delivered(seq) for seq in (1, 2, 3)), position=3)
    day = retention(seconds=86_400, min_free_bytes=SHORT)
    first = await relay.journal.prune(T0, day)
    assert (first.entries, first.attempts, first.dead_letters) == (3, 3, 0)
    assert await kept(relay) == [4]


async def test_what_went_before_its_time_is_told_apart_from_what_was_due(relay: Relay) -> None:
    await relay.receive(report("a"), report("b"))
    await relay.publish(2)
    await prune(relay, T0, retention(seconds=60))
    await relay.receive(report("c"), report("d"), report("e"), at_ms=T0 + 50_000)
    await relay.publish(5)

    pruned = await relay.journal.prune(T0 + 60_000, retention(seconds=60, min_free_bytes=SHORT))
    assert (pruned.entries, pruned.early, pruned.early_until_ms) == (5, 3, T0 + 50_000)


async def test_what_was_let_go_late_and_went_before_its_time_is_told(relay: Relay) -> None:
    await relay.receive_many(2)
    await relay.publish(2)
    await relay.subscribe("billing", earliest=True)
    await relay.attempt("billing", failed(1, next_ms=T0 + 5), position=2)
    await prune(relay, T0, retention(seconds=60))
    await prune(relay, T0 + 60_000, retention(seconds=60))
    ((id_, _),) = await relay.due("billing", T0 + 60_000)
    await relay.attempt("billing", delivered(1, id_=id_, at_ms=T0 + 100_000))

    pruned = await relay.journal.prune(T0 + 160_000, retention(seconds=60, min_free_bytes=SHORT))
    assert (pruned.entries, pruned.early, pruned.early_until_ms) == (1, 1, T0)


async def test_without_a_shortage_nothing_goes_before_its_time(relay: Relay) -> None:
    await relay.receive_many(2)
    await relay.publish(2)
    await prune(relay, T0, retention(seconds=60))
    pruned = await relay.journal.prune(T0 + 60_000, retention(seconds=60))
    assert (pruned.entries, pruned.early) == (2, 0)


async def test_bodies_that_are_needed_and_went_are_told(relay: Relay) -> None:
    await relay.receive_many(2)
    await relay.publish(2)
    await relay.subscribe("billing", earliest=True)
    pruned = await relay.journal.prune(T0, retention(seconds=60, min_free_bytes=SHORT))
    assert (pruned.early, pruned.dead_letters) == (2, 2)


async def test_then_bodies_that_kafka_holds_and_counts_them(relay: Relay) -> None:
    await relay.receive(
        report("a"), report("b", group=5), report("c"), Rejected("odd", b"?"), report("d"), report("e"), report("f")
    )
    await relay.publish(5)
    await relay.subscribe("billing", earliest=True, wanted=Wanted(frozenset({EntryType.REPORT}), frozenset({3})))
    await relay.subscribe("crm", earliest=True)
    await relay.attempt("crm", failed(1, next_ms=T0), position=7)
    await relay.attempt("crm", given_up(2, reason="gone"), delivered(3), delivered(5))
    await prune(relay, T0, retention(seconds=86_400, min_free_bytes=SHORT))

    assert await kept(relay) == [6, 7], "Kafka has not got these: they stay"
    reason = "disk full: the body was dropped, Kafka has it"
    assert sorted(await relay.dead("crm")) == [(("a",), reason), (("b",), "gone")]
    assert sorted(await relay.dead("billing")) == [(("a",), reason), (("c",), reason), (("d",), reason)]
    letters = await relay.journal.list_dead_letters()
    assert not any(letter.has_body for letter in letters)
    assert await relay.subscribe("billing") == 5
    assert await relay.due("crm", T0 + 10**9) == []
    figures = (await relay.journal.figures(T0)).callbacks
    assert (figures["billing"].dead_letters, figures["crm"].dead_letters) == (3, 2)
    assert await relay.journal.read_stream(SMS, 0, 1, 1000) != []


async def test_with_no_kafka_no_body_that_is_needed_goes(journal: SqliteJournal) -> None:
    relay = await own(journal, kafka=False)
    await relay.subscribe("billing", earliest=True)
    await relay.receive_many(3)
    await prune(relay, T0, retention(min_free_bytes=SHORT))
    assert await kept(relay) == [1, 2, 3]


async def test_old_quarantine_and_ended_gaps_are_forgotten(relay: Relay) -> None:
    await relay.receive(Rejected("odd", b"?"), at_ms=T0)
    await relay.journal.end_poll(relay.lease, SMS, T0, GapCause.TIMEOUT, success=False)
    await prune(relay, T0 + 30 * 24 * HOUR_MS, retention())
    assert len(await relay.journal.list_quarantine()) == 1
    await prune(relay, T0 + 30 * 24 * HOUR_MS + 1, retention())
    assert await relay.journal.list_quarantine() == []
    assert (await relay.journal.figures(T0)).streams[SMS].quarantine_entries == 0
    assert len(await relay.journal.list_gaps()) == 1, "an open gap is never forgotten"
