"""`relay simulate`: options, and its end."""

import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from relay.cli.simulate import WrongOption, simulator_options
from relay.simulator.faults import Fault, What
from relay.simulator.options import TrafficOptions

Command = Callable[..., Result]


def options(**given: Any) -> dict[str, Any]:
    return {
        "host": "127.0.0.1",
        "port": 0,
        "rate": 5.0,
        "total": None,
        "backlog": 0,
        "kinds": [],
        "duplicates": 0.0,
        "revisions": 0.0,
        "final_only": False,
        "logs_per_minute": None,
        "seed": 1,
        "ledger": None,
        "faults": [],
        "compress": False,
        **given,
    }


def test_traffic_is_for_each_kind() -> None:
    made = simulator_options(**options(rate=7.0, total=100, backlog=3, duplicates=0.1, revisions=0.2))
    traffic = TrafficOptions(rate=7.0, total=100, backlog=3, duplicate_rate=0.1, revision_rate=0.2)
    assert made.traffic == {"sms": traffic, "voice": traffic}


def test_one_kind_alone() -> None:
    assert list(simulator_options(**options(kinds=["voice"])).traffic) == ["voice"]


def test_faults_short_and_as_json() -> None:
    given = ["reset_in_body=0.2", '{"what": "status", "status": 429, "retry_after": "5", "times": 2}']
    assert simulator_options(**options(faults=given)).faults == (
        Fault(What.RESET_IN_BODY, rate=0.2),
        Fault(What.STATUS, status=429, retry_after="5", times=2),
    )


@pytest.mark.parametrize(
    "fault", ["explode=0.1", "reset_in_body=often", "reset_in_body=2", "reset_in_body", "{", '{"rate": 1}', "[]"]
)
def test_a_wrong_fault(relay_command: Command, fault: str) -> None:
    with pytest.raises(WrongOption):
        simulator_options(**options(faults=[fault]))
    result = relay_command("simulate", "--fault", fault)
    assert result.exit_code == 2
    assert "--fault" in result.stderr
    assert "Traceback" not in result.output


@pytest.mark.parametrize("fault", ["nosuch=1", '{"what": "nosuch"}', "nosuch", '{"what": ["drip"]}'])
def test_faults_that_there_are_are_listed(fault: str) -> None:
    with pytest.raises(WrongOption, match="there is delay, drip, hang, status, reset_before"):
        simulator_options(**options(faults=[fault]))


def test_a_port_that_is_taken(relay_command: Command) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        result = relay_command("simulate", "--port", str(taken.getsockname()[1]))
    assert result.exit_code == 1
    assert "use --port" in result.stderr


def test_help_and_error_name_the_same_kinds(relay_command: Command) -> None:
    assert "sms, voice or email" in " ".join(relay_command("simulate", "--help", COLUMNS="200").stdout.split())


def test_a_wrong_kind(relay_command: Command) -> None:
    result = relay_command("simulate", "--kind", "fax")
    assert result.exit_code == 2
    assert "fax: there is sms, voice, email" in result.stderr


def test_it_ends_at_sigterm_with_0(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger.jsonl"
    arguments = [sys.executable, "-m", "relay", "simulate", "--port", "0", "--ledger", str(ledger)]
    with subprocess.Popen(arguments, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert "simulator listens" in process.stderr.readline()
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=20) == 0
        assert "Traceback" not in process.stderr.read()
