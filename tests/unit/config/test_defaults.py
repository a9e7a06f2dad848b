"""What a configuration says when it says little."""

from collections.abc import Callable
from pathlib import Path

import pytest

from relay.config import Config, EndpointConfig, PollConfig, ReconcileConfig

Loader = Callable[..., Config]

COMMON_POLL = """\
sources:
  - name: acme
    base_url: https://xyz.api.infobip.com/restapi/
    auth: {type: api_key, token: abc}
    endpoints: [sms, {kind: voice, poll: {interval_seconds: 2}}]
    poll: {limit: 200, interval_seconds: 1}
journal: {url: "sqlite:///relay.db"}
callbacks:
  - {name: billing, url: "https://billing.internal/hook", status_groups: [DELIVERED, rejected, 7]}
  - {name: audit, url: "http://audit.internal", revisions: false}
"""


def test_minimal_file_has_the_documented_defaults(loads: Loader) -> None:
    config = loads()
    source = config.sources[0]
    assert [endpoint.kind for endpoint in source.endpoints] == ["sms", "voice"]
    assert [endpoint.reports_path for endpoint in source.endpoints] == ["/sms/1/reports", "/tts/3/reports"]
    assert source.poll == PollConfig(
        limit=1000, interval_seconds=0.5, max_interval_seconds=5, timeout_seconds=30, max_body_bytes=67108864
    )
    assert source.auth.token is not None
    assert source.auth.token.reveal() == "canary-api-key"
    assert (source.format, source.proxy, source.ca_file) == ("json", None, None)
    assert [source.push.enabled, source.reconcile.enabled, source.recordings.enabled] == [False, True, False]
    assert source.reconcile == ReconcileConfig(
        enabled=True, settle_seconds=600, lookback_hours=48, requests_per_minute=60
    )
    assert config.journal.path == Path("/var/lib/relay/relay.db")
    assert (config.journal.retention_hours, config.journal.max_unpublished) == (24, 1_000_000)
    assert config.journal.min_free_bytes == 268_435_456
    assert (config.dedup.window_hours, config.dedup.revisions) == (96, "separate")
    assert (config.http.host, config.http.port, config.http.token, config.http.push_port) == (
        "0.0.0.0",
        8080,
        None,
        None,
    )
    assert (config.log.level, config.log.format) == ("info", "json")
    assert config.callbacks == ()
    assert config.instance


def test_kafka_defaults(loads: Loader) -> None:
    kafka = loads().kafka
    assert kafka is not None
    assert kafka.id_prefix == "relay"
    assert kafka.topic == "infobip.{kind}.reports"
    assert kafka.revisions_topic == "infobip.{kind}.revisions"
    assert (kafka.quarantine_topic, kafka.cursor_topic) == ("infobip.quarantine", "relay.cursors")
    assert kafka.recordings_topic == "infobip.{kind}.recordings"
    assert (kafka.delivery, kafka.compression) == ("transactional", "zstd")
    assert kafka.transaction_timeout_seconds == 60
    assert kafka.create_topics is None
    assert kafka.security.protocol == "PLAINTEXT"


def test_callback_defaults(loads: Loader) -> None:
    callback = loads(COMMON_POLL).callbacks[0]
    assert callback.secrets == ()
    assert (callback.kinds, callback.sources) == (None, None)
    assert (callback.format, callback.batch_size, callback.linger_seconds) == ("report", 1, 0.1)
    assert (callback.concurrency, callback.rate_per_second, callback.timeout_seconds) == (16, None, 15)
    retry = callback.retry
    assert (retry.initial_seconds, retry.max_seconds, retry.max_age_seconds) == (5, 36000, 259200)
    assert (callback.max_backlog, callback.dead_letter_hours) == (1_000_000, 720)
    assert (callback.start, callback.allow_private, callback.headers) == ("latest", True, {})


def test_status_groups_may_be_names(loads: Loader) -> None:
    assert loads(COMMON_POLL).callbacks[0].status_groups == (3, 5, 7)


