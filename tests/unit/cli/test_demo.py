"""`relay demo` without what it needs."""

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
