"""The command line as it is typed."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

import relay

Command = Callable[..., Result]
HEAVY = ("aiohttp", "aiokafka", "apsw", "pydantic", "prometheus_client", "ruamel.yaml", "orjson", "structlog")


def test_the_version(relay_command: Command) -> None:
    result = relay_command("--version")
    assert (result.exit_code, result.stdout) == (0, f"relay {relay.__version__}\n")


def test_help_names_the_commands_that_work(relay_command: Command) -> None:
    result = relay_command("--help")
    assert result.exit_code == 0
    for command in (
        "run",
        "check",
        "status",
        "reconcile",
        "quarantine",
        "callbacks",
        "cursor",
        "inspect",
        "replay",
        "dead-letters",
        "simulate",
    ):
        assert f" {command} " in result.stdout
    assert "migrate" not in result.stdout  # of a later version


@pytest.mark.parametrize(
    "arguments",
    [["nonsense"], ["run"], ["run", "--nonsense"], ["simulate", "--port", "x"], ["simulate", "--duplicates", "2"]],
)
def test_wrong_use(relay_command: Command, arguments: list[str]) -> None:
    assert relay_command(*arguments).exit_code == 2


def test_help_is_quick_because_it_loads_nothing() -> None:
    code = (
        "import sys\nfrom relay.cli.commands import app\ntry:\n    app(['--help'])\nexcept SystemExit:\n    pass\n"
        f"print('loaded', [name for name in {HEAVY} if name in sys.modules])"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.splitlines()[-1] == "loaded []"


@pytest.fixture
def wrong_file(tmp_path: Path) -> Path:
    file = tmp_path / "relay.yaml"
    file.write_text("sources:\n  - nme: acme\njournal: {url: x}\n", encoding="utf-8")
    return file


@pytest.mark.parametrize("command", ["run", "check", "status"])
def test_a_wrong_configuration_is_told(relay_command: Command, command: str, wrong_file: Path) -> None:
    result = relay_command(command, "-c", wrong_file)
    assert (result.exit_code, result.stdout) == (2, "")
    assert f'{wrong_file}:2: sources[0].nme: unknown key; did you mean "name"?\n' in result.stderr
    assert isinstance(result.exception, SystemExit)


def test_a_wrong_configuration_is_told_without_a_traceback(wrong_file: Path) -> None:
    arguments = [sys.executable, "-m", "relay", "run", "-c", str(wrong_file)]
    shown = subprocess.run(arguments, capture_output=True, text=True, check=False)
    assert (shown.returncode, shown.stdout) == (2, "")
    assert f'{wrong_file}:2: sources[0].nme: unknown key; did you mean "name"?\n' in shown.stderr
    assert "Traceback" not in shown.stderr


def test_a_missing_configuration(relay_command: Command, tmp_path: Path) -> None:
    result = relay_command("run", "-c", tmp_path / "none.yaml")
    assert result.exit_code == 2
    assert "none.yaml: cannot be read: No such file or directory" in result.stderr


def test_the_configuration_may_be_named_by_the_environment(relay_command: Command, tmp_path: Path) -> None:
    result = relay_command("run", RELAY_CONFIG=str(tmp_path / "from-environment.yaml"))
    assert "from-environment.yaml: cannot be read" in result.stderr
