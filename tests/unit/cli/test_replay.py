"""`relay replay` and `relay inspect`: what is asked of the relay, what is shown, and how it ends."""

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


@pytest.fixture
def inspect(api: ToldApi, relay_command: Command) -> Command:
    return lambda *given: relay_command("inspect", *given, "--url", api.url, RELAY_TOKEN=TOKEN)


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


# --- inspect ---


def test_the_whole_life(api: ToldApi, inspect: Command) -> None:
    attempts = [
        {
            "at": "2023-11-14T22:13:21.000Z",
            "seconds": 1.5,
            "status": 503,
            "result": "retry",
            "error": None,
            "answer": "busy\n",
        },
        {
            "at": "2023-11-14T22:13:26.000Z",
            "seconds": 0.01,
            "status": 204,
            "result": "delivered",
            "error": None,
            "answer": "",
        },
    ]
    callback = {"state": "delivered", "attempts": [], "next_attempt_at": None, "dead_letter": None, "reason": None}
    gap = {
        "id": 3,
        "cause": "timeout",
        "state": "open",
        "since": "2023-11-14T22:13:00.000Z",
        "until": "2023-11-14T22:13:20.000Z",
    }
    entry = {
        "source": "acme",
        "kind": "voice",
        "seq": 12,
        "type": "report",
        "revision": 1,
        "origin": "poll",
        "received_at": "2023-11-14T22:13:20.000Z",
        "report": {"messageId": "m-1", "to": "[hidden]"},
        "fetch": {"id": 9, "requested_at": "2023-11-14T22:13:19.000Z", "status": 200, "complete": False},
        "gaps": [gap],
        "kafka": {
            "state": "published",
            "topic": "infobip.voice.reports",
            "relay_seq": 12,
            "position": 20,
            "published_at": "2023-11-14T22:13:20.500Z",
        },
        "recording": {
            "state": "pending",
            "url": "https://x/1",
            "failed_attempts": 2,
            "next_attempt_at": "2023-11-14T22:14:00.000Z",
            "reason": "HTTP 503",
        },
        "callbacks": [
            callback | {"callback": "billing", "attempts": attempts},
            callback | {"callback": "crm", "state": "dead", "dead_letter": 77, "reason": "too \x1b[2Jold"},
            callback | {"callback": "bi", "state": "pending", "next_attempt_at": "2023-11-14T22:15:00.000Z"},
            callback | {"callback": "late", "state": "passed"},
        ],
    }
    known = [
        {"source": "acme", "kind": "voice", "revisions": 1, "last_seq": 12, "seen_at": "2023-11-14T22:00:00.000Z"},
        {"source": "acme", "kind": "sms", "revisions": 2, "last_seq": 5, "seen_at": "2023-11-12T07:00:00.000Z"},
    ]
    api.tell("GET", "/inspect", {"message_id": "m-1", "entries": [entry], "known": known})
    result = inspect("m-1")
    assert api.asked[0][2] == {"message_id": "m-1"}
    assert (result.exit_code, result.stdout.splitlines()) == (
        0,
        [
            "m-1",
            "",
            "acme/voice, entry 12: report, revision 1",
            (
                "  received   2023-11-14T22:13:20.000Z, polled (fetch 9, asked for at 2023-11-14T22:13:19.000Z,"
                " HTTP 200, cut short)"
            ),
            "  gap        3 (timeout, open), 2023-11-14T22:13:00.000Z to 2023-11-14T22:13:20.000Z",
            '  report     {"messageId": "m-1", "to": "[hidden]"}',
            (
                "  kafka      in infobip.voice.reports, relay_seq 12, in the transaction known to be committed at"
                " 2023-11-14T22:13:20.500Z"
            ),
            "  recording  pending: https://x/1, next attempt 2023-11-14T22:14:00.000Z after 2 that failed; HTTP 503",
            "  callback   billing: delivered",
            "               2023-11-14T22:13:21.000Z  HTTP 503 in 1,500 ms: to be tried again  'busy\\n'",
            "               2023-11-14T22:13:26.000Z  HTTP 204 in 10 ms: delivered",
            "  callback   crm: dead letter 77: too \\x1b[2Jold",
            "  callback   bi: pending, next attempt 2023-11-14T22:15:00.000Z",
            "  callback   late: not for it: it began later, does not want such, or its dead letter was dropped",
            "",
            "acme/sms, entry 5: gone, its retention is over; revision 2, seen 2023-11-12T07h",
        ],
    )


