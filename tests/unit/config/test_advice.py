"""What is allowed and still worth a word."""

import base64
from collections.abc import Callable
from pathlib import Path

import pytest

from relay.config import Config, advice, key_path

SAFE = """\
sources:
  - {name: acme, base_url: "https://xyz.api.infobip.com", auth: {type: api_key, token: abc}}
  - {name: local, base_url: "http://127.0.0.1:8081", auth: {type: api_key, token: abc}}
journal: {url: "sqlite:////tmp/relay.db"}
kafka: {bootstrap_servers: localhost}
callbacks:
  - {name: billing, url: "https://billing.internal", secrets: [whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw]}
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


OPENSSL = "make one: echo whsec_$(openssl rand -base64 32)"
GUESSED = "has fewer than 16 characters and can be guessed; make one: openssl rand -hex 32"


def signing_secret(length: int) -> str:
    return f"whsec_{base64.b64encode(bytes(length)).decode()}"


@pytest.mark.parametrize(
    ("length", "expected"),
    [
        (5, [f"holds a key of 5 bytes, Standard Webhooks asks for 24 to 64; {OPENSSL}"]),
        (23, [f"holds a key of 23 bytes, Standard Webhooks asks for 24 to 64; {OPENSSL}"]),
        (24, []),
        (64, []),
        (65, [f"holds a key of 65 bytes, Standard Webhooks asks for 24 to 64; {OPENSSL}"]),
    ],
)
def test_a_signing_secret_of_another_length_than_the_standards(
    loads: Callable[..., Config], length: int, expected: list[str]
) -> None:
    text = SAFE.replace("[whsec_", f"[{signing_secret(32)}, {signing_secret(length)}, whsec_")
    assert [(key_path(problem.path), problem.message) for problem in advice(loads(text))] == [
        ("callbacks[0].secrets[1]", message) for message in expected
    ]


def test_tokens_of_a_few_characters(loads: Callable[..., Config]) -> None:
    push = "{name: acme, push: {enabled: true, token: hook}"
    text = SAFE.replace("{name: acme", push) + "http: {token: fifteen-letters}\n"
    assert [(key_path(problem.path), problem.message) for problem in advice(loads(text))] == [
        ("sources[0].push.token", GUESSED),
        ("http.token", GUESSED),
    ]


def test_long_tokens_and_one_of_a_push_that_is_off(loads: Callable[..., Config]) -> None:
    push = "{name: acme, push: {enabled: false, token: hook}"
    text = SAFE.replace("{name: acme", push) + "http: {token: sixteen--letters}\n"
    assert list(advice(loads(text))) == []


def test_a_secret_whose_file_has_gone_since(loads: Callable[..., Config], tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("sixteen--letters")
    config = loads(SAFE + f"http: {{token: {{file: {file}}}}}\n")
    file.unlink()
    assert list(advice(config)) == []


@pytest.mark.parametrize(
    ("base_url", "pasted"),
    [
        ("https://xyz.api.infobip.com/sms/1/reports", "/sms/1/reports"),
        ("https://xyz.api.infobip.com/sms/1/reports/", "/sms/1/reports"),
        ("https://gateway.internal/infobip/tts/3/logs", "/tts/3/logs"),
        ("https://xyz.api.infobip.com/sms/3", "/sms/3"),
        ("https://xyz.api.infobip.com/email/1/reports", "/email/1/reports"),
    ],
)
def test_the_path_of_an_endpoint_in_base_url(loads: Callable[..., Config], base_url: str, pasted: str) -> None:
    own = "endpoints: [sms, {kind: email, path: /email/1/reports, logs_path: /email/1/logs}]"
    text = SAFE.replace('"https://xyz.api.infobip.com",', f'"{base_url}", {own},')
    assert [(key_path(problem.path), problem.message) for problem in advice(loads(text))] == [
        (
            "sources[0].base_url",
            f"ends with {pasted}, and the paths of endpoints are added to it; leave {pasted} off",
        )
    ]


@pytest.mark.parametrize("base_url", ["https://sms/1", "https://gateway.internal/infobip", "https://x/my-sms/1"])
def test_a_prefix_that_is_no_endpoint(loads: Callable[..., Config], base_url: str) -> None:
    assert list(advice(loads(SAFE.replace("https://xyz.api.infobip.com", base_url)))) == []


def test_three_slashes_where_four_are_meant(
    loads: Callable[..., Config], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    meant = tmp_path / "relay.db"
    (problem,) = advice(loads(SAFE.replace("sqlite:////tmp/relay.db", f"sqlite://{meant}")))
    assert (key_path(problem.path), problem.message) == (
        "journal.url",
        f"three slashes make it {tmp_path}{meant}; for {meant} write four: sqlite:///{meant}",
    )


@pytest.mark.parametrize("path", ["relay.db", "data/relay.db", "nowhere/relay.db"])
def test_a_relative_path_that_is_meant(
    loads: Callable[..., Config], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    assert list(advice(loads(SAFE.replace("sqlite:////tmp/relay.db", f"sqlite:///{path}")))) == []
