"""`relay quarantine`: what is asked of the relay, what is shown, and how it ends."""

import base64
import io
import json
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from click.testing import Result

from relay.cli.quarantine import write_bytes

Command = Callable[..., Result]
HOSTILE = b'{"messageId":"","text":"\x1b[2J[bold]<b>x</b> and more of it"}'


def entry(id_: int, reason: str = "messageId is empty", **changes: Any) -> dict[str, Any]:
    return {
        "id": id_,
        "source": "acme",
        "kind": "sms",
        "seq": id_ - 100,
        "reason": reason,
        "received_at": "2023-11-14T22:13:20.000Z",
        "origin": "push",
        "fetch": 7,
        "size": len(HOSTILE),
        "refused_message_id": None,
        "done_at": None,
    } | changes


def outcome(id_: int, **changes: Any) -> dict[str, Any]:
    counts = {"new": 0, "duplicates": 0, "revisions": 0, "quarantined": 0}
    return {"id": id_, "done": True, **counts, "sent_again": False, "reason": None} | changes


class Api:
    """Answers as told, by method and path; the list in pages, filters aside."""

    def __init__(self) -> None:
        self.entries: list[dict[str, Any]] = []
        self.answers: dict[tuple[str, str], tuple[int, Any]] = {}
        self.asked: list[tuple[str, str, dict[str, str]]] = []

    def answer(self, method: str, target: str) -> tuple[int, Any]:
        parts = urlsplit(target)
        path, query = parts.path.removeprefix("/api/v1/quarantine"), dict(parse_qsl(parts.query))
        self.asked.append((method, path, query))
        if (method, path) == ("GET", ""):
            limit, after = int(query["limit"]), int(query["after"])
            page = [one for one in self.entries if one["id"] > after][:limit]
            return 200, {"entries": page, "next": page[-1]["id"] if len(page) == limit else None}
        return self.answers.get((method, path), (404, {"detail": "there is no quarantine entry"}))


@pytest.fixture
def api() -> Api:
    return Api()


@pytest.fixture
def quarantine(api: Api, relay_command: Command) -> Iterator[Command]:
    class Answering(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            allowed = self.headers["Authorization"] == "Bearer canary-token"
            status, body = api.answer(self.command, self.path) if allowed else (401, {"detail": "no"})
            content = body if isinstance(body, bytes) else json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_DELETE = _answer

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name of the parent's parameter
            pass

    with HTTPServer(("127.0.0.1", 0), Answering) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        url = f"http://127.0.0.1:{server.server_port}"
        yield lambda *arguments: relay_command(
            "quarantine", *arguments, "--url", url, RELAY_TOKEN="canary-token", COLUMNS="120"
        )
        server.shutdown()
        thread.join()


# --- list ---


def test_an_empty_quarantine(quarantine: Command) -> None:
    result = quarantine("list")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "nothing is in quarantine\n", "")


def test_the_list_for_people(quarantine: Command, api: Api) -> None:
    api.entries = [entry(101), entry(102, "\x1b[2J [red]bad\u202e", done_at="2023-11-14T22:13:20.000Z")]
    result = quarantine("list")
    assert result.exit_code == 0
    for text in ("101", "acme/sms", "messageId is empty", " d ", str(len(HOSTILE)), "done: \\x1b[2J [red]bad\\u202e"):
        assert text in result.stdout
    assert not set("\x1b\u202e") & set(result.stdout)


def test_the_list_for_programs(quarantine: Command, api: Api) -> None:
    api.entries = [entry(101, "\x1b\x9b"), entry(102)]
    result = quarantine("list", "--json")
    assert json.loads(result.stdout) == {"entries": api.entries, "next": None}
    assert not set("\x1b\x9b") & set(result.stdout)


def test_filters_are_passed_on(quarantine: Command, api: Api) -> None:
    quarantine("list", "--source", "acme", "--kind", "sms", "--reason", "is empty&", "--done", "--after", "9")
    assert api.asked == [
        (
            "GET",
            "",
            {"source": "acme", "kind": "sms", "reason": "is empty&", "done": "true", "limit": "100", "after": "9"},
        )
    ]


