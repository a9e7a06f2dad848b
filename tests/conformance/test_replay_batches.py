"""Replays of what was sent in batches."""

from relay.domain.replay import ReplayRequest
from relay.ports import Fed
from tests.conformance.journals import (
    T0,
    Relay,
    delivered,
    given_up,
    report,
)
from tests.conformance.replaying import NOW, feed, followed, seqs_due, start


async def test_batches_come_as_they_were_sent(relay: Relay) -> None:
    await relay.receive_many(8)
    await relay.subscribe("billing", earliest=True)
    await relay.attempt("billing", delivered(1, 2, 3), delivered(4), delivered(5, 7), position=8)
    await feed(relay, await start(relay), batch_size=5)
    assert sorted(await seqs_due(relay)) == [(1, 2, 3), (4,), (5, 7), (6, 8)]


async def test_a_batch_is_not_torn_by_time_or_by_parts(relay: Relay) -> None:
    await followed(relay, 6, position=0)
    await relay.attempt("billing", delivered(1, 2, 3), delivered(4, 5, 6), position=6)
    run = await start(relay, ReplayRequest("billing", T0 + 3000, T0 + 5000))
    assert await feed(relay, run, most=1, batch_size=3) == Fed(3, more=True)
    assert await seqs_due(relay) == [(1, 2, 3)]
    assert await feed(relay, run, most=1, batch_size=3) == Fed(3, more=False)
    assert sorted(await seqs_due(relay)) == [(1, 2, 3), (4, 5, 6)]


async def test_what_was_never_sent_fills_batches_anew(relay: Relay) -> None:
    await relay.receive_many(5)
    await relay.subscribe("billing")
    await feed(relay, await start(relay), batch_size=2)
    assert sorted(await seqs_due(relay)) == [(1, 2), (3, 4), (5,)]


async def test_a_dead_batch_is_put_back_whole(relay: Relay) -> None:
    await relay.receive_many(3)
    await relay.subscribe("billing", earliest=True)
    (batch,) = await relay.store("billing", (1, 2, 3), position=3)
    await relay.attempt("billing", given_up(1, 2, 3, id_=batch))
    assert await feed(relay, await start(relay), batch_size=3) == Fed(3, more=False)
    assert await relay.due("billing", NOW) == [(batch, (1, 2, 3))]


async def test_batches_with_revisions_wait_in_order_and_never_for_each_other(relay: Relay) -> None:
    await relay.receive(
        report("a", "1:0"), report("b", "1:0"), report("a", "2:0"), report("b", "2:0"), report("c"), report("a", "3:0")
    )
    await relay.subscribe("billing", earliest=True)
    # 3 and 6 in one POST, and 4, 5 within: neither lies wholly before the other.
    await relay.attempt("billing", delivered(1, 2), delivered(3, 6), delivered(4, 5), position=6)
    await feed(relay, await start(relay), batch_size=9)
    assert await seqs_due(relay) == [(1, 2)]
    ((first, _),) = await relay.due("billing", NOW)
    await relay.attempt("billing", delivered(1, 2, id_=first, at_ms=NOW))
    assert sorted(await seqs_due(relay)) == [(3, 6), (4, 5)]
