"""Cursors as operators see them, and place them for another cluster."""

import pytest

from relay.domain.cursor import Begin, KafkaCursor
from relay.journal.sqlite import SqliteJournal
from relay.ports import CursorOutside
from tests.conformance.journals import SMS, T0, VOICE, Opener, Relay, own, report, retention

LATER = T0 + 60_000


async def pruned(relay: Relay, position: int) -> None:
    """Published and pruned up to there."""
    await relay.publish(position)
    for at_ms in (T0, T0 + 1):
        await relay.journal.prune(at_ms, retention())


async def test_only_streams_that_came_to_kafka_have_a_cursor(journal: SqliteJournal) -> None:
    assert await journal.kafka_cursors() == []
    await own(journal, VOICE, kafka=False)
    assert await journal.kafka_cursors() == []
    assert await journal.place_kafka_cursor(VOICE, Begin.KEPT, LATER) is None
    assert await journal.place_kafka_cursor(SMS, 0, LATER) is None

    relay = await own(journal, SMS)
    await relay.receive_many(3)
    await relay.publish(2)
    assert await journal.kafka_cursors() == [KafkaCursor(SMS, 2, "cluster", T0, last_seq=3, earliest=0)]


async def test_cursors_stand_by_source_and_kind(relay: Relay) -> None:
    await own(relay.journal, VOICE)
    assert [cursor.stream for cursor in await relay.journal.kafka_cursors()] == [SMS, VOICE]


@pytest.mark.parametrize(("begin", "position"), [(Begin.KEPT, 4), (Begin.EARLIEST, 2), (2, 2), (3, 3), (6, 6)])
async def test_it_is_placed_for_whichever_cluster_comes(relay: Relay, begin: int | Begin, position: int) -> None:
    await relay.receive_many(6)
    await pruned(relay, 2)
    await relay.publish(4)

    placed = await relay.journal.place_kafka_cursor(SMS, begin, LATER)

    assert placed == KafkaCursor(SMS, position, None, LATER, last_seq=6, earliest=2)
    assert await relay.journal.kafka_cursors() == [placed]
    assert await relay.journal.local_cursor(SMS) == (position, None, LATER)


async def test_what_is_placed_lasts_until_a_cluster_takes_it_up(reopen: Opener) -> None:
    relay = await own(await reopen())
    await relay.receive_many(3)
    await relay.publish(3)
    await relay.journal.place_kafka_cursor(SMS, 1, LATER)
    await relay.journal.close()

    journal = await reopen()
    assert await journal.local_cursor(SMS) == (1, None, LATER)
    await own(journal, position=1)
    assert await journal.local_cursor(SMS) == (1, "cluster", T0)


@pytest.mark.parametrize("begin", [0, 1, 7, 10**30])
async def test_beyond_what_the_journal_holds_nothing_is_changed(relay: Relay, begin: int) -> None:
    await relay.receive_many(6)
    await pruned(relay, 2)
    await relay.publish(4)
    with pytest.raises(CursorOutside) as outside:
        await relay.journal.place_kafka_cursor(SMS, begin, LATER)
    assert (outside.value.earliest, outside.value.last_seq) == (2, 6)
    assert await relay.journal.local_cursor(SMS) == (4, "cluster", T0)


async def test_what_was_given_up_while_there_was_no_kafka_cannot_follow(relay: Relay) -> None:
    await relay.receive_many(3)
    await relay.publish(1)
    await relay.journal.confirm_without_kafka(relay.lease, SMS)
    await relay.subscribe("billing")
    for at_ms in (T0, T0 + 1):
        await relay.journal.prune(at_ms, retention())
    with pytest.raises(CursorOutside):
        await relay.journal.place_kafka_cursor(SMS, Begin.KEPT, LATER)

    placed = await relay.journal.place_kafka_cursor(SMS, Begin.EARLIEST, LATER)

    assert placed is not None
    assert (placed.position, placed.last_seq, placed.earliest) == (3, 3, 3)


async def test_set_back_it_holds_pruning_and_counts_as_unpublished(relay: Relay) -> None:
    await relay.receive_many(6)
    await relay.publish(6)
    await relay.journal.confirm_without_kafka(relay.lease, SMS)

    await relay.journal.place_kafka_cursor(SMS, 2, LATER)

    assert (await relay.journal.pressure(SMS)).unpublished == 4
    for at_ms in (LATER, LATER + 1):
        await relay.journal.prune(at_ms, retention())
    assert [entry.seq for entry in await relay.journal.read_stream(SMS, 2, 10, 1 << 20)] == [3, 4, 5, 6]
    (entry,) = await relay.receive(report("next"))
    assert entry.seq == 7
