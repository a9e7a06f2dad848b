"""`relay replay`: what is asked of the relay, what is shown, and how it ends."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from click.testing import Result

from tests.unit.cli.told_api import TOKEN, ToldApi, serving

Command = Callable[..., Result]
BILLING = ("--callback", "billing", "--since", "24h")


def run(state: str = "running", **changes: Any) -> dict[str, Any]:
    return {
        "id": 4,
        "callback": "billing",
        "state": state,
        "since": "2023-11-13T22:13:20.000Z",
        "until": "2023-11-14T22:13:20.000Z",
        "started_at": "2023-11-14T22:13:20.000Z",
        "share_read": 1.0,
        "reports": 10,
        "delivered": 10,
        "pending": 0,
        "dead": 0,
        "waiting": 0,
        "gone": 0,
    } | changes


@pytest.fixture
def api() -> Iterator[ToldApi]:
    with serving(ToldApi()) as api:
        yield api


@pytest.fixture
def replay(api: ToldApi, relay_command: Command, monkeypatch: pytest.MonkeyPatch) -> Command:
    monkeypatch.setattr("relay.cli.replay.LOOK_EVERY_SECONDS", 0.0)
    return lambda *given: relay_command("replay", *given, "--url", api.url, RELAY_TOKEN=TOKEN, COLUMNS="160")


def test_followed_to_its_end(api: ToldApi, replay: Command) -> None:
    api.tell("POST", "/replays", run(share_read=0.0, reports=0, delivered=0), status=202)
    api.tell("GET", "/replays/4", run(share_read=0.5, pending=5, delivered=5), run("done"))
    result = replay(*BILLING, "--until", "1h", "--status-group", "DELIVERED", "--status-group", "5", "--kind", "sms")
    assert result.exit_code == 0, result.output
    assert result.stdout == "replay 4 to billing: done, 10 queued, 10 delivered, 0 pending\n"
    assert api.asked[0][3] == {
        "callback": "billing",
        "since": "24h",
        "until": "1h",
        "source": None,
        "kind": "sms",
        "status_groups": ["DELIVERED", "5"],
        "dry_run": False,
    }
    assert [(method, path) for method, path, *_ in api.asked] == [
        ("POST", "/replays"),
        ("GET", "/callbacks/billing"),
        ("GET", "/replays/4"),
        ("GET", "/replays/4"),
    ]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"dead": 2, "delivered": 8}, "8 delivered, 0 pending, 2 dead"),
        ({"gone": 3, "waiting": 1}, "0 pending; 1 was waiting to be sent anyway; 3 entries were gone"),
    ],
)
def test_not_all_of_it_came_through(api: ToldApi, replay: Command, changes: dict[str, Any], told: str) -> None:
    api.tell("POST", "/replays", run("done", **changes), status=202)
    result = replay(*BILLING)
    assert result.exit_code == 1
    assert told in result.stdout


def test_counted_only(api: ToldApi, replay: Command) -> None:
    counts = [
        {"source": "acme", "kind": "sms", "reports": 1200, "waiting": 3, "dead": 2},
        {"source": "acme", "kind": "voice", "reports": 1, "waiting": 0, "dead": 0},
    ]
    api.tell("POST", "/replays", {"dry_run": True, "reports": 1201, "streams": counts})
    result = replay(*BILLING, "--dry-run")
    assert (result.exit_code, result.stdout.splitlines()) == (
        0,
        [
            "acme/sms: 1,200 would be sent again, 2 of them are dead letters now; 3 wait to be sent anyway",
            "acme/voice: 1 would be sent again",
            "1,201 in all, nothing sent (dry run)",
        ],
    )
    assert api.asked[0][3]["dry_run"] is True
    assert json.loads(replay(*BILLING, "--dry-run", "--json").stdout)["reports"] == 1201


def test_begun_and_left_to_itself(api: ToldApi, replay: Command) -> None:
    api.tell("POST", "/replays", run(reports=0, delivered=0), status=202)
    result = replay(*BILLING, "--detach", "--json")
    assert (result.exit_code, json.loads(result.stdout)["state"]) == (0, "running")
    assert [path for _, path, *_ in api.asked] == ["/replays", "/callbacks/billing"]
    assert result.stderr == ""


@pytest.mark.parametrize(
    ("callback", "told"),
    [
        (
            {"state": "paused", "reason": "paused by hand: a new \x1b[2Jversion"},
            (
                "callback billing is paused (paused by hand: a new \\x1b[2Jversion), nothing is sent to it; "
                "go on: relay callbacks resume billing\n"
            ),
        ),
        (
            {"state": "half_open", "reason": "HTTP 500"},
            (
                "callback billing is half open (HTTP 500), it gets single attempts until one succeeds; "
                "go on: relay callbacks resume billing\n"
            ),
        ),
        ({"state": "open", "reason": None}, ""),
    ],
)
def test_a_callback_that_is_sent_nothing_now_is_told(
    api: ToldApi, replay: Command, callback: dict[str, Any], told: str
) -> None:
    api.tell("POST", "/replays", run(reports=896, delivered=0, pending=896), status=202)
    api.tell("GET", "/callbacks/billing", callback)
    result = replay(*BILLING, "--detach")
    assert result.stderr == told + "it goes on by itself; how far it is: relay replay --list\n"
    assert result.stdout == "replay 4 to billing: running, 896 queued, 0 delivered, 896 pending\n"


def test_where_the_history_begins_is_told_if_more_was_asked_for(api: ToldApi, replay: Command) -> None:
    answer = {"dry_run": True, "reports": 0, "streams": [], "history_from": "2023-11-14T22:13:25.000Z"}
    api.tell("POST", "/replays", answer)
    result = replay(*BILLING, "--dry-run")
    assert result.exit_code == 0
    assert "the journal goes back to 2023-11-14T22:13:25Z: what came before that is gone\n" in result.stderr


def test_a_dry_run_tells_of_a_callback_that_is_paused(api: ToldApi, replay: Command) -> None:
    api.tell("POST", "/replays", {"dry_run": True, "reports": 0, "streams": []})
    api.tell("GET", "/callbacks/billing", {"state": "paused", "reason": "paused by hand"})
    assert "relay callbacks resume billing" in replay(*BILLING, "--dry-run").stderr


def test_ctrl_c_pauses_it(api: ToldApi, replay: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(_seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("relay.cli.replay.time.sleep", interrupt)
    api.tell("POST", "/replays", run(), status=202)
    api.tell("POST", "/replays/4/pause", run("paused", pending=2, delivered=8))
    result = replay(*BILLING)
    assert result.exit_code == 1
    assert result.stdout.endswith("paused, 10 queued, 8 delivered, 2 pending; go on: relay replay --resume 4\n")


def test_resumed(api: ToldApi, replay: Command) -> None:
    api.tell("POST", "/replays/4/resume", run())
    api.tell("GET", "/replays/4", run("done"))
    assert replay("--resume", "4").exit_code == 0
    api.refuse("POST", "/replays/5/resume", 409, "replay 5 is done")
    result = replay("--resume", "5")
    assert (result.exit_code, result.stderr) == (1, "relay replay: replay 5 is done\n")


def test_cancelled(api: ToldApi, replay: Command) -> None:
    api.tell("DELETE", "/replays/4", run("cancelled", pending=1, delivered=9))
    result = replay("--cancel", "4")
    assert (result.exit_code, result.stdout) == (
        0,
        "replay 4 to billing: cancelled, 10 queued, 9 delivered, 1 pending\n",
    )


def test_cancelled_by_somebody_else(api: ToldApi, replay: Command) -> None:
    api.tell("POST", "/replays", run(), status=202)
    api.tell("GET", "/replays/4", run("cancelled"))
    assert replay(*BILLING).exit_code == 1


def test_listed(api: ToldApi, replay: Command) -> None:
    api.tell("GET", "/replays", {"replays": [run(), run("done", id=3, reports=1234)], "next": None})
    result = replay("--list")
    assert result.exit_code == 0
    lines = [line.split() for line in result.stdout.splitlines() if "billing" in line]
    assert [line[:3] for line in lines] == [["4", "billing", "running"], ["3", "billing", "done"]]
    assert "1,234" in result.stdout
    assert len(json.loads(replay("--list", "--json").stdout)["replays"]) == 2


def test_no_replays(api: ToldApi, replay: Command) -> None:
    api.tell("GET", "/replays", {"replays": [], "next": None})
    assert replay("--list").stdout == "there are no replays\n"


@pytest.mark.parametrize(
    "given",
    [
        (),
        ("--callback", "billing"),
        ("--since", "1h"),
        ("--resume", "4", "--cancel", "5"),
        ("--list", "--dry-run"),
        ("--resume", "4", *BILLING),
    ],
)
def test_wrong_use(api: ToldApi, replay: Command, given: tuple[str, ...]) -> None:
    result = replay(*given)
    assert result.exit_code == 2
    assert result.stderr.startswith("relay replay: ")
    assert api.asked == []


@pytest.mark.parametrize(("status", "code"), [(400, 2), (404, 2), (409, 1), (503, 1)])
def test_what_the_relay_says_no_to(api: ToldApi, replay: Command, status: int, code: int) -> None:
    api.refuse("POST", "/replays", status, "no such \x1b[2Jthing")
    result = replay(*BILLING)
    assert (result.exit_code, result.stderr) == (code, "relay replay: no such \\x1b[2Jthing\n")
