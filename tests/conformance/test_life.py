"""What is known of one report: how it came, when Kafka had it, what is left when it is pruned."""

from relay.domain.history import Arrival, Remembered
from relay.domain.report import Decoded, GapCause, Origin
from relay.journal.sqlite import SqliteJournal
from tests.conformance.journals import HOUR_MS, SMS, T0, Relay, fetch, own, report, retention


async def test_a_life_knows_the_fetch_the_transaction_and_the_gap(relay: Relay) -> None:
    await relay.receive(report("a"), report("b"))
    await relay.publish(1, T0 + 5)
    await relay.receive(report("c"), at_ms=T0 + 9000, origin=Origin.PUSH)
    await relay.publish(3, T0 + 9005)
    await relay.publish(3, T0 + 99_000)  # said again every day

    (a,), (b,), (c,) = [await relay.journal.inspect(message_id) for message_id in "abc"]
    assert a.arrival == Arrival(1, T0 - 100, T0, 200, True)
    assert b.arrival == a.arrival
    assert c.arrival == Arrival(2, T0 + 8900, T0 + 9000, 200, True)
    assert [life.published_at_ms for life in (a, b, c)] == [T0 + 5, T0 + 9005, T0 + 9005]
    assert (a.gaps, c.recording) == ((), None)


async def test_a_life_without_kafka(journal: SqliteJournal) -> None:
    relay = await own(journal, kafka=False)
    await relay.receive(report("a"))
    (life,) = await journal.inspect("a")
    assert (life.kafka_position, life.published_at_ms) == (None, None)


async def test_a_report_of_a_body_cut_short_names_the_gap_that_it_opened(relay: Relay) -> None:
    await relay.journal.append_fetch(relay.lease, SMS, fetch()._replace(complete=False), GapCause.TRUNCATED)
    claimed = await relay.journal.claim_fetch(SMS, T0)
    assert claimed is not None
    await relay.journal.record_reports(claimed, Decoded([report("a")], False), None)
    (life,) = await relay.journal.inspect("a")
    assert life.arrival is not None
    assert not life.arrival.complete
    assert [gap.cause for gap in life.gaps] == [GapCause.TRUNCATED]
    await relay.receive(report("b"), at_ms=T0 + 1)
    (life,) = await relay.journal.inspect("b")
    assert life.gaps == ()


async def test_what_is_pruned_is_remembered_for_a_while(relay: Relay) -> None:
    await relay.receive(report("a", "1:0", final=False), report("a", "2:0"), at_ms=T0)
    await relay.publish(2)
    await relay.journal.prune(T0, retention())
    await relay.journal.prune(T0 + 1, retention())
    assert await relay.journal.inspect("a") == []
    hour_ms = T0 // HOUR_MS * HOUR_MS
    assert await relay.journal.remembered("a") == [Remembered(SMS, 2, 2, hour_ms)]
    assert await relay.journal.remembered("b") == []
