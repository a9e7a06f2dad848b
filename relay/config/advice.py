"""What is allowed and still worth a word: said at the start and by `relay check`."""

from collections.abc import Iterator
from urllib.parse import urlsplit

from relay.config.error import KeyPath, Problem
from relay.config.kafka import KafkaConfig
from relay.config.model import Config
from relay.config.secret_rules import weak_secrets
from relay.config.source import SourceConfig

LOCAL_HOSTS = frozenset({"localhost", "127.0.0.1", "::1"})


def advice(config: Config) -> Iterator[Problem]:
    """Warnings, each with its key and cure."""
    for index, source in enumerate(config.sources):
        if _in_the_clear(source.base_url):
            yield Problem(("sources", index, "base_url"), "credentials travel unencrypted; use https://")
        yield from _without_logs(source, ("sources", index, "endpoints"))
    if config.http.push_port is not None and not any(source.push.enabled for source in config.sources):
        yield Problem(("http", "push_port"), "no source takes pushes; enable sources.push or leave it out")
    for index, callback in enumerate(config.callbacks):
        if not callback.secrets:
            what = "posts are not signed, so the receiver cannot tell who sent them; add a secret (whsec_…)"
            yield Problem(("callbacks", index, "secrets"), what)
    yield from weak_secrets(config)
    if config.kafka is not None:
        yield from _kafka_advice(config.kafka)


def _kafka_advice(kafka: KafkaConfig) -> Iterator[Problem]:
    if kafka.security.protocol == "SASL_PLAINTEXT":
        yield Problem(("kafka", "security", "protocol"), "credentials travel unencrypted; use SASL_SSL")
    if kafka.delivery == "idempotent":
        what = "a report may reach Kafka twice after a crash; use transactional where brokers allow it"
        yield Problem(("kafka", "delivery"), what)


def _without_logs(source: SourceConfig, path: KeyPath) -> Iterator[Problem]:
    for place, endpoint in enumerate(source.endpoints):
        if source.reconcile.enabled and endpoint.known_logs_path is None:
            what = f"gaps of kind {endpoint.kind} cannot be closed and end incomplete; name its logs_path"
            yield Problem((*path, place), what)


def _in_the_clear(url: str) -> bool:
    parts = urlsplit(url)
    return parts.scheme == "http" and parts.hostname not in LOCAL_HOSTS
