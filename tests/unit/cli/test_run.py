"""`relay run`: what is logged at the start, and how it ends."""

import json
import re
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import structlog
from click.testing import Result

import relay
from relay.config import Config, ConfigFile
from relay.ports import JournalFatal

Command = Callable[..., Result]
CANARIES = ("canary", "Y2FuYXJ5")


@pytest.fixture
def app_runs(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[Config], int]], None]:
    """Put a function in the place of the wired relay."""

    def install(behave: Callable[[Config], int]) -> None:
        async def run(config: Config, file: ConfigFile) -> int:
            return behave(config)

        app = ModuleType("relay.app")
        app.run: Callable[[Config], Coroutine[Any, Any, int]] = run  # type: ignore[misc]
        monkeypatch.setitem(sys.modules, "relay.app", app)
        monkeypatch.setattr(relay, "app", app, raising=False)

    return install


def events(result: Result) -> list[dict[str, Any]]:
    return [json.loads(line) for line in result.stderr.splitlines()]


def test_it_starts_with_a_summary_without_secrets(relay_command: Command, app_runs: Any, config_file: Path) -> None:
    app_runs(lambda config: 0)
    result = relay_command("run", "-c", config_file)
    assert result.exit_code == 0
    (start,) = events(result)
    assert (start["event"], start["level"], start["instance"]) == ("relay starts", "info", "relay-0")
    assert start["configuration"]["http"]["token"] == "configured"
    assert start["configuration"]["sources"][0]["auth"]["password"] == "configured"
    assert start["configuration"]["callbacks"][0]["concurrency"] == 16
    assert not [canary for canary in CANARIES if canary in result.output]


def test_advice_is_logged(relay_command: Command, app_runs: Any, config_file: Path) -> None:
    app_runs(lambda config: 0)
    text = config_file.read_text().replace("    secrets: [whsec_Y2FuYXJ5LXdlYmhvb2stb2YtdGhpcnR5LWJ5dGVz]\n", "")
    config_file.write_text(text)
    _, advice = events(relay_command("run", "-c", config_file))
    assert (advice["level"], advice["key"]) == ("warning", "callbacks[0].secrets")
    assert "not signed" in advice["advice"]


def test_a_weak_secret_is_told_once_and_not_shown(relay_command: Command, app_runs: Any, config_file: Path) -> None:
    app_runs(lambda config: 0)
    text = re.sub(r"whsec_\w+", "whsec_c2hvcnQ=", config_file.read_text())
    config_file.write_text(text)
    result = relay_command("run", "-c", config_file)
    (advice,) = [line for line in events(result) if line["event"] == "configuration advice"]
    assert (advice["level"], advice["key"]) == ("warning", "callbacks[0].secrets[0]")
    assert "echo whsec_$(openssl rand -base64 32)" in advice["advice"]
    assert "c2hvcnQ" not in result.output


def test_the_exit_code_is_the_relays(relay_command: Command, app_runs: Any, config_file: Path) -> None:
    app_runs(lambda config: 1)
    assert relay_command("run", "-c", config_file).exit_code == 1


def test_nothing_secret_is_logged_while_it_runs(relay_command: Command, app_runs: Any, config_file: Path) -> None:
    def behave(config: Config) -> int:
        log = structlog.get_logger("relay.stages.intake")
        log.info(
            "canary-password canary-key Basic bWU6Y2FuYXJ5LXBhc3N3b3Jk whsec_Y2FuYXJ5LXdlYmhvb2stb2YtdGhpcnR5LWJ5dGVz",
            url="?key=canary-key",
        )
        return 0

    app_runs(behave)
    result = relay_command("run", "-c", config_file)
    assert events(result)[-1]["event"] == "[secret] [secret] Basic [secret] [secret]"
    assert not [canary for canary in (*CANARIES, "bWU6Y2Fu") if canary in result.output]


@pytest.mark.parametrize(
    ("error", "event", "traceback"),
    [
        (JournalFatal("the disk is broken canary-password"), "relay ends: the journal cannot be used", False),
        (OSError(98, "Address already in use"), "relay ends", False),
        (RuntimeError("canary-password 41793026727"), "relay ends by an unexpected error", True),
    ],
)
def test_a_failure_is_logged_masked_and_ends_with_1(
    relay_command: Command, app_runs: Any, config_file: Path, error: Exception, event: str, traceback: bool
) -> None:
    def behave(config: Config) -> int:
        raise error

    app_runs(behave)
    result = relay_command("run", "-c", config_file)
    last = events(result)[-1]
    assert result.exit_code == 1
    assert (last["event"], last["level"], "exception" in last) == (event, "error", traceback)
    assert not [canary for canary in (*CANARIES, "41793026727") if canary in result.output]
