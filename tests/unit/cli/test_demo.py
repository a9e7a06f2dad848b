"""`relay demo` without what it needs."""

import socket
import sys
from collections.abc import Callable

import pytest
from click.testing import Result


def test_it_says_what_is_missing(relay_command: Callable[..., Result], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "confluent_kafka", None)
    result = relay_command("demo")
    assert result.exit_code == 1
    assert "pip install 'infobip-relay[demo]'" in result.stderr


def test_its_options_are_checked(relay_command: Callable[..., Result]) -> None:
    assert relay_command("demo", "--seconds", "0").exit_code == 2


def test_a_kafka_that_is_not_there_is_one_line(
    relay_command: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("relay.demo.kafka.ANSWER_SECONDS", 0.5)
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # nobody listens
        address = f"127.0.0.1:{unused.getsockname()[1]}"
        result = relay_command("demo", "--bootstrap-servers", address)
    assert result.exit_code == 1
    assert result.stderr.startswith(f"relay demo: Kafka at {address} does not answer, is it running there? ")
    assert result.stderr.count("\n") == 1
