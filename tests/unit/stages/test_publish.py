"""The publish stage against Kafka and a journal in memory: one table of failures, each with what must follow."""

import time

import pytest
from msgspec.structs import replace

from relay.domain.report import Entry, EntryType, Origin
from relay.ports import (
    JournalFull,
    LeaseLost,
    LocalCursor,
    ProducerFenced,
    RecordsRefused,
    SinkError,
    SinkUnavailable,
    StreamBlocked,
    TransactionIndefinite,
)
from relay.stages.publish import publisher
from relay.stages.publish.batch import BATCH_ENTRIES
from tests.unit.stages.publish_fakes import DAY_MS, TOPICS, Rig


@pytest.fixture
def rig() -> Rig:
    return Rig()


def sample(rig: Rig, name: str, **labels: str) -> float | None:
    return rig.telemetry.registry.get_sample_value(name, labels)


async def test_publishes_the_stream_in_order_with_its_cursor(rig: Rig) -> None:
    rig.journal.add(3)

    assert await rig.publish.step() == 0
    await rig.publish.close()

    assert rig.kafka.seqs == [1, 2, 3]
    assert rig.kafka.cursor == 3
    assert rig.journal.cursor is not None
    assert (rig.journal.cursor.position, rig.journal.cursor.cluster_id) == (3, "cluster-1")
    assert sample(rig, "relay_records_published_total", topic=TOPICS.reports) == 3
    assert sample(rig, "relay_kafka_transactions_total", outcome="committed") == 1


async def test_confirms_the_cursor_before_it_reads_the_stream(rig: Rig) -> None:
    await rig.publish.step()

    assert rig.journal.confirmed == [0]
    assert rig.confirmations == 1


async def test_goes_on_after_what_kafka_has_when_the_copy_lags(rig: Rig) -> None:
    rig.journal.add(5)
    rig.journal.cursor = LocalCursor(1, "cluster-1", 0)
    rig.kafka.cursor = 3

    await rig.drain()

    assert rig.kafka.seqs == [4, 5]
    assert rig.kafka.tail_reads == 0


async def test_a_new_stream_gets_its_cursor_committed_at_once(rig: Rig) -> None:
    await rig.drain()

    assert rig.kafka.cursor == 0
    assert rig.kafka.transactions == [(0, 0)]


async def test_idle_it_commits_again_daily_and_not_more_often(rig: Rig) -> None:
    await rig.drain()
    rig.now_ms += DAY_MS - 1
    await rig.drain()
    assert rig.kafka.transactions == [(0, 0)]

    rig.now_ms += 1
    await rig.drain()

    assert rig.kafka.transactions == [(0, 0), (0, 0)]


async def test_reads_the_next_full_batch_while_one_commits(rig: Rig) -> None:
    rig.journal.add(BATCH_ENTRIES + 10)

    await rig.drain()

    assert rig.kafka.seqs == list(range(1, BATCH_ENTRIES + 11))
    assert rig.journal.reads.count(BATCH_ENTRIES) == 1


async def test_passes_over_entries_that_were_refused_before(rig: Rig) -> None:
    rig.journal.add(3)
    rig.journal.entries[2] = replace(rig.journal.entries[2], refused=True)

    await rig.drain()

    assert rig.kafka.seqs == [1, 3]
    assert rig.kafka.cursor == 3


# --- failures ---


@pytest.mark.parametrize(
    ("failure", "outcome"),
    [
        (SinkUnavailable("down"), "unavailable"),
        (StreamBlocked("no topic"), "blocked"),
        (TransactionIndefinite("no answer"), "indefinite"),
        (ProducerFenced("fenced"), "fenced"),
    ],
)
async def test_after_any_error_another_producer_reads_the_cursor(rig: Rig, failure: SinkError, outcome: str) -> None:
    rig.journal.add(2)
    rig.kafka.failures.extend([None, failure])
    await rig.publish.step()
    rig.journal.add(2)

    await rig.publish.step()
    assert rig.kafka.abandoned == 1
    await rig.drain()

    assert rig.kafka.seqs == [1, 2, 3, 4]
    assert rig.kafka.opened == 2
    assert rig.journal.confirmed == [0, 2]
    assert sample(rig, "relay_kafka_transactions_total", outcome=outcome) == 1
    assert rig.health.degraded == {}


async def test_a_commit_whose_answer_was_lost_is_not_repeated(rig: Rig) -> None:
    rig.journal.add(4)
    rig.kafka.unheard.append(TransactionIndefinite("no answer"))

    await rig.drain()

    assert rig.kafka.seqs == [1, 2, 3, 4]
    assert rig.kafka.cursor == 4


