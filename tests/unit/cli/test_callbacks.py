"""`relay callbacks`: what is asked of the relay, what is shown, and how it ends."""

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from click.testing import Result

Command = Callable[..., Result]


def callback(name: str = "billing", **changes: Any) -> dict[str, Any]:
    return {
        "name": name,
        "url": "https://billing.example/hook",
        "state": "open",
        "paused_by": None,
        "reason": None,
        "since": None,
        "failures_in_a_row": 0,
        "in_flight": 3,
        "backlog": 12345,
        "oldest_backlog_at": "2023-11-14T22:13:20.000Z",
        "dead_letters": 4,
    } | changes


def sent(**changes: Any) -> dict[str, Any]:
    return {
        "callback": "billing",
        "source": "acme",
        "kind": "sms",
        "message_id": "relay-test-1",
        "webhook_id": "msg_1",
        "delivered": True,
        "status": 200,
        "error": None,
        "seconds": 0.012,
        "answer": "",
    } | changes


class Api:
    def __init__(self) -> None:
        self.callbacks = [callback()]
        self.answers: dict[str, tuple[int, Any]] = {}
        self.asked: list[tuple[str, str, Any]] = []

    def answer(self, method: str, target: str, body: bytes) -> tuple[int, Any]:
        path = target.removeprefix("/api/v1/callbacks")
        self.asked.append((method, path, json.loads(body) if body else None))
        return self.answers.get(path, (200, {"callbacks": self.callbacks}))


@pytest.fixture
def api() -> Api:
    return Api()


@pytest.fixture
def callbacks(api: Api, relay_command: Command) -> Iterator[Command]:
    class Answering(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            allowed = self.headers["Authorization"] == "Bearer canary-token"
            status, answer = api.answer(self.command, self.path, body) if allowed else (401, {"detail": "no"})
            content = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = _answer

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name of the parent's parameter
            pass

    with HTTPServer(("127.0.0.1", 0), Answering) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        url = f"http://127.0.0.1:{server.server_port}"
        yield lambda *arguments: relay_command(
            "callbacks", *arguments, "--url", url, RELAY_TOKEN="canary-token", COLUMNS="140"
        )
        server.shutdown()
        thread.join()


def test_the_list_for_people(callbacks: Command, api: Api) -> None:
    hostile = "\x1b[2J [red]HTTP 500\u202e"
    api.callbacks += [
        callback("crm", state="half_open", reason=hostile, since="2023-11-14T22:13:20.000Z", backlog=None),
        callback("old", state="paused", reason="the callback says that it is gone (HTTP 410)"),
    ]
    result = callbacks("list")
    assert result.exit_code == 0
    for text in ("billing", "open", "12,345", "half open", " d ", "?", "paused", "gone (HTTP 410)"):
        assert text in result.stdout
    assert "\\x1b[2J [red]HTTP 500\\u202e" in result.stdout
    assert not set("\x1b\u202e") & set(result.stdout)


def test_no_callbacks(callbacks: Command, api: Api) -> None:
    api.callbacks = []
    result = callbacks("list")
    assert (result.exit_code, result.stdout) == (0, "no callbacks are configured\n")


def test_the_list_for_programs(callbacks: Command, api: Api) -> None:
    result = callbacks("list", "--json")
    assert json.loads(result.stdout) == {"callbacks": api.callbacks}


def test_pausing_with_a_reason(callbacks: Command, api: Api) -> None:
    api.answers = {"/billing/pause": (200, callback(state="paused")), "/crm/pause": (200, callback("crm"))}
    result = callbacks("pause", "billing", "crm", "--reason", "a new version")
    assert (result.exit_code, result.stdout) == (0, "billing: paused\ncrm: paused\n")
    body = {"reason": "a new version"}
    assert api.asked == [("POST", "/billing/pause", body), ("POST", "/crm/pause", body)]


def test_pausing_what_is_paused(callbacks: Command, api: Api) -> None:
    before = {"state": "paused", "reason": "paused by hand: a new version", "since": "2023-11-14T22:13:20.000Z"}
    api.answers = {"/billing/pause": (200, callback(**before) | {"was_paused": True})}
    assert callbacks("pause", "billing").stdout == (
        "billing: was paused since 2023-11-14T22:13:20.000Z; paused by hand: a new version\n"
    )


def test_resuming(callbacks: Command, api: Api) -> None:
    api.answers = {
        "/billing/resume": (200, callback() | {"resumed": True}),
        "/crm/resume": (200, callback() | {"resumed": False}),
    }
    result = callbacks("resume", "billing", "crm")
    assert (result.exit_code, result.stdout) == (0, "billing: resumed\ncrm: was open\n")


def test_a_sample_that_was_taken(callbacks: Command, api: Api) -> None:
    api.answers = {"/billing/test": (200, sent(answer="thanks \x1b[2J"))}
    result = callbacks("test", "billing", "--kind", "sms")
    assert result.exit_code == 0
    assert result.stdout == (
        "billing: took the sample relay-test-1 (acme/sms): HTTP 200 in 0.012 s\n"
        "  webhook-id msg_1\n"
        "  answer thanks \\x1b[2J\n"
    )
    assert api.asked == [("POST", "/billing/test", {"kind": "sms"})]


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (sent(delivered=False, status=500, answer="no"), "did not take the sample relay-test-1 (acme/sms): HTTP 500"),
        (sent(delivered=False, status=None, error="timeout"), "no answer (timeout)"),
    ],
)
def test_a_sample_that_was_not_taken_fails(callbacks: Command, api: Api, answer: dict[str, Any], told: str) -> None:
    api.answers = {"/billing/test": (200, answer)}
    result = callbacks("test", "billing")
    assert result.exit_code == 1
    assert told in result.stdout
    assert json.loads(callbacks("test", "billing", "--json").stdout) == {"callbacks": [answer]}


def test_a_name_that_is_none_is_wrong_use(callbacks: Command, api: Api) -> None:
    api.answers = {"/a%2Fb/pause": (404, {"detail": "there is no callback a/b in the configuration"})}
    result = callbacks("pause", "a/b")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == "relay callbacks pause: there is no callback a/b in the configuration\n"


def test_a_pause_that_is_not_durable_fails(callbacks: Command, api: Api) -> None:
    api.answers = {"/billing/pause": (503, {"detail": "it is in force, but a restart may undo it"})}
    result = callbacks("pause", "billing")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "a restart may undo it" in result.stderr


def test_a_relay_that_is_not_there(relay_command: Command) -> None:
    result = relay_command("callbacks", "list", "--url", "http://127.0.0.1:1", RELAY_TOKEN="canary-token")
    assert result.exit_code == 1
    assert "is the relay running there?" in result.stderr


def test_names_are_required(callbacks: Command) -> None:
    for action in ("pause", "resume", "test"):
        assert callbacks(action).exit_code == 2
