"""Invariant 1 with a real journal and a real broker: each report once for a read_committed reader, whatever happens."""

import os
import shutil
from pathlib import Path

import orjson
import pytest

from relay.ports import ProducerFenced
from relay.stages.publish.fencing import FIRST_WAIT_SECONDS
from relay.stages.publish.publisher import STOPPED_SECONDS
from tests.integration.kafka_rig import Place
from tests.integration.publish_rig import confirmed, names, running
from tests.kafka import proxy as api
from tests.kafka.broker import Cluster
from tests.kafka.proxy import KafkaProxy
from tests.kafka.reader import committed_offset, count_keys, delete_committed_offset, read_committed

pytestmark = pytest.mark.kafka


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "relay.db"


def seen(kafka: Cluster, place: Place) -> dict[str, int]:
    return dict(count_keys(read_committed(kafka.bootstrap_servers, place.topics.reports)))


def once(*spans: tuple[int, int]) -> dict[str, int]:
    return {name: 1 for span in spans for name in names(*span)}


async def test_many_reports_each_once(kafka: Cluster, place: Place, path: Path) -> None:
    async with running(path, place) as relay:
        await confirmed(relay)
        for first in range(1, 10_001, 1000):
            await relay.receive(names(first, first + 999))
            await relay.receive(names(first, first + 99))  # duplicates

        await relay.drain()

    assert seen(kafka, place) == once((1, 10_000))
    assert committed_offset(kafka.bootstrap_servers, place.group, place.config.cursor_topic) == 10_001


async def test_killed_after_the_commit_before_the_local_copy_nothing_is_sent_again(
    kafka: Cluster, place: Place, path: Path
) -> None:
    async with running(path, place) as relay:
        await confirmed(relay)
        await relay.receive(names(1, 50))
        entries = await relay.journal.read_stream(place.stream, 0, 100, 1 << 20)
        await relay.sink.publish(place.envelope.records(entries), 50)

    async with running(path, place) as relay:
        await relay.drain()
        await relay.receive(names(51, 60))
        await relay.drain()

    assert seen(kafka, place) == once((1, 60))


async def test_the_answer_to_a_commit_is_lost(kafka: Cluster, place: Place, path: Path, proxy: KafkaProxy) -> None:
    async with running(path, place.via(proxy.bootstrap_servers), deadline_seconds=3) as relay:
        await confirmed(relay)
        await relay.receive(names(1, 50))
        proxy.lose_answers.add(api.END_TXN)
        await relay.step_until(lambda _: bool(relay.health.degraded))
        proxy.lose_answers.clear()

        await relay.receive(names(51, 60))
        await relay.drain()

    assert seen(kafka, place) == once((1, 60))


async def test_sends_fail_inside_a_transaction(kafka: Cluster, place: Place, path: Path, proxy: KafkaProxy) -> None:
    async with running(path, place.via(proxy.bootstrap_servers), deadline_seconds=3) as relay:
        await confirmed(relay)
        await relay.receive(names(1, 50))
        proxy.lose_answers.add(api.PRODUCE)
        await relay.step_until(lambda _: bool(relay.health.degraded))
        proxy.lose_answers.clear()

        await relay.drain()

    assert seen(kafka, place) == once((1, 50))


async def test_a_record_too_large_goes_to_quarantine_and_the_rest_flows(
    kafka: Cluster, place: Place, path: Path
) -> None:
    async with running(path, place) as relay:
        await confirmed(relay)
        await relay.receive(names(1, 10))
        await relay.receive(["large"], value=os.urandom(1_200_000))
        await relay.receive(names(11, 20))

        await relay.drain()
        await relay.receive(names(21, 30))
        await relay.drain()

    assert seen(kafka, place) == once((1, 30))
    (refused,) = read_committed(kafka.bootstrap_servers, place.topics.quarantine)
    value = orjson.loads(refused.value)
    assert refused.key == b"acme/sms"
    assert (value["size"], len(value["bytes"])) == (1_200_000, 87_384)  # 64 KiB in base64
    assert "MESSAGE_SIZE_TOO_LARGE" in value["reason"]


async def test_the_cursor_was_deleted_the_tail_decides(kafka: Cluster, place: Place, path: Path) -> None:
    async with running(path, place) as relay:
        await confirmed(relay)
        await relay.receive(names(1, 500))
        await relay.drain()
    delete_committed_offset(kafka.bootstrap_servers, place.group, place.config.cursor_topic)

    async with running(path, place) as relay:
        await relay.drain()
        assert committed_offset(kafka.bootstrap_servers, place.group, place.config.cursor_topic) == 501
        await relay.receive(names(501, 600))
        await relay.drain()

    assert seen(kafka, place) == once((1, 600))


async def test_a_journal_from_a_backup_learns_what_kafka_has(kafka: Cluster, place: Place, path: Path) -> None:
    async with running(path, place) as relay:
        await confirmed(relay)
        await relay.receive(names(1, 100))
        await relay.drain()
    backup = path.with_name("backup.db")
    shutil.copy(path, backup)
    async with running(path, place) as relay:
        await relay.drain()
        await relay.receive(names(101, 300))
        await relay.drain()

    async with running(backup, place) as relay:
        await relay.drain()
        await relay.receive(names(250, 310))  # known again, up to 300
        await relay.drain()

    assert seen(kafka, place) == once((1, 310))
    seqs = [read.relay_seq for read in read_committed(kafka.bootstrap_servers, place.topics.reports)]
    assert sorted(seqs) == list(range(1, 311))


