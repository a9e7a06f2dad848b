"""Replays: what a callback got before is sent again in parts, once, as it was sent, beside the live flow."""

import pytest

from relay.domain.replay import ReplayCount, ReplayRequest, ReplayState
from relay.domain.report import EntryType, Stream
from relay.journal.sqlite import SqliteJournal
from relay.ports import Fed, LeaseLost, ReplayOpen, Wanted
from tests.conformance.journals import (
    ALL,
    HOUR_MS,
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
from tests.conformance.replaying import ALWAYS, NOW, feed, followed, seqs_due, start


async def test_what_was_delivered_is_sent_again_and_the_cursor_stays(relay: Relay) -> None:
    await followed(relay, 3)
    run = await start(relay)
    assert (run.state, run.pending, run.dead, run.started_at_ms) == (ReplayState.RUNNING, 0, 0, NOW)
    assert not run.is_read
    assert await feed(relay, run) == Fed(3, more=False)
    assert await seqs_due(relay) == [(1,), (2,), (3,)]
    assert await relay.subscribe("billing") == 3

    found = await relay.journal.find_replay(run.id)
    assert found is not None
    assert found.is_read
    assert (found.pending, found.untried, found.spans[0].reports) == (3, 3, 3)
    assert await feed(relay, run) == Fed(0, more=False)
    assert len(await seqs_due(relay)) == 3


async def test_each_comes_with_a_fresh_age(relay: Relay) -> None:
    await followed(relay, 1)
    await feed(relay, await start(relay))
    (delivery,) = await relay.journal.due_deliveries("billing", SMS, NOW, 10, 1000, ())
    assert (delivery.attempts, delivery.created_at_ms, delivery.next_attempt_at_ms) == (0, NOW, NOW)


async def test_by_time_of_arrival_and_status_group(relay: Relay) -> None:
    await followed(relay, 5)
    await feed(relay, await start(relay, ReplayRequest("billing", T0 + 2000, T0 + 5000)))
    assert await seqs_due(relay) == [(2,), (3,), (4,)]


async def test_only_these_status_groups(relay: Relay) -> None:
    await followed(relay, 4)
    await relay.receive(report("none", group=None))
    await relay.attempt("billing", delivered(5), position=5)
    await feed(relay, await start(relay, ALWAYS._replace(status_groups=frozenset({2, 4}))))
    assert await seqs_due(relay) == [(2,), (4,)]
    (run,) = await relay.journal.list_replays()
    assert run.request.status_groups == frozenset({2, 4})


async def test_times_may_be_a_little_out_of_order(relay: Relay) -> None:
    times = [1000, 500_000, 2000, 3000, 900_000, 450_000, 901_000]
    for n, after_ms in enumerate(times):
        await relay.receive(report(f"m-{n}"), at_ms=T0 + after_ms)
    await relay.subscribe("billing", earliest=True)
    await relay.attempt("billing", position=7)
    await feed(relay, await start(relay, ReplayRequest("billing", T0 + 400_000, T0 + 600_000)))
    assert await seqs_due(relay) == [(2,), (6,)]


async def test_what_the_callback_does_not_want_is_left_out(relay: Relay) -> None:
    await relay.receive(report("a", "1:0"), report("a", "2:0"), report("b"))
    await relay.subscribe("billing", earliest=True)
    await relay.attempt("billing", position=3)
    await feed(relay, await start(relay), wanted=Wanted(frozenset({EntryType.REPORT})))
    assert await seqs_due(relay) == [(1,), (3,)]


async def test_what_is_after_the_cursor_is_left_to_the_live_flow(relay: Relay) -> None:
    await followed(relay, 4, position=2)
    run = await start(relay)
    assert await feed(relay, run) == Fed(2, more=False)
    assert await seqs_due(relay) == [(1,), (2,)]


async def test_what_waits_anyway_is_not_sent_twice(relay: Relay) -> None:
    await followed(relay, 3)
    await relay.attempt("billing", failed(2, next_ms=NOW + 5))
    run = await start(relay)
    await feed(relay, run)
    assert await seqs_due(relay) == [(1,), (3,)]
    (span,) = (await relay.journal.list_replays())[0].spans
    assert (span.reports, span.waiting) == (2, 1)


async def test_a_dead_letter_is_put_back_instead(relay: Relay) -> None:
    await followed(relay, 3)
    await relay.attempt("billing", given_up(2))
    (letter,) = await relay.journal.list_dead_letters()
    run = await start(relay)
    assert await feed(relay, run) == Fed(3, more=False)
    assert await relay.journal.list_dead_letters() == []
    assert (letter.id, (2,)) in await relay.due("billing", NOW)
    assert len(await relay.due("billing", NOW)) == 3


async def test_in_parts_and_resumed_after_the_process_died(reopen: Opener) -> None:
    relay = await own(await reopen())
    await followed(relay, 5)
    run = await start(relay)
    assert await feed(relay, run, most=2) == Fed(2, more=True)
    await relay.journal.close()

    relay = await own(await reopen())
    await relay.subscribe("billing")
    (run,) = await relay.journal.unfinished_replays()
    assert run.spans[0].position == 2
    assert await feed(relay, run, most=2) == Fed(2, more=True)
    assert await feed(relay, run, most=2) == Fed(1, more=False)
    assert await seqs_due(relay) == [(1,), (2,), (3,), (4,), (5,)]


async def test_a_revision_waits_for_the_one_before(relay: Relay) -> None:
    await relay.receive(report("a", "1:0"), report("a", "2:0"), report("b"))
    await relay.subscribe("billing", earliest=True)
    await relay.attempt("billing", position=3)
    run = await start(relay)
    await feed(relay, run, most=1)
    await feed(relay, run, most=5)
    assert await seqs_due(relay) == [(1,), (3,)]
    ((first, _), _) = await relay.due("billing", NOW)
    await relay.attempt("billing", delivered(1, id_=first, at_ms=NOW))
    assert await seqs_due(relay) == [(2,), (3,)]


# --- states ---


async def test_one_at_a_time_for_a_callback(relay: Relay) -> None:
    await followed(relay, 1)
    run = await start(relay)
    with pytest.raises(ReplayOpen) as refused:
        await relay.journal.start_replay(ALWAYS, NOW)
    assert refused.value.replay_id == run.id
    await relay.journal.set_replay_state(run.id, ReplayState.CANCELLED, NOW)
    assert (await start(relay)).id != run.id


async def test_a_callback_that_follows_nothing_has_nothing_to_replay(relay: Relay) -> None:
    await relay.receive_many(1)
    assert await relay.journal.start_replay(ALWAYS, NOW) is None
    await relay.subscribe("billing")
    assert await relay.journal.start_replay(ALWAYS._replace(kind="voice"), NOW) is None
    assert await relay.journal.list_replays() == []


async def test_paused_resumed_cancelled(relay: Relay) -> None:
    await followed(relay, 4)
    run = await start(relay)
    await feed(relay, run, most=1)
    paused = await relay.journal.set_replay_state(run.id, ReplayState.PAUSED, NOW)
    assert paused is not None
    assert paused.state is ReplayState.PAUSED
    assert await feed(relay, run) == Fed(0, more=False)
    await relay.journal.set_replay_state(run.id, ReplayState.RUNNING, NOW)
    assert await feed(relay, run, most=1) == Fed(1, more=True)

    cancelled = await relay.journal.set_replay_state(run.id, ReplayState.CANCELLED, NOW + 7)
    assert cancelled is not None
    assert (cancelled.state, cancelled.ended_at_ms) == (ReplayState.CANCELLED, NOW + 7)
    assert await feed(relay, run) == Fed(0, more=False)
    again = await relay.journal.set_replay_state(run.id, ReplayState.RUNNING, NOW + 8)
    assert again == cancelled
    assert await relay.journal.unfinished_replays() == []
    assert await seqs_due(relay) == [(1,), (2,)]
    assert await relay.journal.set_replay_state(99, ReplayState.PAUSED, NOW) is None


async def test_what_became_of_its_reports_is_told(relay: Relay) -> None:
    await followed(relay, 3)
    run = await start(relay)
    await feed(relay, run)
    (one, _), (two, _), (three, _) = await relay.due("billing", NOW)
    await relay.attempt(
        "billing",
        delivered(1, id_=one, at_ms=NOW),
        failed(2, id_=two, next_ms=NOW + 9, at_ms=NOW),
        given_up(3, id_=three, at_ms=NOW),
    )
    found = await relay.journal.find_replay(run.id)
    assert found is not None
    assert (found.pending, found.untried, found.dead) == (1, 0, 1)
    await relay.attempt("billing", delivered(2, id_=two, at_ms=NOW + 9))
    done = await relay.journal.set_replay_state(run.id, ReplayState.DONE, NOW + 10)
    assert done is not None
    await relay.journal.drop_dead_letters([three], NOW + 11)
    assert await relay.journal.find_replay(run.id) == done
    assert (done.pending, done.dead) == (0, 1)


async def test_only_the_owner_of_the_lease_feeds(relay: Relay) -> None:
    await followed(relay, 1)
    run = await start(relay)
    lost = await relay.journal.acquire_lease("replays")
    await relay.journal.acquire_lease("replays")
    with pytest.raises(LeaseLost):
        await relay.journal.feed_replay(lost, run, SMS, ALL, batch_size=1, most_reports=9, at_ms=NOW)
    assert await seqs_due(relay) == []


async def test_listed_newest_first_in_pages(relay: Relay) -> None:
    await followed(relay, 1)
    ids = []
    for _ in range(3):
        run = await start(relay)
        ids.append(run.id)
        await relay.journal.set_replay_state(run.id, ReplayState.CANCELLED, NOW)
    assert [run.id for run in await relay.journal.list_replays(limit=2)] == [ids[2], ids[1]]
    assert [run.id for run in await relay.journal.list_replays(before_id=ids[1])] == [ids[0]]


# --- all streams, and what they keep ---


async def test_over_all_streams_that_the_callback_follows(journal: SqliteJournal) -> None:
    sms, voice = await own(journal), await own(journal, VOICE)
    for relay in (sms, voice):
        await followed(relay, 2)
    run = await start(sms)
    assert [span.stream for span in run.spans] == [SMS, VOICE]
    await feed(voice, run)
    assert await seqs_due(sms) == []
    assert await seqs_due(voice) == [(1,), (2,)]
    await journal.set_replay_state(run.id, ReplayState.CANCELLED, NOW)
    assert [span.stream for span in (await start(sms, ALWAYS._replace(kind="sms"))).spans] == [SMS]


async def pruned(relay: Relay, at_ms: int) -> int:
    """How many entries go, if an hour's retention is over for what has been passed."""
    entries, more = 0, True
    while more:
        result = await relay.journal.prune(at_ms, retention(seconds=3600))
        entries, more = entries + result.entries, result.more
    return entries


async def test_what_it_is_still_to_come_to_is_not_pruned_at_once(relay: Relay) -> None:
    await followed(relay, 4)
    await relay.publish(4)
    assert await pruned(relay, NOW) == 0
    run = await start(relay)
    await feed(relay, run, most=1)
    assert await pruned(relay, NOW + HOUR_MS - 1) == 0
    assert await feed(relay, run, most=1) == Fed(1, more=True)
    assert await pruned(relay, NOW + HOUR_MS) == 2
    assert await feed(relay, run) == Fed(0, more=False)
    assert await seqs_due(relay) == [(1,), (2,)]
    (span,) = (await relay.journal.list_replays())[0].spans
    assert (span.reports, span.gone) == (2, 2)


async def test_a_replay_that_is_over_holds_nothing(relay: Relay) -> None:
    await followed(relay, 4)
    await relay.publish(4)
    await pruned(relay, NOW)
    run = await start(relay)
    await relay.journal.set_replay_state(run.id, ReplayState.CANCELLED, NOW)
    assert await pruned(relay, NOW + HOUR_MS) == 4


async def test_it_goes_with_the_callback(relay: Relay) -> None:
    await followed(relay, 2)
    run = await start(relay)
    await relay.journal.retire_subscriptions((), NOW, 0)
    await relay.journal.retire_subscriptions((), NOW + 1, 0)
    found = await relay.journal.find_replay(run.id)
    assert found is not None
    assert found.spans == ()
    assert found.is_read


async def test_ended_ones_are_forgotten_after_a_month(relay: Relay) -> None:
    await followed(relay, 1)
    run = await start(relay)
    await relay.journal.set_replay_state(run.id, ReplayState.CANCELLED, NOW)
    await relay.journal.prune(NOW + 30 * 24 * HOUR_MS, retention())
    assert len(await relay.journal.list_replays()) == 1
    await relay.journal.prune(NOW + 30 * 24 * HOUR_MS + 1, retention())
    assert await relay.journal.list_replays() == []


# --- what it would be ---


async def test_counted_beforehand(journal: SqliteJournal) -> None:
    sms, voice = await own(journal), await own(journal, VOICE)
    for relay in (sms, voice):
        await followed(relay, 5)
    await sms.attempt("billing", failed(2, next_ms=NOW), given_up(3))
    counts = await journal.count_replay(ReplayRequest("billing", T0 + 2000, T0 + 5000), ALL)
    assert counts == {SMS: ReplayCount(2, 1, 1), VOICE: ReplayCount(3, 0, 0)}
    assert await journal.count_replay(ALWAYS._replace(callback="crm"), ALL) == {}
    assert await journal.list_replays() == []
    assert len(await journal.list_dead_letters()) == 1


async def test_counted_in_steps(relay: Relay, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("relay.journal.replay_groups.MAX_SCANNED", 2)
    monkeypatch.setattr("relay.journal.sqlite_again.MAX_SCANNED", 2)
    await followed(relay, 5)
    assert await relay.journal.count_replay(ALWAYS, ALL) == {Stream("acme", "sms"): ReplayCount(5, 0, 0)}
    run = await start(relay)
    assert [await feed(relay, run) for _ in range(3)] == [Fed(2, more=True), Fed(2, more=True), Fed(1, more=False)]


async def test_what_was_pruned_is_told_as_where_the_history_begins(relay: Relay) -> None:
    of_all = ReplayRequest("billing", T0 - 10_000, T0 + 10_000)
    await relay.subscribe("billing", earliest=True)
    await relay.receive_many(2, prefix="old")
    await relay.attempt("billing", delivered(1), delivered(2), position=2)
    await relay.publish(2)
    assert await relay.journal.replay_history_from_ms(of_all) is None
    for at_ms in (T0 + 1, T0 + 2):
        await relay.journal.prune(at_ms, retention())
    await relay.receive_many(2, prefix="new", at_ms=T0 + 5_000)

    assert await relay.journal.replay_history_from_ms(of_all) == T0 + 5_000
    assert await relay.journal.replay_history_from_ms(of_all._replace(since_ms=T0 + 5_000)) is None
    assert await relay.journal.replay_history_from_ms(of_all._replace(kind="voice")) is None