async def test_while_the_broker_is_down_it_waits_longer_each_time_and_says_so(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publisher.random, "random", lambda: 1.0)
    rig.kafka.open_failures.extend(SinkUnavailable("connection refused") for _ in range(10))
    waits = []

    for _ in range(10):
        rig.publish._wait_until = 0.0
        waits.append(await rig.publish.step())

    assert waits == [0.25, 0.5, 1, 2, 4, 8, 16, 30, 30, 30]
    assert rig.health.degraded == {"publish/acme/sms": "connection refused"}
    assert sample(rig, "relay_kafka_transactions_total", outcome="unavailable") == 10


async def test_new_entries_do_not_make_it_knock_sooner(rig: Rig) -> None:
    rig.kafka.open_failures.append(SinkUnavailable("down"))
    await rig.publish.step()
    rig.publish._wait_until = time.monotonic() + 10

    assert 9 < await rig.publish.step() <= 10
    assert rig.kafka.opened == 1


async def test_a_full_disk_does_not_stop_draining(rig: Rig) -> None:
    rig.journal.advance_errors.extend([JournalFull("no room"), JournalFull("no room")])
    rig.journal.add(2)
    await rig.publish.step()
    rig.journal.add(2)
    await rig.publish.step()
    rig.journal.add(2)

    await rig.drain()
    await rig.publish.close()

    assert rig.kafka.seqs == [1, 2, 3, 4, 5, 6]
    assert rig.journal.cursor is not None
    assert rig.journal.cursor.position == 6


async def test_a_lost_lease_ends_it_and_lets_the_producer_go(rig: Rig) -> None:
    rig.journal.add(1)

    def take_the_lease() -> None:
        rig.journal.lost = True

    rig.kafka.on_publish = take_the_lease
    await rig.publish.step()  # committed; that the copy of the cursor was refused is noticed with the next one
    rig.journal.add(1)

    with pytest.raises(LeaseLost):
        await rig.publish.step()

    assert rig.kafka.abandoned == 1


# --- poison ---


async def test_one_refused_record_is_found_by_halving_and_the_rest_flows(rig: Rig) -> None:
    rig.journal.add(8)
    rig.kafka.refuses = lambda record: record.seq == 6

    await rig.drain()

    assert rig.kafka.seqs == [1, 2, 3, 4, 5, 7, 8, 9]
    assert rig.journal.refused == [(6, "MESSAGE_TOO_LARGE")]
    assert rig.kafka.committed[-1].topic == TOPICS.quarantine
    assert rig.kafka.transactions[:6] == [(8, 8), (4, 4), (4, 8), (2, 6), (1, 5), (1, 6)]
    assert rig.kafka.opened == 5  # another producer after each of the four refusals


async def test_several_refused_records_are_all_found(rig: Rig) -> None:
    rig.journal.add(20)
    rig.kafka.refuses = lambda record: record.seq in (1, 2, 13, 20)

    await rig.drain()

    assert [seq for seq, _ in rig.journal.refused] == [1, 2, 13, 20]
    assert rig.kafka.seqs == [3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 14, 15, 16, 17, 18, 19, 21, 22, 23, 24]


async def test_a_refused_quarantine_entry_is_sent_again_without_its_bytes(rig: Rig) -> None:
    rig.journal.put(
        Entry(1, EntryType.QUARANTINE, "", 1, Origin.POLL, 1000, None, b'{"reason":"not JSON","bytes":"PGh0bWw+"}')
    )
    rig.kafka.refuses = lambda record: b"PGh0bWw+" in record.value

    await rig.drain()

    assert [record.value for record in rig.kafka.committed] == [b'{"reason":"not JSON","bytes":""}']


async def test_a_refusal_for_another_reason_never_fills_the_quarantine(rig: Rig) -> None:
    rig.journal.add(2)
    rig.kafka.failures.extend([StreamBlocked("INVALID_TIMESTAMP")] * 5)

    for _ in range(5):
        rig.publish._wait_until = 0.0
        await rig.publish.step()

    assert rig.journal.refused == []
    assert rig.kafka.transactions == [(2, 2)] * 5
    assert rig.health.degraded == {"publish/acme/sms": "INVALID_TIMESTAMP"}


async def test_a_refusal_without_records_is_no_reason_to_halve(rig: Rig) -> None:
    rig.kafka.failures.append(RecordsRefused("odd"))

    await rig.drain()

    assert rig.journal.refused == []
