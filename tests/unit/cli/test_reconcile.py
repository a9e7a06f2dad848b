"""`relay reconcile`: what is asked of the relay, what is shown, and how it ends."""

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from click.testing import Result

from relay.cli import reconcile as command

Command = Callable[..., Result]


def stream(**changes: Any) -> dict[str, Any]:
    return {
        "source": "acme",
        "kind": "sms",
        "state": "done",
        "since": "2023-11-13T22:13:20.000Z",
        "until": "2023-11-14T22:03:20.000Z",
        "share_compared": 1.0,
        "calls": 4,
        "calls_left": 0,
        "rows": 100,
        "missing": 2,
        "appended": 1,
        "holes": 0,
        "error": None,
    } | changes


def run(state: str = "done", **changes: Any) -> dict[str, Any]:
    return {
        "id": "ab12",
        "state": state,
        "dry_run": False,
        "include_earlier": False,
        "started_at": "2023-11-14T22:13:20.000Z",
        "ended_at": None,
        "missing_listed": 2,
        "streams": [stream()],
    } | changes


def missing(message_id: str, place: str, *, appended: bool = False) -> dict[str, Any]:
    return {
        "source": "acme",
        "kind": "sms",
        "message_id": message_id,
        "outcome": "5:0",
        "sent_at": None,
        "done_at": "2023-11-14T22:00:00.000Z",
        "place": place,
        "appended": appended,
    }


class Api:
    """Answers a start with `runs[0]`, each look with the next of them, and what is missing in pages of one."""

    def __init__(self) -> None:
        self.runs = [run("running"), run("running"), run()]
        self.start: tuple[int, Any] | None = None
        self.missing = [missing("m-1", "gap", appended=True), missing("m-2\x1b[2J", "earlier")]
        self.asked: list[tuple[str, str, Any]] = []

    def answer(self, method: str, target: str, body: bytes) -> tuple[int, Any]:
        path = target.removeprefix("/api/v1/reconcile")
        self.asked.append((method, path, json.loads(body) if body else None))
        if method == "POST":
            return self.start or (202, self.runs.pop(0))
        if path.startswith("/ab12/missing"):
            after = int(path.partition("after=")[2].partition("&")[0])
            page = self.missing[after : after + 1]
            return 200, {"missing": page, "next": after + 1 if page else None}
        if method == "DELETE":
            return 200, run("cancelled")
        return 200, self.runs.pop(0)


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Api:
    monkeypatch.setattr(command, "LOOK_EVERY_SECONDS", 0.0)
    return Api()


