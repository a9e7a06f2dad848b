"""The topics of a stream: there, or created when the configuration says so. Never created by asking for them."""

from collections.abc import Mapping

from aiokafka import errors
from aiokafka.protocol.admin import CreateTopicsRequest
from aiokafka.protocol.metadata import MetadataRequest
from tenacity import retry, retry_if_exception, wait_exponential

from relay.config import CreateTopicsConfig
from relay.ports import StreamBlocked
from relay.sinks.kafka_client import StreamClient
from relay.sinks.kafka_errors import translate

CREATE_TIMEOUT_MS = 15_000


class TopicNotReadyError(errors.KafkaError):  # type: ignore[misc]
    """A topic was created a moment ago, or its leaders are being elected."""

    retriable = True


async def ensure_topics(
    client: StreamClient, wanted: Mapping[str, int | None], create: CreateTopicsConfig | None
) -> None:
    """All topics of `wanted` exist and have leaders. The value is the number of partitions of a topic that has to be
    created, None for the configured one; other numbers in topics that are there already are fine.

    Raises StreamBlocked for a topic that is missing and must not be created, or that is refused.
    """
    missing = await _missing(client, wanted)
    if missing and create is None:
        raise StreamBlocked(
            f"topics do not exist: {', '.join(missing)}; create them, or set kafka.create_topics to have relay do it"
        )
    if missing and create is not None:
        await _create(client, {topic: wanted[topic] or create.partitions for topic in missing}, create)
    client.set_topics(wanted)
    await _wait_until_led(client, wanted)


async def _missing(client: StreamClient, wanted: Mapping[str, int | None]) -> list[str]:
    answer = await client.ask(MetadataRequest(list(wanted), allow_auto_topic_creation=False))
    client.cluster_id = getattr(answer, "cluster_id", None)
    missing = []
    for error_code, topic, *_ in answer.topics:
        error = errors.for_code(error_code)
        if error is errors.UnknownTopicOrPartitionError:
            missing.append(topic)
        elif error not in (errors.NoError, errors.LeaderNotAvailableError):
            raise translate(error(topic), f"topic {topic}")
    return missing


async def _create(client: StreamClient, partitions: Mapping[str, int], create: CreateTopicsConfig) -> None:
    controller = client.cluster.controller
    new: list[tuple[str, int, int, list[int], list[str]]] = [
        (topic, count, create.replication_factor, [], []) for topic, count in partitions.items()
    ]
    request = CreateTopicsRequest(new, CREATE_TIMEOUT_MS, validate_only=False)
    try:
        answer = await (client.ask(request) if controller is None else client.send(controller.nodeId, request))
    except errors.IncompatibleBrokerVersion:
        # A broker that cannot be told to create topics (an embedded one) may do so when they are asked for.
        await client.ask(MetadataRequest(list(partitions), allow_auto_topic_creation=True))
        return
    for topic, error_code, *said in answer.topic_errors:
        error = errors.for_code(error_code)
        # Another stream of this process, or somebody else, was quicker.
        if error not in (errors.NoError, errors.TopicAlreadyExistsError):
            raise translate(error(*said), f"cannot create topic {topic}")


@retry(
    retry=retry_if_exception(lambda error: isinstance(error, TopicNotReadyError)),
    wait=wait_exponential(multiplier=0.05, max=1.0),
)
async def _wait_until_led(client: StreamClient, topics: Mapping[str, int | None]) -> None:
    await client.force_metadata_update()
    for topic in topics:
        known = client.cluster.partitions_for_topic(topic)
        if not known or len(client.cluster.available_partitions_for_topic(topic)) < len(known):
            raise TopicNotReadyError(f"topic {topic} has partitions without a leader")
