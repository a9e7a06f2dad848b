"""`relay status`: finds address and token, shows what a relay answers."""

import json
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest
from click.testing import Result

from relay.cli.status import age

Command = Callable[..., Result]

STATUS: dict[str, Any] = {
    "status": "degraded",
    "instance": "relay-0",
    "version": "1.2.3",
    "degraded": {"publish acme/sms": "topic [missing]"},
    "started_at": "2023-11-14T22:13:30.000Z",
    "journal": {"writable": True, "size_bytes": 8192, "free_bytes": 3_000_000},
    "streams": [{"source": "acme", "kind": "sms", "unpublished": 12345, "oldest_unpublished_at": None}],
    "callbacks": [{"name": "billing", "backlog": 5, "oldest_backlog_at": None, "dead_letters": 4}],
}


class Answering(BaseHTTPRequestHandler):
    status: ClassVar[dict[str, Any]] = STATUS

    def do_GET(self) -> None:
        allowed = self.headers["Authorization"] == "Bearer canary-token" and self.path == "/api/v1/status"
        self.send_response(200 if allowed else 401)
        self.end_headers()
        self.wfile.write(json.dumps(self.status).encode() if allowed else b"{}")

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name of the parent's parameter
        pass


@pytest.fixture
def url() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), Answering) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_status_as_json(relay_command: Command, url: str) -> None:
    result = relay_command("status", "--url", url, "--json", RELAY_TOKEN="canary-token")
    assert result.exit_code == 0
    assert json.loads(result.stdout) == STATUS


def test_status_as_text(relay_command: Command, url: str) -> None:
    result = relay_command("status", "--url", url + "/", RELAY_TOKEN="canary-token")
    assert result.exit_code == 0
    for text in (
        "relay-0: degraded",
        "publish acme/sms: topic [missing]",
        "acme/sms",
        "12,345",
        "billing",
        "8,192 bytes, 2.9 MiB free",
    ):
        assert text in result.stdout
    assert "canary" not in result.output


@pytest.mark.parametrize(
    ("at", "expected"),
    [
        ("2026-01-10T11:59:55.400Z", "5 s"),
        ("2026-01-10T11:58:01.000Z", "119 s"),
        ("2026-01-10T11:57:00.000Z", "3 min"),
        ("2026-01-10T10:00:00.000Z", "2 h"),
        ("2026-01-06T12:00:00.000Z", "4 d"),
        ("2026-01-10T12:00:09.000Z", "0 s"),
    ],
)
def test_ages_are_legible(at: str, expected: str) -> None:
    assert age(at, datetime(2026, 1, 10, 12, 0, 0, tzinfo=UTC)) == expected


def test_an_unavailable_relay_is_a_failure(relay_command: Command, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    unavailable = STATUS | {"status": "unavailable", "journal": None, "streams": [], "callbacks": []}
    monkeypatch.setattr(Answering, "status", unavailable)
    result = relay_command("status", "--url", url, RELAY_TOKEN="canary-token")
    assert result.exit_code == 1
    assert "unavailable" in result.stdout


def test_the_token_from_a_file(relay_command: Command, url: str, tmp_path: Path) -> None:
    (tmp_path / "relay.token").write_text("canary-token\n")
    assert relay_command("status", "--url", url, "--token-file", tmp_path / "relay.token").exit_code == 0


def test_address_and_token_by_the_configuration(relay_command: Command, url: str, config_file: Path) -> None:
    port = url.rpartition(":")[2]
    config_file.write_text(config_file.read_text().replace("port: 0, token: canary-token-for-the-api", f"port: {port}"))
    (config_file.parent / "relay.token").write_text("canary-token\n")
    assert relay_command("status", "-c", config_file).exit_code == 0


def test_asking_makes_no_token(relay_command: Command, url: str, config_file: Path) -> None:
    config_file.write_text(config_file.read_text().replace(", token: canary-token-for-the-api", ""))
    result = relay_command("status", "-c", config_file)
    assert result.exit_code == 2
    assert "cannot read the token" in result.stderr
    assert not (config_file.parent / "relay.token").exists()


def test_a_wrong_token(relay_command: Command, url: str) -> None:
    result = relay_command("status", "--url", url, RELAY_TOKEN="canary-other")
    assert result.exit_code == 1
    assert "401" in result.stderr
    assert "the token is not the one of this relay" in result.stderr
    assert "canary" not in result.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--url", "http://127.0.0.1:1"], 1, "is the relay running there?"),
        (["--url", "file:///etc/passwd"], 1, "is not an http:// or https:// URL"),
        (
            ["--token-file", "/nowhere/token"],
            2,
            "--token-file /nowhere/token: No such file or directory; name relay.token",
        ),
        (["--token-file", "/dev/null"], 2, "--token-file /dev/null holds no token"),
    ],
)
def test_a_relay_that_cannot_be_asked(relay_command: Command, arguments: list[str], code: int, message: str) -> None:
    environ = {} if "--token-file" in arguments else {"RELAY_TOKEN": "canary"}
    result = relay_command("status", *arguments, **environ)
    assert result.exit_code == code
    assert message in result.stderr


def test_no_token_at_all(relay_command: Command, url: str) -> None:
    result = relay_command("status", "--url", url)
    assert result.exit_code == 2
    assert "no token: set RELAY_TOKEN" in result.stderr


def test_options_win_over_the_configuration_of_the_environment(
    relay_command: Command, url: str, tmp_path: Path
) -> None:
    (tmp_path / "relay.token").write_text("canary-token\n")
    broken = str(tmp_path / "nowhere.yaml")
    given = ("--url", url, "--token-file", tmp_path / "relay.token")
    assert relay_command("status", *given, RELAY_CONFIG=broken).exit_code == 0
    assert relay_command("status", "--url", url, RELAY_CONFIG=broken, RELAY_TOKEN="canary-token").exit_code == 0


def test_a_wrong_configuration_of_the_environment_does_not_stop_who_names_a_token(
    relay_command: Command, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("relay.cli.remote.DEFAULT_URL", url)
    (tmp_path / "relay.token").write_text("canary-token\n")
    broken = tmp_path / "nowhere.yaml"
    given = ("--token-file", tmp_path / "relay.token")
    assert relay_command("status", *given, RELAY_CONFIG=str(broken)).exit_code == 0
    for wrong in (
        relay_command("status", *given, "--config", broken),
        relay_command("status", "--url", url, RELAY_CONFIG=str(broken)),
        relay_command("status", RELAY_CONFIG=str(broken), RELAY_TOKEN="canary-token"),
    ):
        assert wrong.exit_code == 2
        assert "nowhere.yaml" in wrong.stderr


def test_the_address_of_the_configuration_with_the_token_of_an_option(
    relay_command: Command, url: str, config_file: Path
) -> None:
    port = url.rpartition(":")[2]
    config_file.write_text(config_file.read_text().replace("port: 0, token: canary-token-for-the-api", f"port: {port}"))
    (config_file.parent / "other.token").write_text("canary-token\n")
    given = ("--token-file", config_file.parent / "other.token")
    result = relay_command("status", *given, RELAY_CONFIG=str(config_file))
    assert result.exit_code == 0, result.output
