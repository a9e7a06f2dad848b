"""Whether Kafka can be reached and lets the relay work: topics and coordinators are looked up, nothing is written."""

import asyncio
from collections.abc import Iterator
from typing import Any, NamedTuple

from aiokafka import errors
from aiokafka.protocol.coordination import FindCoordinatorRequest
from aiokafka.protocol.metadata import MetadataRequest

from relay.cli.finding import Finding, State
from relay.config import Config, KafkaConfig
from relay.domain.recordings import RECORDED_KIND
from relay.ports import SinkError, SinkUnavailable
from relay.sinks.kafka_client import StreamClient
from relay.sinks.kafka_errors import translate
from relay.sinks.kafka_security import connection_options

DEADLINE_SECONDS = 15.0
REQUEST_TIMEOUT_MS = 5_000
CHECK_SERVERS = "check kafka.bootstrap_servers, and that the brokers run"
GROUP, TRANSACTION = 0, 1
NO_ERROR, UNKNOWN_TOPIC = 0, 3
NOT_READY = frozenset({5, 14, 15, 16})
"""LEADER_NOT_AVAILABLE and coordinators loading: true for a moment in a new cluster."""


class _Topic(NamedTuple):
    name: str
    key: str


async def kafka_findings(config: Config) -> list[Finding]:
    """Nothing, if no Kafka is configured."""
    kafka = config.kafka
    if kafka is None:
        return []
    name = f"kafka {kafka.bootstrap_servers}"
    try:
        async with asyncio.timeout(DEADLINE_SECONDS):
            return await _ask(config, kafka, name)
    except TimeoutError:
        return [Finding(name, State.FAILED, f"no answer within {DEADLINE_SECONDS:g} seconds; {CHECK_SERVERS}")]
    except (SinkError, errors.KafkaError, OSError) as error:
        return [Finding(name, State.FAILED, _away(translate(error, "cannot ask Kafka")))]


def _away(error: SinkError) -> str:
    return f"{error}; {CHECK_SERVERS}" if isinstance(error, SinkUnavailable) else str(error)


async def _ask(config: Config, kafka: KafkaConfig, name: str) -> list[Finding]:
    client = StreamClient(
        bootstrap_servers=kafka.bootstrap_servers,
        client_id="relay-check",
        request_timeout_ms=REQUEST_TIMEOUT_MS,
        **connection_options(kafka.security),
    )
    try:
        await client.bootstrap()
        topics = list(_topics(config, kafka))
        metadata = await client.ask(MetadataRequest([topic.name for topic in topics], allow_auto_topic_creation=False))
        found = [Finding(name, State.OK, f"{len(metadata.brokers)} brokers")]
        found += [_topic_finding(topic, metadata, kafka) for topic in topics]
        if kafka.delivery == "transactional":
            found.append(await _coordinator(client, f"transactional ids {kafka.id_prefix}.*", kafka, TRANSACTION))
            found.append(await _coordinator(client, f"groups {kafka.id_prefix}.*", kafka, GROUP))
        return found
    finally:
        await client.abort()


def _topics(config: Config, kafka: KafkaConfig) -> Iterator[_Topic]:
    kinds = sorted({endpoint.kind for source in config.sources for endpoint in source.endpoints})
    for kind in kinds:
        yield _Topic(kafka.topic.replace("{kind}", kind), "topic")
        if config.dedup.revisions == "separate":
            yield _Topic(kafka.revisions_topic.replace("{kind}", kind), "revisions_topic")
    if any(source.recordings.enabled for source in config.sources):
        yield _Topic(kafka.recordings_topic.replace("{kind}", RECORDED_KIND), "recordings_topic")
    yield _Topic(kafka.quarantine_topic, "quarantine_topic")
    if kafka.delivery == "transactional":
        yield _Topic(kafka.cursor_topic, "cursor_topic")


def _topic_finding(topic: _Topic, metadata: Any, kafka: KafkaConfig) -> Finding:
    name = f"topic {topic.name}"
    # Of an entry the first field is the error, the second the name, the last the partitions, in every version.
    entry = next((entry for entry in metadata.topics if entry[1] == topic.name), None)
    code = UNKNOWN_TOPIC if entry is None else entry[0]
    if entry is not None and code in {NO_ERROR, *NOT_READY}:
        return Finding(name, State.OK, f"{len(entry[-1])} partitions")
    if code != UNKNOWN_TOPIC:
        return Finding(name, State.FAILED, str(translate(errors.for_code(code)(), f"kafka.{topic.key}")))
    if kafka.create_topics is not None:
        return Finding(name, State.OK, "will be created")
    return Finding(name, State.FAILED, "does not exist; create it, or set kafka.create_topics")


async def _coordinator(client: StreamClient, name: str, kafka: KafkaConfig, kind: int) -> Finding:
    answer = await client.ask(FindCoordinatorRequest(f"{kafka.id_prefix}.check", kind))
    if answer.error_code in {NO_ERROR, *NOT_READY}:
        return Finding(name, State.OK, "may be looked up")
    return Finding(name, State.FAILED, str(translate(errors.for_code(answer.error_code)(), "coordinator")))
