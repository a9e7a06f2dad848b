"""`relay cursor`: what is asked of the relay, what is shown, and how it ends."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from click.testing import Result

from tests.unit.cli.told_api import TOKEN, ToldApi, serving

Command = Callable[..., Result]


def cursor(kind: str = "sms", **changes: Any) -> dict[str, Any]:
    return {
        "source": "acme",
        "kind": kind,
        "position": 1200,
        "last_seq": 3400,
        "earliest": 700,
        "cluster_id": "5L6g3nShT-eMCtK--X86sw",
        "at": "2023-11-14T22:13:20.000Z",
        "degraded": None,
    } | changes


@pytest.fixture
def api() -> Iterator[ToldApi]:
    with serving(ToldApi()) as api:
        yield api


@pytest.fixture
def command(api: ToldApi, relay_command: Command) -> Command:
    return lambda *arguments: relay_command("cursor", *arguments, "--url", api.url, RELAY_TOKEN=TOKEN)


def test_the_list_for_people(command: Command, api: ToldApi) -> None:
    blocked = cursor("voice", cluster_id=None, degraded="the brokers belong to \x1b[2J another")
    api.tell("GET", "/cursors", {"cursors": [cursor(), blocked]})
    result = command("list")
    assert result.exit_code == 0
    _, _, sms, voice = result.stdout.splitlines()
    assert sms.split()[:5] == ["acme/sms", "1200", "3400", "700", "5L6g3nShT-eMCtK--X86sw"]
    assert voice.split()[:5] == ["acme/voice", "1200", "3400", "700", "-"]
    assert voice.endswith("the brokers belong to \\x1b[2J another")


def test_no_cursors(command: Command, api: ToldApi) -> None:
    api.tell("GET", "/cursors", {"cursors": []})
    result = command("list")
    assert (result.exit_code, result.stdout) == (0, "nothing was ever published to Kafka\n")


def test_the_list_for_programs(command: Command, api: ToldApi) -> None:
    api.tell("GET", "/cursors", {"cursors": [cursor()]})
    assert json.loads(command("list", "--json").stdout) == {"cursors": [cursor()]}


@pytest.mark.parametrize(("after", "asked"), [("kept", "kept"), ("earliest", "earliest"), ("1200", 1200), ("0", 0)])
def test_one_is_set(command: Command, api: ToldApi, after: str, asked: object) -> None:
    api.tell("PUT", "/cursors/acme/sms", cursor(cluster_id=None))
    result = command("set", "acme/sms", "--after", after)
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == (
        "acme/sms: begins after 1200 within half a minute, 2,200 entries to send but for those that this cluster has\n"
    )
    assert api.asked == [("PUT", "/cursors/acme/sms", {}, {"after": asked})]


def test_several_are_set_until_one_is_refused(command: Command, api: ToldApi) -> None:
    api.tell("PUT", "/cursors/acme/sms", cursor(position=3399, cluster_id=None))
    api.refuse("PUT", "/cursors/acme/voice", 409, "acme/voice is being published: there is nothing to decide")
    result = command("set", "acme/sms", "acme/voice", "acme/email", "--after", "kept")
    assert result.exit_code == 2
    assert result.stdout.startswith("acme/sms: begins after 3399 within half a minute, 1 entry to send ")
    assert result.stderr == "relay cursor set: acme/voice is being published: there is nothing to decide\n"
    assert [path for _, path, _, _ in api.asked] == ["/cursors/acme/sms", "/cursors/acme/voice"]


def test_what_was_set_for_programs(command: Command, api: ToldApi) -> None:
    api.tell("PUT", "/cursors/acme/sms", cursor())
    result = command("set", "acme/sms", "--after", "kept", "--json")
    assert json.loads(result.stdout) == {"cursors": [cursor()]}


@pytest.mark.parametrize(
    ("status", "detail", "code", "told"),
    [
        (400, "after must be from 700 to 3400: …", 2, "relay cursor set: --after must be from 700 to 3400: …\n"),
        (404, "there is no stream acme/sms", 2, "relay cursor set: there is no stream acme/sms\n"),
        (503, "not now: disk full", 1, "relay cursor set: not now: disk full\n"),
    ],
)
def test_what_is_refused(command: Command, api: ToldApi, status: int, detail: str, code: int, told: str) -> None:
    api.refuse("PUT", "/cursors/acme/sms", status, detail)
    result = command("set", "acme/sms", "--after", "1")
    assert (result.exit_code, result.stdout, result.stderr) == (code, "", told)


@pytest.mark.parametrize("stream", ["acme", "acme/", "/sms", "acme/sms/1", ""])
def test_a_stream_has_a_source_and_a_kind(command: Command, api: ToldApi, stream: str) -> None:
    result = command("set", stream, "--after", "kept")
    assert (result.exit_code, api.asked) == (2, [])
    assert "write SOURCE/KIND, acme/sms for example; relay cursor list shows them" in result.stderr


@pytest.mark.parametrize("after", ["latest", "-1", "1.5", "٣", "9" * 16, ""])
def test_where_to_begin_is_a_word_or_a_number(command: Command, api: ToldApi, after: str) -> None:
    result = command("set", "acme/sms", f"--after={after}")
    assert (result.exit_code, api.asked) == (2, [])
    assert "--after must be kept, earliest, or the relay_seq of the last entry that is not sent" in result.stderr


def test_a_number_is_of_one_stream(command: Command, api: ToldApi) -> None:
    result = command("set", "acme/sms", "acme/voice", "--after", "7")
    assert (result.exit_code, api.asked) == (2, [])
    assert "--after SEQ is of one stream: give one" in result.stderr


def test_both_must_be_given(command: Command) -> None:
    assert command("set", "acme/sms").exit_code == 2
    assert command("set", "--after", "kept").exit_code == 2


def test_a_relay_that_is_not_there(relay_command: Command) -> None:
    for arguments in (["list"], ["set", "acme/sms", "--after", "kept"]):
        result = relay_command("cursor", *arguments, "--url", "http://127.0.0.1:1", RELAY_TOKEN=TOKEN)
        assert result.exit_code == 1
        assert "is the relay running there?" in result.stderr
