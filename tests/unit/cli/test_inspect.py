"""`relay inspect`: what is asked of the relay, and what is shown of a report's life."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from click.testing import Result

from tests.unit.cli.told_api import TOKEN, ToldApi, serving

Command = Callable[..., Result]


@pytest.fixture
def api() -> Iterator[ToldApi]:
    with serving(ToldApi()) as api:
        yield api


@pytest.fixture
def inspect(api: ToldApi, relay_command: Command) -> Command:
    return lambda *given: relay_command("inspect", *given, "--url", api.url, RELAY_TOKEN=TOKEN)


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
            (
                "acme/sms, entry 5: gone, as its retention is over, or room was short; revision 2, "
                "seen 2023-11-12 07:00 to 08:00 UTC"
            ),
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