async def test_backup_and_lost_cursor_together(kafka: Cluster, place: Place, path: Path) -> None:
    async with running(path, place) as relay:
        await confirmed(relay)
        await relay.receive(names(1, 100))
        await relay.drain()
    backup = path.with_name("backup.db")
    shutil.copy(path, backup)
    async with running(path, place) as relay:
        await relay.drain()
        await relay.receive(names(101, 150))
        await relay.drain()
    delete_committed_offset(kafka.bootstrap_servers, place.group, place.config.cursor_topic)

    async with running(backup, place) as relay:
        await relay.drain()
        await relay.receive(names(120, 160))
        await relay.drain()

    assert seen(kafka, place) == once((1, 160))


async def test_a_second_producer_is_survived_and_one_that_comes_again_is_left_the_id_for_a_while(
    kafka: Cluster, place: Place, path: Path
) -> None:
    async with running(path, place) as relay:
        await confirmed(relay)
        await relay.receive(names(1, 10))
        await relay.drain()
        rival = await place.open_sink()
        await relay.receive(names(11, 20))
        await relay.drain()
        assert seen(kafka, place) == once((1, 20))

        await rival.open()
        await relay.receive(names(21, 30))
        await relay.step_until(lambda wait_seconds: wait_seconds == FIRST_WAIT_SECONDS)
        assert "another producer uses the same transactional id" in relay.health.degraded["publish/acme/sms"]
        await rival.publish([], 20)  # nobody took the id back yet

        await relay.step_until(lambda wait_seconds: wait_seconds >= 5)
        with pytest.raises(ProducerFenced):
            await rival.publish([], 20)
    assert seen(kafka, place) == once((1, 30))


@pytest.mark.parametrize("own", [20, 50, 90])
async def test_relays_on_copies_of_one_journal_lose_nothing_once_one_is_left(
    kafka: Cluster, place: Place, path: Path, own: int
) -> None:
    """Each gives the same seqs to what it has read itself. `own`: less than what the other published, as much, more."""
    async with running(path, place) as relay:
        await confirmed(relay)
        await relay.receive(names(1, 50))
        await relay.drain()
    copy = path.with_name("copy.db")
    shutil.copy(path, copy)
    async with running(path, place) as first:
        await first.drain()
        async with running(copy, place) as second:
            await second.drain()
            await second.receive(names(101, 150))
            await second.drain()
        await first.receive(names(201, 200 + own))
        await first.step_until(lambda wait_seconds: wait_seconds == STOPPED_SECONDS)
        assert "somebody else publishes this stream" in first.health.degraded["publish/acme/sms"]

    async with running(path, place) as relay:
        await relay.drain()
        await relay.receive([*names(140, 150), *names(200 + own, 205 + own)])  # duplicates, and five that are new
        await relay.drain()

    assert seen(kafka, place) == once((1, 50), (101, 150), (201, 205 + own))


async def test_another_cluster_waits_for_an_operator(kafka: Cluster, place: Place, path: Path) -> None:
    async with running(path, place) as relay:
        await confirmed(relay)
        await relay.receive(names(1, 10))
        await relay.drain()
        await relay.publish.close()
        await relay.journal.advance(relay.lease, place.stream, 10, "another-cluster", 0)
        await relay.receive(names(11, 20))

        await relay.step_until(lambda _: bool(relay.health.degraded))

    assert "another-cluster" in relay.health.degraded["publish/acme/sms"]
    assert seen(kafka, place) == once((1, 10))


async def test_a_missing_topic_waits_and_then_nothing_is_skipped(kafka: Cluster, place: Place, path: Path) -> None:
    async with running(path, place) as relay:
        await confirmed(relay)
        await relay.receive(names(1, 10))
        await relay.drain()
    strict = place.changed(create_topics=None)
    kafka.delete_topics(place.topics.revisions)
    async with running(path, strict) as relay:
        await relay.step_until(lambda _: bool(relay.health.degraded))
        assert place.topics.revisions in relay.health.degraded["publish/acme/sms"]
        kafka.create_topics(place.topics.revisions)

        await relay.drain()
        await relay.receive(names(11, 20))
        await relay.drain()

    assert seen(kafka, place) == once((1, 20))


async def test_without_transactions_the_journal_keeps_the_cursor(kafka: Cluster, place: Place, path: Path) -> None:
    idempotent = place.changed(delivery="idempotent")
    async with running(path, idempotent) as relay:
        await confirmed(relay)
        await relay.receive(names(1, 100))
        await relay.drain()
    async with running(path, idempotent) as relay:
        await confirmed(relay)
        await relay.receive(names(101, 200))
        await relay.drain()

    assert seen(kafka, place) == once((1, 200))
    assert committed_offset(kafka.bootstrap_servers, idempotent.group, place.config.cursor_topic) is None
