"""What `relay check` says of Kafka, asked of librdkafka's mock cluster: it answers metadata as a broker does."""

import gc
from collections.abc import Iterator
from typing import Any

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient

from relay.cli.finding import Finding, State
from relay.cli.kafka_check import kafka_findings
from relay.config import Config


@pytest.fixture(scope="module")
def cluster() -> Iterator[tuple[AdminClient, str]]:
    admin = AdminClient({"test.mock.num.brokers": 1, "log_level": 0})
    broker = next(iter(admin.list_topics(timeout=10).brokers.values()))
    yield admin, f"{broker.host}:{broker.port}"
    del admin
    gc.collect()


def config(servers: str, **kafka: Any) -> Config:
    return Config.model_validate(
        {
            "sources": [
                {"name": "a", "base_url": "http://x", "auth": {"type": "bearer", "token": "t"}, "endpoints": ["sms"]}
            ],
            "journal": {"url": "sqlite:////tmp/relay.db"},
            "kafka": {"bootstrap_servers": servers, **kafka},
        }
    )


async def test_topics_that_exist_and_one_that_does_not(cluster: tuple[AdminClient, str]) -> None:
    _, servers = cluster
    producer = Producer({"bootstrap.servers": servers})
    for topic in ("one.sms", "one.sms.r", "one.q"):
        producer.produce(topic, b"makes the topic, with 4 partitions")
    assert producer.flush(20) == 0
    settings = {"topic": "one.{kind}", "revisions_topic": "one.{kind}.r", "quarantine_topic": "one.q"}
    found = await kafka_findings(config(servers, cursor_topic="one.cursors", **settings))
    assert found[0] == Finding(f"kafka {servers}", State.OK, "1 brokers")
    assert found[1:5] == [
        Finding("topic one.sms", State.OK, "4 partitions"),
        Finding("topic one.sms.r", State.OK, "4 partitions"),
        Finding("topic one.q", State.OK, "4 partitions"),
        Finding("topic one.cursors", State.FAILED, "does not exist; create it, or set kafka.create_topics"),
    ]
    assert [finding.what for finding in found[5:]] == ["transactional ids relay.*", "groups relay.*"]


async def test_asking_creates_no_topic(cluster: tuple[AdminClient, str]) -> None:
    admin, servers = cluster
    await kafka_findings(config(servers, topic="never.{kind}", cursor_topic="never.cursors"))
    assert not [name for name in admin.list_topics(timeout=10).topics if name.startswith("never")]


async def test_missing_topics_are_well_if_they_will_be_created(cluster: tuple[AdminClient, str]) -> None:
    _, servers = cluster
    found = await kafka_findings(config(servers, create_topics={}, topic="later.{kind}"))
    assert Finding("topic later.sms", State.OK, "will be created") in found


async def test_idempotent_delivery_needs_neither_cursor_nor_transactions(cluster: tuple[AdminClient, str]) -> None:
    _, servers = cluster
    found = await kafka_findings(config(servers, delivery="idempotent", create_topics={}))
    assert [finding.what for finding in found[1:]] == [
        "topic infobip.sms.reports",
        "topic infobip.sms.revisions",
        "topic infobip.quarantine",
    ]


async def test_the_topic_of_recordings_is_looked_up_where_they_are_enabled(cluster: tuple[AdminClient, str]) -> None:
    _, servers = cluster
    without = config(servers, create_topics={})
    source = without.sources[0]
    enabled = source.model_copy(update={"recordings": source.recordings.model_copy(update={"enabled": True})})
    found = await kafka_findings(without.model_copy(update={"sources": (enabled,)}))
    assert "topic infobip.voice.recordings" in [finding.what for finding in found]


async def test_a_cluster_that_is_away() -> None:
    (found,) = await kafka_findings(config("127.0.0.1:1"))
    assert found == Finding(
        "kafka 127.0.0.1:1",
        State.FAILED,
        "cannot connect to Kafka at 127.0.0.1:1: connection refused; check kafka.bootstrap_servers, and that the "
        "brokers run",
    )


async def test_no_kafka_no_findings() -> None:
    without = config("x").model_copy(update={"kafka": None})
    assert await kafka_findings(without) == []
