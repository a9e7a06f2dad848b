"""What is allowed and still worth a word: said at the start and by `relay check`."""

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from relay.config.error import KeyPath, Problem
from relay.config.kafka import KafkaConfig
from relay.config.model import SQLITE, Config, JournalConfig
from relay.config.secret_rules import weak_secrets
from relay.config.source import GENERATIONS, SourceConfig

LOCAL_HOSTS = frozenset({"localhost", "127.0.0.1", "::1"})

_REPORTS_AND_LOGS = [path for kind in GENERATIONS.values() for generation in kind.values() for path in generation]
ENDPOINT_PATHS = frozenset(_REPORTS_AND_LOGS) | {path.rpartition("/")[0] for path in _REPORTS_AND_LOGS}
"""`/sms/1/reports`, and `/sms/1` alone."""


def advice(config: Config) -> Iterator[Problem]:
    """Warnings, each with its key and cure."""
    for index, source in enumerate(config.sources):
        if _in_the_clear(source.base_url):
            yield Problem(("sources", index, "base_url"), "credentials travel unencrypted; use https://")
        yield from _pasted_endpoint(source, ("sources", index, "base_url"))
        yield from _without_logs(source, ("sources", index, "endpoints"))
    yield from _missing_slash(config.journal)
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


def _pasted_endpoint(source: SourceConfig, path: KeyPath) -> Iterator[Problem]:
    prefix = urlsplit(source.base_url).path
    own = {endpoint.path for endpoint in source.endpoints if endpoint.path is not None}
    pasted = max((end for end in ENDPOINT_PATHS | own if prefix.endswith(end)), key=len, default=None)
    if pasted is not None:
        yield Problem(path, f"ends with {pasted}, and the paths of endpoints are added to it; leave {pasted} off")


def _missing_slash(journal: JournalConfig) -> Iterator[Problem]:
    """A relative path that would be right as an absolute one, and leads nowhere as it is."""
    file = journal.path
    if file.is_absolute() or file.parent.is_dir() or not Path("/", file).parent.is_dir():
        return
    what = f"three slashes make it {file.absolute()}; for /{file} write four: {SQLITE}/{file}"
    yield Problem(("journal", "url"), what)


def _in_the_clear(url: str) -> bool:
    parts = urlsplit(url)
    return parts.scheme == "http" and parts.hostname not in LOCAL_HOSTS