def test_without_kafka_a_callback_gets_revisions_unless_it_says_no(loads: Loader) -> None:
    config = loads(COMMON_POLL)
    assert [callback.revisions for callback in config.callbacks] == [True, False]


def test_with_kafka_a_callback_gets_no_revisions_unless_it_says_so(loads: Loader) -> None:
    text = COMMON_POLL + "kafka: {bootstrap_servers: localhost}\n"
    assert [callback.revisions for callback in loads(text).callbacks] == [False, False]


def test_an_endpoints_own_poll_keys_win_over_the_sources(loads: Loader) -> None:
    source = loads(COMMON_POLL).sources[0]
    sms, voice = (endpoint.poll for endpoint in source.endpoints)
    assert (sms, source.poll_for("sms")) == (source.poll, source.poll)
    assert voice == PollConfig(limit=200, interval_seconds=2)
    assert source.poll_for("voice") == voice


def test_a_base_url_keeps_its_path_and_loses_the_last_slash(loads: Loader) -> None:
    assert loads(COMMON_POLL).sources[0].base_url == "https://xyz.api.infobip.com/restapi"


@pytest.mark.parametrize(
    ("endpoint", "reports_path", "logs_path"),
    [
        (EndpointConfig(kind="sms"), "/sms/1/reports", "/sms/1/logs"),
        (EndpointConfig(kind="sms", version=1), "/sms/1/reports", "/sms/1/logs"),
        (EndpointConfig(kind="sms", version=3), "/sms/3/reports", "/sms/3/logs"),
        (EndpointConfig(kind="sms", version=3, logs_path="/sms/1/logs"), "/sms/3/reports", "/sms/1/logs"),
        (EndpointConfig(kind="voice"), "/tts/3/reports", "/tts/3/logs"),
        (EndpointConfig(kind="voice", version=3), "/tts/3/reports", "/tts/3/logs"),
        (EndpointConfig(kind="voice", version=1), "/voice/1/reports", "/tts/3/logs"),
        (EndpointConfig(kind="sms", path="/omni/1/reports"), "/omni/1/reports", None),
        (EndpointConfig(kind="email", path="/email/1/reports"), "/email/1/reports", None),
        (
            EndpointConfig(kind="email", path="/email/1/reports", logs_path="/email/1/logs"),
            "/email/1/reports",
            "/email/1/logs",
        ),
    ],
)
def test_where_an_endpoint_reads(endpoint: EndpointConfig, reports_path: str, logs_path: str | None) -> None:
    assert (endpoint.reports_path, endpoint.known_logs_path) == (reports_path, logs_path)


def test_a_version_and_a_kind_of_ones_own(loads: Loader) -> None:
    endpoints = "[{kind: sms, version: 3}, {kind: voice, version: 1}, {kind: email, path: /email/1/reports}]"
    text = COMMON_POLL.replace("[sms, {kind: voice, poll: {interval_seconds: 2}}]", endpoints)
    assert [endpoint.reports_path for endpoint in loads(text).sources[0].endpoints] == [
        "/sms/3/reports",
        "/voice/1/reports",
        "/email/1/reports",
    ]


@pytest.mark.parametrize(
    ("url", "directory", "stored_in"),
    [
        ("sqlite:////var/lib/relay/relay.db", "recordings", "/var/lib/relay/recordings"),
        ("sqlite:////var/lib/relay/relay.db", "/srv/calls", "/srv/calls"),
        ("sqlite:///data/relay.db", "recordings", "data/recordings"),
        ("postgresql://db/relay", "recordings", "recordings"),
    ],
)
def test_where_recordings_are_stored(loads: Loader, url: str, directory: str, stored_in: str) -> None:
    config = loads(COMMON_POLL)
    journal = config.journal.model_copy(update={"url": url})
    recordings = config.sources[0].recordings.model_copy(update={"directory": Path(directory)})
    source = config.sources[0].model_copy(update={"recordings": recordings})
    assert config.model_copy(update={"journal": journal}).recordings_directory(source) == Path(stored_in)