@pytest.mark.parametrize(
    ("kafka", "told"),
    [
        ({"state": "waiting", "published_at": None}, "waits for t, relay_seq 12; the cursor is at 7"),
        ({"state": "refused", "published_at": None}, "refused by t: see the quarantine"),
        ({"state": "published", "published_at": None}, "in t, relay_seq 12"),
    ],
)
def test_where_it_is_in_kafka(api: ToldApi, inspect: Command, kafka: dict[str, Any], told: str) -> None:
    entry = {
        "source": "acme",
        "kind": "sms",
        "seq": 12,
        "type": "report",
        "revision": 1,
        "origin": "logs",
        "received_at": "2023-11-14T22:13:20.000Z",
        "report": None,
        "fetch": None,
        "gaps": [],
        "kafka": {"topic": "t", "relay_seq": 12, "position": 7, **kafka},
        "recording": None,
        "callbacks": [],
    }
    life = {"message_id": "m-1", "entries": [entry], "known": []}
    api.tell("GET", "/inspect", life)
    assert inspect("m-1").stdout.splitlines() == [
        "m-1",
        "",
        "acme/sms, entry 12: report, revision 1",
        "  received   2023-11-14T22:13:20.000Z, found in the logs",
        "  report     its body is gone",
        f"  kafka      {told}",
    ]
    assert json.loads(inspect("m-1", "--json").stdout) == life


ANNOUNCED = {"messageId": "m-1", "source": "acme", "path": "acme/2015/02/12/m-1.wav", "bytes": 83244, "seconds": 5.2}


@pytest.mark.parametrize(
    ("recording", "announced", "told"),
    [
        ({"state": "stored"}, ANNOUNCED, "stored: acme/2015/02/12/m-1.wav, 5.2 seconds, 83,244 bytes"),
        ({"state": "stored"}, None, "stored"),
        ({"state": "given up", "reason": "HTTP 404"}, None, "given up; HTTP 404"),
        (
            {"state": "pending", "url": "https://x/1", "next_attempt_at": "2023-11-14T22:14:00.000Z"},
            None,
            "pending: https://x/1, next attempt 2023-11-14T22:14:00.000Z after 0 that failed",
        ),
    ],
)
def test_where_the_recording_is(
    api: ToldApi, inspect: Command, recording: dict[str, Any], announced: dict[str, Any] | None, told: str
) -> None:
    told_of = {"state": "", "url": "", "failed_attempts": 0, "next_attempt_at": None, "reason": None} | recording
    report = {
        "source": "acme",
        "kind": "voice",
        "seq": 12,
        "type": "report",
        "revision": 1,
        "origin": "logs",
        "received_at": "2023-11-14T22:13:20.000Z",
        "report": {},
        "fetch": None,
        "gaps": [],
        "kafka": None,
        "recording": told_of,
        "callbacks": [],
    }
    entries = [report, report | {"seq": 13, "type": "recording", "report": announced}]
    elsewhere = report | {"source": "other", "type": "recording", "recording": None, "report": ANNOUNCED | {"bytes": 0}}
    api.tell("GET", "/inspect", {"message_id": "m-1", "entries": [elsewhere, *entries], "known": []})
    lines = [line for line in inspect("m-1").stdout.split("acme/voice")[1].splitlines() if "recording" in line]
    assert lines == [f"  recording  {told}"]


def test_of_what_nothing_is_known(api: ToldApi, inspect: Command) -> None:
    api.refuse("GET", "/inspect", 404, "nothing is known of a report with this messageId")
    result = inspect("m\x1b-1")
    assert result.exit_code == 1
    assert result.stderr == "relay inspect m\\x1b-1: nothing is known of a report with this messageId\n"