def test_pages_until_the_limit(quarantine: Command, api: Api) -> None:
    api.entries = [entry(id_) for id_ in range(101, 2302)]
    result = quarantine("list", "--limit", "2200", "--json")
    assert len(json.loads(result.stdout)["entries"]) == 2200
    assert json.loads(result.stdout)["next"] == 2300
    asked = [(query["limit"], query["after"]) for _, _, query in api.asked]
    assert asked == [("1000", "0"), ("1000", "1100"), ("200", "2100")]


def test_where_to_go_on(quarantine: Command, api: Api) -> None:
    api.entries = [entry(101), entry(102)]
    result = quarantine("list", "--limit", "1")
    assert "there may be more: --after 101" in result.stderr


# --- show ---


def test_one_for_people(quarantine: Command, api: Api) -> None:
    shown = entry(101, "bad \x1b[31m", bytes=base64.b64encode(HOSTILE).decode())
    api.answers["GET", "/101"] = 200, shown
    result = quarantine("show", "101")
    assert result.exit_code == 0
    assert result.stdout == (
        "id        101\n"
        "stream    acme/sms, entry 1\n"
        "reason    bad \\x1b[31m\n"
        "received  2023-11-14T22:13:20.000Z by push, fetch 7\n"
        f"size      {len(HOSTILE)} bytes\n"
        '  | {"messageId":"","text":"\\x1b[2J[bold]<b>x</b> and more of it"}\n'
    )
    assert api.asked == [("GET", "/101", {"bytes": "1024"})]


def test_a_refused_record_that_is_done(quarantine: Command, api: Api) -> None:
    done = {"refused_message_id": "m\x07", "done_at": "2023-11-15T00:00:00.000Z", "fetch": None, "bytes": "YWI="}
    api.answers["GET", "/101"] = 200, entry(101, **done)
    result = quarantine("show", "101", "--hex", "--bytes", "2")
    assert "refused   Kafka refused the record of messageId m\\x07\n" in result.stdout
    assert "done      2023-11-15T00:00:00.000Z: a retry has made it into reports\n" in result.stdout
    assert "received  2023-11-14T22:13:20.000Z by push\n" in result.stdout
    assert "  00000000  61 62  " in result.stdout


def test_one_for_programs(quarantine: Command, api: Api) -> None:
    api.answers["GET", "/101"] = 200, entry(101, bytes="YWI=")
    assert json.loads(quarantine("show", "101", "--json").stdout) == entry(101, bytes="YWI=")


def test_raw_bytes_into_a_pipe(quarantine: Command, api: Api) -> None:
    api.answers["GET", "/101/bytes"] = 200, HOSTILE
    result = quarantine("show", "101", "--raw")
    assert (result.exit_code, result.stdout_bytes) == (0, HOSTILE)


