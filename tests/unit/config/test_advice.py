"""What is allowed and still worth a word."""

from collections.abc import Callable

from relay.config import Config, advice, key_path

SAFE = """\
sources:
  - {name: acme, base_url: "https://xyz.api.infobip.com", auth: {type: api_key, token: abc}}
  - {name: local, base_url: "http://127.0.0.1:8081", auth: {type: api_key, token: abc}}
journal: {url: "sqlite:////tmp/relay.db"}
kafka: {bootstrap_servers: localhost}
callbacks:
  - {name: billing, url: "https://billing.internal", secrets: [whsec_Y2FuYXJ5]}
"""
RISKY = """\
sources:
  - name: acme
    base_url: "http://xyz.api.infobip.com"
    auth: {type: api_key, token: abc}
    endpoints: [sms, {kind: email, path: /email/1/reports}, {kind: rcs, path: /rcs/2/reports, logs_path: /rcs/2/logs}]
  - name: other
    base_url: "https://xyz.api.infobip.com"
    auth: {type: api_key, token: abc}
    endpoints: [{kind: email, path: /email/1/reports}]
    reconcile: {enabled: false}
journal: {url: "sqlite:////tmp/relay.db"}
kafka:
  bootstrap_servers: localhost
  delivery: idempotent
  security: {protocol: SASL_PLAINTEXT, mechanism: PLAIN, username: a, password: b}
callbacks:
  - {name: billing, url: "https://billing.internal"}
http: {push_port: 8081}
"""


def test_nothing_to_say(loads: Callable[..., Config]) -> None:
    assert list(advice(loads(SAFE))) == []


def test_what_is_worth_a_word(loads: Callable[..., Config]) -> None:
    assert [(key_path(problem.path), problem.message) for problem in advice(loads(RISKY))] == [
        ("sources[0].base_url", "credentials travel unencrypted; use https://"),
        (
            "sources[0].endpoints[1]",
            "gaps of kind email cannot be closed and end incomplete; name its logs_path",
        ),
        ("http.push_port", "no source takes pushes; enable sources.push or leave it out"),
        (
            "callbacks[0].secrets",
            "posts are not signed, so the receiver cannot tell who sent them; add a secret (whsec_…)",
        ),
        ("kafka.security.protocol", "credentials travel unencrypted; use SASL_SSL"),
        ("kafka.delivery", "a report may reach Kafka twice after a crash; use transactional where brokers allow it"),
    ]
