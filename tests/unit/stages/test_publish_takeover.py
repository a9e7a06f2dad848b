"""Where publishing begins: after a start, with a cursor gone, a journal restored or copied, in another cluster."""

import pytest
from msgspec.structs import replace

from relay.domain.adoption import Note
from relay.ports import LocalCursor, ProducerFenced, Record
from tests.unit.stages.publish_fakes import ENVELOPE, Rig


@pytest.fixture
def rig() -> Rig:
    return Rig()


async def test_a_missing_cursor_is_found_in_the_tail(rig: Rig) -> None:
    rig.journal.add(5)
    rig.kafka.committed = ENVELOPE.records([rig.journal.entries[seq] for seq in (1, 2, 3)])
    rig.journal.cursor = LocalCursor(2, "cluster-1", 0)

    await rig.drain()

    assert rig.kafka.seqs == [1, 2, 3, 4, 5]
    assert rig.kafka.tail_reads == 1


async def test_another_cluster_is_not_published_to_until_an_operator_says_where_to_begin(rig: Rig) -> None:
    rig.journal.add(3)
    rig.journal.cursor = LocalCursor(2, "cluster-0", 0)
    await rig.publish.step()
    assert rig.kafka.transactions == []
    assert rig.journal.confirmed == []
    reason = rig.health.degraded["publish/acme/sms"]
    assert "cluster-0" in reason
    assert "`relay cursor set acme/sms --after kept`" in reason
    assert "`--after earliest`" in reason

    rig.journal.cursor = LocalCursor(2, None, 0)
    await rig.drain()

    assert rig.kafka.seqs == [3]


async def test_where_to_begin_in_another_cluster_is_no_doubt_about_who_publishes(rig: Rig) -> None:
    rig.journal.add(3)
    await rig.drain()
    rig.journal.add(1)
    rig.kafka.failures.append(ProducerFenced("fenced"))
    await rig.publish.step()
    rig.kafka.name, rig.kafka.committed, rig.kafka.cursor, rig.kafka.noted = "cluster-2", [], None, None
    rig.publish._wait_until = 0.0
    await rig.publish.step()
    assert "cluster-2" in rig.health.degraded["publish/acme/sms"]

    rig.journal.cursor = LocalCursor(0, None, 0)  # an operator: all that is there
    await rig.drain()

    assert rig.kafka.seqs == [1, 2, 3, 4]


async def test_a_journal_from_a_backup_reads_back_what_kafka_has(rig: Rig) -> None:
    rig.journal.add(7)
    rig.kafka.committed = ENVELOPE.records(rig.journal.entries.values())
    rig.kafka.cursor = 7
    rig.journal.entries = {seq: rig.journal.entries[seq] for seq in (1, 2, 3)}
    rig.journal.next_seq = 4
    rig.journal.cursor = LocalCursor(2, "cluster-1", 0)

    await rig.drain()

    assert [record.seq for record in rig.journal.adopted] == [4, 5, 6, 7]
    assert [record.message_id for record in rig.journal.adopted] == ["id-4", "id-5", "id-6", "id-7"]
    assert rig.journal.next_seq == 8
    rig.journal.add(1)
    await rig.drain()
    assert rig.kafka.seqs == [1, 2, 3, 4, 5, 6, 7, 8]


async def parted(rig: Rig, mine: int, theirs: int) -> list[Record]:
    """Both published two; then each gave the same seqs to what it had read itself, and theirs is in Kafka."""
    rig.journal.add(2)
    await rig.drain()
    copy = Rig()
    copy.journal.add(2 + theirs)
    others = [replace(entry, message_id=f"their-{entry.seq}", value=b'{"text":"%d"}' % entry.seq)
              for entry in copy.journal.entries.values() if entry.seq > 2]  # fmt: skip
    records = ENVELOPE.records(others)
    rig.kafka.committed.extend(records)
    rig.kafka.cursor = 2 + theirs
    rig.kafka.noted = Note.of_record(records[-1])
    rig.journal.add(mine)
    return records


@pytest.mark.parametrize(("mine", "theirs"), [(2, 4), (4, 4), (6, 4), (1, 1)])
async def test_what_somebody_else_published_from_a_copy_displaces_nothing_that_is_then_lost(
    rig: Rig, mine: int, theirs: int
) -> None:
    await parted(rig, mine, theirs)
    own = [entry.message_id for entry in rig.journal.entries.values()]

    again = rig.another()
    await rig.drain(again)

    keys = [record.key.decode() for record in rig.kafka.committed]
    assert sorted(keys) == sorted([*own, *(f"their-{seq}" for seq in range(3, 3 + theirs))])
    assert len(set(rig.kafka.seqs)) == len(rig.kafka.seqs)
    assert rig.kafka.cursor == max(rig.kafka.seqs)


async def test_what_both_have_read_is_not_published_twice(rig: Rig) -> None:
    """A fetch that was in the journal when it was copied, unpacked by both, at other places."""
    (first, second, *_) = await parted(rig, 3, 4)
    for seq, record in ((3, second), (5, first)):
        entry = rig.journal.entries[seq]
        rig.journal.entries[seq] = replace(entry, message_id=record.key.decode(), value=record.value)

    await rig.drain(rig.another())

    keys = [record.key.decode() for record in rig.kafka.committed]
    assert sorted(keys) == ["id-1", "id-2", "id-4", "their-3", "their-4", "their-5", "their-6"]


async def test_a_copy_of_the_cursor_that_lags_behind_the_same_entries_reads_nothing_back(rig: Rig) -> None:
    rig.journal.add(5)
    await rig.drain()
    rig.journal.cursor = LocalCursor(2, "cluster-1", 0)
    rig.kafka.committed = []

    await rig.drain(rig.another())

    assert rig.journal.adopted == []
    assert rig.kafka.committed == []


async def test_records_that_the_topics_no_longer_hold_still_count_as_given(rig: Rig) -> None:
    rig.kafka.cursor = 7

    await rig.drain()

    assert rig.journal.adopted == []
    assert rig.journal.next_seq == 8


async def test_without_transactions_the_journals_copy_is_the_cursor(rig: Rig) -> None:
    rig.journal.add(3)
    rig.journal.cursor = LocalCursor(1, "cluster-1", 0)
    publish = rig.another(transactional=False)

    await rig.drain(publish)

    assert rig.kafka.seqs == [2, 3]
    assert rig.kafka.tail_reads == 0
    assert rig.journal.cursor is not None
    assert rig.journal.cursor.position == 3