@pytest.fixture
def reconcile(api: Api, relay_command: Command) -> Iterator[Command]:
    class Answering(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            status, answer = api.answer(self.command, self.path, body)
            content = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_DELETE = _answer

        def log_message(self, *_arguments: Any) -> None:
            """Nothing: the test's output is the command's."""

    server = HTTPServer(("127.0.0.1", 0), Answering)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()

    def invoke(*arguments: str) -> Result:
        url = f"http://127.0.0.1:{server.server_port}"
        return relay_command("reconcile", *arguments, "--url", url, RELAY_TOKEN="canary-token", COLUMNS="200")

    yield invoke
    server.shutdown()
    thread.join()
    server.server_close()


def test_it_starts_a_run_looks_until_it_is_over_and_prints_what_is_missing(reconcile: Command, api: Api) -> None:
    result = reconcile("--since", "24h")
    assert result.exit_code == 0, result.output
    assert api.asked[0] == (
        "POST",
        "",
        {"since": "24h", "dry_run": False, "include_earlier": False, "source": None, "kind": None},
    )
    assert [path for method, path, _ in api.asked if method == "GET"][:2] == ["/ab12", "/ab12"]
    assert "acme/sms: done" in result.output
    assert "100 rows in 4 calls, 2 missing, 1 appended" in result.output
    assert "m-1" in result.output
    assert "m-2\\x1b[2J" in result.output
    assert "\x1b[2J" not in result.output
    assert "another reader took it, or the first read was lost" in result.output
    lines = result.stdout.splitlines()
    assert lines[0].split("  ")[0] == "stream"
    assert "status group:id" in lines[0]
    assert "left out: --include-earlier takes them in" in lines[-2]
    assert lines[-1].startswith("acme/sms: done")


def test_all_options_are_passed_on(reconcile: Command, api: Api) -> None:
    reconcile("--since", "2d", "--dry-run", "--include-earlier", "--source", "acme", "--kind", "voice")
    assert api.asked[0][2] == {
        "since": "2d",
        "dry_run": True,
        "include_earlier": True,
        "source": "acme",
        "kind": "voice",
    }


def test_json(reconcile: Command, api: Api) -> None:
    result = reconcile("--since", "24h", "--json")
    assert json.loads(result.stdout) == {**run(), "missing": api.missing}


def test_a_dry_run_says_so(reconcile: Command, api: Api) -> None:
    api.runs = [run("done", dry_run=True, streams=[stream(appended=0)])]
    assert "nothing appended (dry run)" in reconcile("--since", "24h", "--dry-run").output


def test_what_is_not_listed_is_counted(reconcile: Command, api: Api) -> None:
    api.runs = [run(streams=[stream(missing=60_000, rows=1_234_567, calls=1)])]
    output = reconcile("--since", "24h").output
    assert "… and 59,998 more (--json shows 2; the others are only counted)" in output
    assert "1,234,567 rows in 1 call, 60,000 missing" in output


@pytest.mark.parametrize(("count", "told"), [(20, ""), (21, "… and 1 more (--json shows all)")])
def test_only_the_first_are_shown(reconcile: Command, api: Api, count: int, told: str) -> None:
    api.missing = [missing(f"m-{n}", "gap") for n in range(count)]
    api.runs = [run(streams=[stream(missing=count)])]
    output = reconcile("--since", "24h").output
    assert sum("  m-" in line for line in output.splitlines()) == 20
    assert ("more (" in output) is bool(told)
    assert told in output


def test_nothing_missing_is_one_line(reconcile: Command, api: Api) -> None:
    api.missing, api.runs = [], [run(streams=[stream(missing=0, appended=0)])]
    assert len(reconcile("--since", "24h").stdout.splitlines()) == 1


def test_what_was_taken_in_is_not_left_out(reconcile: Command, api: Api) -> None:
    api.runs = [run(include_earlier=True)]
    assert "left out" not in reconcile("--since", "24h", "--include-earlier").output


@pytest.mark.parametrize(
    ("state", "changes", "told"),
    [
        ("incomplete", {"holes": 2}, "2 milliseconds hold more rows than can be had"),
        ("failed", {"error": "the logs endpoint answered 401"}, "the logs endpoint answered 401"),
        ("cancelled", {}, "acme/sms: cancelled"),
    ],
)
def test_less_than_all_is_a_failure(
    reconcile: Command, api: Api, state: str, changes: dict[str, Any], told: str
) -> None:
    api.runs = [run(state, streams=[stream(state=state, **changes)])]
    result = reconcile("--since", "24h")
    assert result.exit_code == 1
    assert told in result.output


@pytest.mark.parametrize(
    ("status", "code"), [(400, 2), (404, 2), (409, 1), (500, 1)], ids=["no duration", "no stream", "busy", "bug"]
)
def test_a_refusal_says_why(reconcile: Command, api: Api, status: int, code: int) -> None:
    api.start = (status, {"detail": "for a reason"})
    result = reconcile("--since", "24h")
    assert result.exit_code == code
    assert "relay reconcile: for a reason" in result.output


def test_a_span_that_is_too_short_is_refused_by_its_option(reconcile: Command, api: Api) -> None:
    api.start = (400, {"detail": "since must be more than 10m: the reports of the last 10m may still come"})
    result = reconcile("--since", "5m")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith("relay reconcile: --since must be more than 10m: ")


def test_ctrl_c_cancels_the_run(reconcile: Command, api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(_seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(command.time, "sleep", interrupt)
    result = reconcile("--since", "24h")
    assert result.exit_code == 1
    assert ("DELETE", "/ab12", None) in api.asked


def test_since_is_needed(reconcile: Command) -> None:
    assert reconcile().exit_code == 2
