"""`relay dead-letters`: what is asked of the relay, what is shown, and how it ends."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from click.testing import Result

from tests.unit.cli.told_api import TOKEN, ToldApi, serving

Command = Callable[..., Result]
LIST = "/dead-letters"


def letter(id_: int, **changes: Any) -> dict[str, Any]:
    return {
        "id": id_,
        "callback": "billing",
        "source": "acme",
        "kind": "sms",
        "message_ids": [f"m-{id_}"],
        "attempts": 3,
        "status": 503,
        "reason": "not delivered within 9 s; last try: HTTP 503",
        "created_at": "2023-11-14T22:13:20.000Z",
        "dead_at": "2023-11-14T22:13:29.000Z",
        "has_body": True,
    } | changes


def put_back(count: int, following: int | None = None, **changes: Any) -> dict[str, Any]:
    return {"replayed": count, "unconfigured": 0, "without_body": 0, "busy": None, "next": following} | changes


@pytest.fixture
def api() -> Iterator[ToldApi]:
    with serving(ToldApi()) as api:
        yield api


@pytest.fixture
def letters(api: ToldApi, relay_command: Command) -> Command:
    return lambda *given: relay_command("dead-letters", *given, "--url", api.url, RELAY_TOKEN=TOKEN, COLUMNS="160")


def test_none(api: ToldApi, letters: Command) -> None:
    api.tell("GET", LIST, {"dead_letters": [], "next": None})
    result = letters("list")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "there are no dead letters\n", "")


def test_listed_with_all_filters(api: ToldApi, letters: Command) -> None:
    hostile = letter(8, message_ids=["[red]\x1b[2J", "b", "c", "d", "e"], has_body=False)
    api.tell("GET", LIST, {"dead_letters": [letter(7), hostile], "next": None})
    filters = ("--callback", "billing", "--source", "acme", "--kind", "sms", "--since", "2d", "--until", "1h")
    result = letters("list", *filters, "--reason", "last try", "--status", "503")
    assert result.exit_code == 0
    assert "m-7" in result.stdout
    assert "[red]\\x1b[2J, b, c and 2 more" in result.stdout
    assert "(no body)" in result.stdout
    ((_, _, query, _),) = api.asked
    assert query == {
        "callback": "billing",
        "source": "acme",
        "kind": "sms",
        "since": "2d",
        "until": "1h",
        "reason": "last try",
        "status": "503",
        "limit": "100",
        "after": "0",
    }


def test_listed_as_json_over_pages(api: ToldApi, letters: Command) -> None:
    api.tell("GET", LIST, {"dead_letters": [letter(n) for n in range(1, 1001)], "next": 1000})
    api.tell("GET", LIST, {"dead_letters": [letter(1001)], "next": 1001})
    result = letters("list", "--limit", "1001", "--json")
    told = json.loads(result.stdout)
    assert ([one["id"] for one in told["dead_letters"]], told["next"]) == (list(range(1, 1002)), 1001)
    assert [query["limit"] for _, _, query, _ in api.asked] == ["1000", "1"]
    assert [query["after"] for _, _, query, _ in api.asked] == ["0", "1000"]


def test_there_may_be_more(api: ToldApi, letters: Command) -> None:
    api.tell("GET", LIST, {"dead_letters": [letter(7)], "next": 7})
    assert letters("list", "--limit", "1").stderr == "there may be more: --after 7\n"


def test_wrong_times_are_wrong_use(api: ToldApi, letters: Command) -> None:
    api.refuse("GET", LIST, 400, "since must be how long ago")
    result = letters("list", "--since", "soon")
    assert (result.exit_code, result.stderr) == (2, "relay dead-letters list: --since must be how long ago\n")


def test_one_with_its_attempts(api: ToldApi, letters: Command) -> None:
    attempt = {"at": "2023-11-14T22:13:20.000Z", "seconds": 0.0123, "status": None, "result": "retry"}
    report = {"ce_id": "m-7", "seq": 4, "received_at": "2023-11-14T22:13:19.000Z", "report": {"to": "[hidden]"}}
    api.tell(
        "GET",
        LIST + "/7",
        letter(7)
        | {
            "reports": [report, report | {"seq": 5, "report": None}],
            "attempts_made": [
                attempt | {"error": "timed out", "answer": ""},
                attempt | {"status": 503, "result": "dead", "error": None, "answer": "\x1b[2Jbusy"},
            ],
        },
    )
    result = letters("show", "7")
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        "id        7",
        "callback  billing",
        "stream    acme/sms",
        "dead      2023-11-14T22:13:29.000Z, due since 2023-11-14T22:13:20.000Z",
        "reason    not delivered within 9 s; last try: HTTP 503",
        "attempts  3, 2 of them in history",
        "  2023-11-14T22:13:20.000Z  no answer in 12 ms: to be tried again, timed out",
        "  2023-11-14T22:13:20.000Z  HTTP 503 in 12 ms: given up  '\\x1b[2Jbusy'",
        "report    m-7, entry 4, received 2023-11-14T22:13:19.000Z",
        '  {"to": "[hidden]"}',
        "report    m-7, entry 5, received 2023-11-14T22:13:19.000Z",
        "  its body is gone",
    ]


def test_one_that_is_not_there(api: ToldApi, letters: Command) -> None:
    api.refuse("GET", LIST + "/7", 404, "there is no dead letter 7")
    result = letters("show", "7")
    assert (result.exit_code, result.stderr) == (1, "relay dead-letters show: there is no dead letter 7\n")


def test_some_are_put_back(api: ToldApi, letters: Command) -> None:
    api.tell("POST", LIST + "/7/replay", {"id": 7, "replayed": True, "reports": 1})
    api.refuse("POST", LIST + "/8/replay", 409, "dead letter 8 has no body any more")
    result = letters("replay", "7", "8")
    assert result.exit_code == 1
    assert result.stdout == "7: put back, to be sent again\n8: dead letter 8 has no body any more\n"
    assert letters("replay", "7").exit_code == 0


def test_all_are_put_back_part_by_part(api: ToldApi, letters: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[float] = []
    monkeypatch.setattr("relay.cli.dead_letters.time.sleep", waited.append)
    api.tell("POST", LIST + "/replay", put_back(1000, 1000), put_back(3, 1003, busy="billing"), put_back(2))
    result = letters("replay", "--all", "--callback", "billing", "--since", "1h")
    assert (result.exit_code, result.stdout) == (0, "1,005 put back\n")
    assert waited == [1.0]
    assert [query["after"] for _, _, query, _ in api.asked] == ["0", "1000", "1003"]
    assert len({query["until"] for _, _, query, _ in api.asked}) == 1
    assert {(query["callback"], query["since"]) for _, _, query, _ in api.asked} == {("billing", "1h")}


def test_what_could_not_be_put_back_is_told(api: ToldApi, letters: Command) -> None:
    api.tell("POST", LIST + "/replay", put_back(1, unconfigured=2, without_body=3))
    result = letters("replay", "--all")
    assert result.exit_code == 1
    assert result.stdout == "1 put back, 3 have no body any more, 2 are of callbacks that are not configured\n"
    told = json.loads(letters("replay", "--all", "--json").stdout)
    assert told == {"replayed": 1, "unconfigured": 2, "without_body": 3, "interrupted": False}


def test_interrupted_between_two_parts(api: ToldApi, letters: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(_seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("relay.cli.dead_letters.time.sleep", interrupt)
    api.tell("POST", LIST + "/replay", put_back(5, 5, busy="billing"))
    result = letters("replay", "--all")
    assert (result.exit_code, result.stdout) == (1, "5 put back; interrupted, the rest are as they were\n")
    assert len(api.asked) == 1


def test_dropped(api: ToldApi, letters: Command) -> None:
    api.tell("DELETE", LIST + "/7", {"id": 7, "dropped": True})
    assert letters("drop", "7").stdout == "7: dropped\n"
    assert json.loads(letters("drop", "7", "--json").stdout) == {"dead_letters": [{"id": 7, "dropped": True}]}
    api.tell("POST", LIST + "/drop", {"dropped": 2, "next": 9}, {"dropped": 1, "next": None})
    assert letters("drop", "--all", "--status", "410").stdout == "3 dropped\n"


@pytest.mark.parametrize("command", ["replay", "drop"])
@pytest.mark.parametrize("given", [(), ("7", "--all"), ("7", "--callback", "billing"), ("--callback", "billing")])
def test_what_is_meant_must_be_said(api: ToldApi, letters: Command, command: str, given: tuple[str, ...]) -> None:
    result = letters(command, *given)
    assert result.exit_code == 2
    assert result.stderr.startswith(f"relay dead-letters {command}: give ")
    assert api.asked == []
