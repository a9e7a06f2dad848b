"""`relay callbacks`, through the API of a running relay."""

import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from relay.cli.output import DONE, FAILED, WRONG, print_json, visible
from relay.cli.place import Place, relay_at
from relay.cli.remote import Refused, RunningRelay, refused
from relay.cli.status import age
from relay.cli.tables import Column, print_table

PATH = "/api/v1/callbacks"
TEST_TIMEOUT_SECONDS = 3600.0
"""The relay keeps the callback's own deadline."""

MOST_ANSWER_CHARACTERS = 500
WRONG_STATUSES = frozenset({400, 404, 409})
"""No such callback, or it follows no such kind."""

Act = Callable[[RunningRelay, str], dict[str, Any]]


def list_callbacks(place: Place, *, as_json: bool) -> int:
    """Print how they stand; the exit code."""
    try:
        answer = relay_at(place).call("GET", PATH)
    except Refused as error:
        return refused("callbacks list", error)
    if as_json:
        print_json(answer)
    else:
        _print_table(answer["callbacks"])
    return DONE


def pause_callbacks(place: Place, names: Sequence[str], *, reason: str, as_json: bool) -> int:
    """Pause each; the exit code."""

    def pause(relay: RunningRelay, name: str) -> dict[str, Any]:
        return _object(relay.call("POST", _path(name, "pause"), body={"reason": reason}))

    def told(one: dict[str, Any]) -> str:
        return f"was paused since {one['since']}; {one['reason']}" if one.get("was_paused") else "paused"

    return _act("pause", place, names, pause, told, as_json=as_json)


def resume_callbacks(place: Place, names: Sequence[str], *, as_json: bool) -> int:
    """Resume each; the exit code."""

    def resume(relay: RunningRelay, name: str) -> dict[str, Any]:
        return _object(relay.call("POST", _path(name, "resume")))

    def told(one: dict[str, Any]) -> str:
        return "resumed" if one["resumed"] else "was open"

    return _act("resume", place, names, resume, told, as_json=as_json)


def send_samples(place: Place, names: Sequence[str], *, kind: str | None, as_json: bool) -> int:
    """Send each a sample; the exit code, FAILED if one did not take it."""

    def test(relay: RunningRelay, name: str) -> dict[str, Any]:
        path = _path(name, "test")
        return _object(relay.call("POST", path, body={"kind": kind}, timeout_seconds=TEST_TIMEOUT_SECONDS))

    return _act("test", place, names, test, _tested, as_json=as_json)


def _act(
    command: str,
    place: Place,
    names: Sequence[str],
    act: Act,
    tell: Callable[[dict[str, Any]], str],
    *,
    as_json: bool,
) -> int:
    """To each, in order; the first that cannot be asked ends it."""
    results: list[dict[str, Any]] = []
    try:
        relay = relay_at(place)
        for name in names:
            results.append(act(relay, name))
            if not as_json:
                sys.stdout.write(visible(f"{name}: {tell(results[-1])}", keep="\n") + "\n")
    except Refused as error:
        wrong = error.status in WRONG_STATUSES
        return refused(f"callbacks {command}", Refused(str(error), code=WRONG) if wrong else error)
    finally:
        if as_json:
            print_json({"callbacks": results})
    return FAILED if any(one.get("delivered") is False for one in results) else DONE


def _tested(one: dict[str, Any]) -> str:
    answer = one["answer"][:MOST_ANSWER_CHARACTERS]
    ending = f"HTTP {one['status']}" if one["status"] is not None else "no answer"
    if one["error"]:
        ending += f" ({one['error']})"
    verdict = "took" if one["delivered"] else "did not take"
    lines = [
        f"{verdict} the sample {one['message_id']} ({one['source']}/{one['kind']}): {ending} in {one['seconds']:g} s",
        f"  webhook-id {one['webhook_id']}",
    ]
    if answer:
        lines.append(f"  answer {visible(answer)}")
    return "\n".join(lines)


def _path(name: str, action: str) -> str:
    return f"{PATH}/{quote(name, safe='')}/{action}"


def _object(answer: Any) -> dict[str, Any]:
    if not isinstance(answer, dict):
        raise Refused("the answer is none of relay's; is the relay running there?")
    return answer


COLUMNS = (
    Column("callback"),
    Column("state"),
    Column("since", right=True),
    Column("backlog", right=True),
    Column("oldest", right=True),
    Column("dead letters", right=True),
    Column("in flight", right=True),
    Column("reason", note=True),
)


def _print_table(callbacks: list[dict[str, Any]]) -> None:
    if not callbacks:
        sys.stdout.write("no callbacks are configured\n")
        return
    now = datetime.now(UTC)
    print_table(COLUMNS, [_cells(one, now) for one in callbacks])


def _cells(one: dict[str, Any], now: datetime) -> tuple[str, ...]:
    return (
        one["name"],
        one["state"].replace("_", " "),
        _age(one["since"], now),
        _number(one["backlog"]),
        _age(one["oldest_backlog_at"], now),
        _number(one["dead_letters"]),
        str(one["in_flight"]),
        one["reason"] or "",
    )


def _age(at: str | None, now: datetime) -> str:
    return "-" if at is None else age(at, now)


def _number(count: int | None) -> str:
    return "?" if count is None else f"{count:,}"
