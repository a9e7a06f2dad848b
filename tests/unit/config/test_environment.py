"""References to environment variables."""

from collections.abc import Callable

import pytest

from relay.config import Config

Loader = Callable[..., Config]
Refused = Callable[..., list[str]]

TEMPLATE = """\
sources:
  - name: acme
    base_url: "https://${{HOST:-xyz}}.api.infobip.com"
    auth: {{type: bearer, token: "{token}"}}
    {more}
journal: {{url: "sqlite:////tmp/relay.db"}}
kafka: {{bootstrap_servers: localhost}}
"""


def text(token: str = "abc", more: str = "format: json") -> str:
    return TEMPLATE.format(token=token, more=more)


IN_A_FILE = "keep the secret in a file: {file: path}"


@pytest.mark.parametrize(
    ("lines", "key", "cure"),
    [
        ('log: {level: "${X}"}', "log.level", "write ${X:-default}"),
        ('http: {token: "${X}"}', "http.token", IN_A_FILE),
        ('http: {token: {file: "${X}"}}', "http.token.file", "write ${X:-default}"),
        ('callbacks: [{name: a, url: "${X}"}]', "callbacks[0].url", "write ${X:-default}"),
        ('callbacks: [{name: a, url: http://a, secrets: ["${X}"]}]', "callbacks[0].secrets[0]", IN_A_FILE),
        (
            'callbacks: [{name: a, url: http://a, headers: {Authorization: "Bearer ${X}"}}]',
            "callbacks[0].headers.Authorization",
            IN_A_FILE,
        ),
    ],
)
def test_nobody_is_told_to_write_a_secret_into_the_file(refused: Refused, lines: str, key: str, cure: str) -> None:
    errors = [line.partition(": ")[2] for line in refused(text() + lines + "\n")]
    assert f"{key}: environment variable X is not set; set it, or {cure}" in errors


@pytest.mark.parametrize(
    ("token", "environ", "expected"),
    [
        ("${TOKEN}", {"TOKEN": "t-1"}, "t-1"),
        ("a${TOKEN}b${TOKEN}", {"TOKEN": "-"}, "a-b-"),
        ("${TOKEN:-fallback}", {}, "fallback"),
        ("${TOKEN:-fallback}", {"TOKEN": ""}, "fallback"),
        ("${TOKEN:-fallback}", {"TOKEN": "t-1"}, "t-1"),
        ("$${TOKEN}", {"TOKEN": "t-1"}, "${TOKEN}"),
        ("$TOKEN", {"TOKEN": "t-1"}, "$TOKEN"),
        ("${TOKEN}", {"TOKEN": "${OTHER}", "OTHER": "x"}, "${OTHER}"),
        ("${TOKEN}", {"TOKEN": "0123"}, "0123"),
    ],
)
def test_a_reference_becomes_its_value(loads: Loader, token: str, environ: dict[str, str], expected: str) -> None:
    secret = loads(text(token), **environ).sources[0].auth.token
    assert secret is not None
    assert secret.reveal() == expected


def test_numbers_may_come_from_the_environment(loads: Loader) -> None:
    config = loads(text(more='poll: {limit: "${LIMIT}", interval_seconds: "${WAIT:-0.25}"}'), LIMIT="20")
    assert (config.sources[0].poll.limit, config.sources[0].poll.interval_seconds) == (20, 0.25)


def test_an_empty_reference_is_null(loads: Loader) -> None:
    config = loads(text(more='proxy: "${PROXY:-}"') + 'http: {token: "${RELAY_TOKEN:-}", push_port: "${PORT:-}"}\n')
    assert (config.sources[0].proxy, config.http.token, config.http.push_port) == (None, None, None)


@pytest.mark.parametrize(
    ("token", "environ", "expected"),
    [
        ("${TOKEN}", {}, f"environment variable TOKEN is not set; set it, or {IN_A_FILE}"),
        ("${TOKEN}", {"TOKEN": ""}, "is required for type bearer"),
        ("${to ken}", {}, "holds a broken reference; write ${NAME} or ${NAME:-default}, and $${ for a plain ${"),
        ("${TOKEN", {}, "holds a broken reference; write ${NAME} or ${NAME:-default}, and $${ for a plain ${"),
        ("${}", {}, "holds a broken reference; write ${NAME} or ${NAME:-default}, and $${ for a plain ${"),
    ],
)
def test_a_reference_without_value(refused: Refused, token: str, environ: dict[str, str], expected: str) -> None:
    assert refused(text(token), **environ) == [f"relay.yaml:4: sources[0].auth.token: {expected}"]


@pytest.mark.parametrize(
    "push",
    [
        'push: {enabled: false, token: "${PUSH_TOKEN}"}',
        'push: {token: "${PUSH_TOKEN}"}',
        'push: {enabled: "${PUSH:-false}", token: "${PUSH_TOKEN}"}',
        "push: {enabled: false, token: {file: /nowhere/push}}",
    ],
)
def test_a_disabled_section_needs_no_variable_and_no_file(loads: Loader, push: str) -> None:
    assert not loads(text(more=push)).sources[0].push.enabled


def test_an_enabled_section_needs_its_variable(refused: Refused) -> None:
    errors = refused(text(more='push: {enabled: true, token: "${PUSH_TOKEN}"}'))
    assert "environment variable PUSH_TOKEN is not set" in errors[0]