def test_no_raw_bytes_to_a_terminal(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr(sys, "stdout", terminal := Terminal())
    assert write_bytes(("http://127.0.0.1:1", None, None, "canary-token"), 101) == 2
    assert terminal.getvalue() == ""
    assert "redirect --raw to a file" in capsys.readouterr().err


@pytest.mark.parametrize("option", [[], ["--raw"], ["--json"]])
def test_none_of_that_id(quarantine: Command, option: list[str]) -> None:
    result = quarantine("show", "101", *option)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == "relay quarantine show: there is no quarantine entry\n"


# --- retry and drop ---


def test_retries_tell_what_became_of_each(quarantine: Command, api: Api) -> None:
    api.answers["POST", "/101/retry"] = 200, outcome(101, new=1)
    api.answers["POST", "/102/retry"] = 200, outcome(102, new=2, revisions=1, duplicates=3, quarantined=4)
    api.answers["POST", "/103/retry"] = 200, outcome(103, sent_again=True)
    result = quarantine("retry", "101", "102", "103")
    assert result.exit_code == 0
    assert result.stdout == (
        "101: done: new 1\n"
        "102: done: new 2, revisions 1, duplicates 3, quarantined anew 4\n"
        "103: done: sent again\n"
        "3 of 3 done\n"
    )


def test_what_still_is_no_report_is_a_failure(quarantine: Command, api: Api) -> None:
    api.answers["POST", "/101/retry"] = 200, outcome(101, done=False, reason="bad \x1b[2J")
    api.answers["POST", "/102/retry"] = 409, {"detail": "quarantine entry 102 is done"}
    api.answers["POST", "/103/retry"] = 200, outcome(103, duplicates=1)
    result = quarantine("retry", "101", "102", "103")
    assert result.exit_code == 1
    assert result.stdout == (
        "101: still in quarantine: bad \\x1b[2J\n"
        "102: quarantine entry 102 is done\n"
        "103: done: duplicates 1\n"
        "1 of 3 done\n"
    )


def test_retries_for_programs(quarantine: Command, api: Api) -> None:
    api.answers["POST", "/101/retry"] = 200, outcome(101, new=1)
    result = quarantine("retry", "101", "102", "--json")
    assert result.exit_code == 1
    told = {"id": 102, "error": "there is no quarantine entry"}
    assert json.loads(result.stdout) == {"entries": [outcome(101, new=1), told]}


def test_a_relay_that_cannot_now_ends_it(quarantine: Command, api: Api) -> None:
    api.answers["POST", "/101/retry"] = 200, outcome(101, new=1)
    api.answers["POST", "/102/retry"] = 503, {"detail": "not now: the cursor of acme/sms is not confirmed yet"}
    result = quarantine("retry", "101", "102", "103")
    assert result.exit_code == 1
    assert result.stdout == "101: done: new 1\n"
    assert "the cursor of acme/sms is not confirmed yet" in result.stderr
    assert [path for _, path, _ in api.asked] == ["/101/retry", "/102/retry"]


def test_all_that_the_filters_leave_as_of_the_beginning(quarantine: Command, api: Api) -> None:
    api.entries = [entry(id_) for id_ in range(101, 1102)]
    for one in api.entries:
        api.answers["DELETE", f"/{one['id']}"] = 200, {"id": one["id"], "dropped": True}
    result = quarantine("drop", "--all", "--reason", "empty")
    assert result.exit_code == 0
    assert result.stdout.startswith("101: dropped\n102: dropped\n")
    assert result.stdout.endswith("1101: dropped\n1001 of 1001 done\n")
    assert [(method, query.get("reason")) for method, _, query in api.asked[:3]] == [
        ("GET", "empty"),
        ("GET", "empty"),
        ("DELETE", None),
    ]


def test_nothing_left_by_the_filters(quarantine: Command) -> None:
    result = quarantine("retry", "--all")
    assert (result.exit_code, result.stdout) == (0, "0 of 0 done\n")


@pytest.mark.parametrize("command", ["retry", "drop"])
@pytest.mark.parametrize("arguments", [[], ["--reason", "x"], ["101", "--all"], ["101", "--kind", "sms"]])
def test_a_choice_must_be_clear(quarantine: Command, api: Api, command: str, arguments: list[str]) -> None:
    result = quarantine(command, *arguments)
    assert result.exit_code == 2
    assert f"relay quarantine {command}: give " in result.stderr
    assert api.asked == []


@pytest.mark.parametrize("arguments", [["list"], ["show", "101"], ["retry", "101"], ["drop", "--all"]])
def test_a_wrong_token_and_none(relay_command: Command, quarantine: Command, arguments: list[str]) -> None:
    result = relay_command("quarantine", *arguments, "--url", "http://127.0.0.1:1")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "no token: set RELAY_TOKEN" in result.stderr
    result = relay_command("quarantine", *arguments, "--url", "http://127.0.0.1:1", RELAY_TOKEN="canary-token")
    assert result.exit_code == 1
    assert "is the relay running there?" in result.stderr
    assert "canary" not in result.output
