"""`relay dead-letters`, through the API of a running relay."""

import json
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any, NamedTuple

from rich.console import Console
from rich.markup import escape
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from relay.cli.life import attempt_line
from relay.cli.output import DONE, FAILED, WRONG, complain, print_json, visible
from relay.cli.place import Place, relay_at
from relay.cli.remote import Refused, RunningRelay, refused
from relay.cli.status import age
from relay.cli.tables import Column, print_table

PATH = "/api/v1/dead-letters"
PAGE = 1000
TIMEOUT_SECONDS = 120.0
BUSY_SECONDS = 1.0
MOST_REASON_CHARACTERS = 300
MOST_IDS = 3
WRONG_QUERY, GONE, NOT_NOW = 400, 404, 409


class Wanted(NamedTuple):
    """Filters; None: any."""

    callback: str | None
    source: str | None
    kind: str | None
    since: str | None
    until: str | None
    reason: str | None
    status: int | None


class Choice(NamedTuple):
    """Which dead letters to act on: these, or all that the filters leave."""

    ids: tuple[int, ...]
    every: bool
    wanted: Wanted

    @property
    def problem(self) -> str:
        if self.ids and (self.every or any(value is not None for value in self.wanted)):
            return "give either IDs, or --all with filters"
        if not self.ids and not self.every:
            return "give IDs, or --all, with filters if not everything is meant"
        return ""


def list_letters(place: Place, wanted: Wanted, *, limit: int, after: int, as_json: bool) -> int:
    """Print them; the exit code."""
    letters: list[dict[str, Any]] = []
    following: int | None = after
    try:
        relay = relay_at(place)
        while following is not None and len(letters) < limit:
            query = {**wanted._asdict(), "limit": min(PAGE, limit - len(letters)), "after": following}
            page = relay.call("GET", PATH, query, timeout_seconds=TIMEOUT_SECONDS)
            letters += page["dead_letters"]
            following = page["next"]
    except Refused as error:
        return _refused("list", error)
    if as_json:
        print_json({"dead_letters": letters, "next": following})
        return DONE
    _print_table(letters)
    if following is not None:
        complain(f"there may be more: --after {following}")
    return DONE


def show_letter(place: Place, id_: int, *, as_json: bool) -> int:
    """Print one with its reports and attempts; the exit code."""
    try:
        letter = relay_at(place).call("GET", f"{PATH}/{id_}")
    except Refused as error:
        return _refused("show", error)
    if as_json:
        print_json(letter)
        return DONE
    sys.stdout.write("\n".join(visible(line) for line in _described(letter)) + "\n")
    return DONE


def replay_letters(place: Place, choice: Choice, *, as_json: bool) -> int:
    """Put them back to be sent again; the exit code, FAILED if one could not be."""

    def replay(relay: RunningRelay, id_: int) -> Any:
        return relay.call("POST", f"{PATH}/{id_}/replay")

    return _act("replay", place, choice, replay, as_json=as_json)


def drop_letters(place: Place, choice: Choice, *, as_json: bool) -> int:
    """Drop them; the exit code, FAILED if one was gone."""

    def drop(relay: RunningRelay, id_: int) -> Any:
        return relay.call("DELETE", f"{PATH}/{id_}")

    return _act("drop", place, choice, drop, as_json=as_json)


def _act(command: str, place: Place, choice: Choice, act: Callable[[RunningRelay, int], Any], *, as_json: bool) -> int:
    if choice.problem:
        return complain(f"relay dead-letters {command}: {choice.problem}", WRONG)
    try:
        relay = relay_at(place)
        if choice.every:
            return _act_on_all(command, relay, choice.wanted, as_json=as_json)
        return _act_on_each(command, relay, choice.ids, act, as_json=as_json)
    except Refused as error:
        return _refused(command, error)


def _act_on_each(
    command: str,
    relay: RunningRelay,
    ids: tuple[int, ...],
    act: Callable[[RunningRelay, int], Any],
    *,
    as_json: bool,
) -> int:
    """One that is gone is told and passed over; anything else ends it."""
    results: list[dict[str, Any]] = []
    try:
        for id_ in ids:
            results.append(_result(relay, id_, act))
            if not as_json:
                sys.stdout.write(visible(f"{id_}: {results[-1].get('error') or _done(command)}") + "\n")
    finally:
        if as_json:
            print_json({"dead_letters": results})
    return FAILED if any("error" in result for result in results) else DONE


def _result(relay: RunningRelay, id_: int, act: Callable[[RunningRelay, int], Any]) -> dict[str, Any]:
    try:
        answer: dict[str, Any] = act(relay, id_)
    except Refused as error:
        if error.status not in {GONE, NOT_NOW}:
            raise
        return {"id": id_, "error": str(error)}
    return answer


def _act_on_all(command: str, relay: RunningRelay, wanted: Wanted, *, as_json: bool) -> int:
    """In parts; Ctrl-C ends it between two of them."""
    total: dict[str, int] = {}
    interrupted = False
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    quiet = as_json or not sys.stderr.isatty()
    with Progress(*columns, console=Console(stderr=True), disable=quiet) as progress:
        task = progress.add_task(f"{command} …", total=None)
        try:
            for part in _parts(command, relay, wanted):
                busy = part.pop("busy", None)
                total = {name: total.get(name, 0) + count for name, count in part.items()}
                waits = f", {busy} has enough to do" if busy else ""
                progress.update(task, description=escape(visible(_summary(command, total) + waits)))
        except KeyboardInterrupt:
            interrupted = True
    if as_json:
        print_json({**total, "interrupted": interrupted})
    else:
        left = "; interrupted, the rest are as they were" if interrupted else ""
        sys.stdout.write(_summary(command, total) + left + "\n")
    failed = total.get("without_body", 0) + total.get("unconfigured", 0)
    return FAILED if failed or interrupted else DONE


def _parts(command: str, relay: RunningRelay, wanted: Wanted) -> Iterator[dict[str, Any]]:
    """What was there when it began: a letter that dies again meanwhile is not taken twice."""
    until = wanted.until or datetime.now(UTC).isoformat(timespec="milliseconds")
    query = {**wanted._asdict(), "until": until, "limit": PAGE}
    following: int | None = 0
    while following is not None:
        part = relay.call("POST", f"{PATH}/{command}", {**query, "after": following}, timeout_seconds=TIMEOUT_SECONDS)
        following = part.pop("next")
        busy = part.get("busy")
        yield part
        if busy:
            time.sleep(BUSY_SECONDS)


def _summary(command: str, total: dict[str, int]) -> str:
    verb = {"replay": "put back", "drop": "dropped"}[command]
    text = f"{total.get('replayed', total.get('dropped', 0)):,} {verb}"
    if total.get("without_body"):
        text += f", {total['without_body']:,} have no body any more"
    if total.get("unconfigured"):
        text += f", {total['unconfigured']:,} are of callbacks that are not configured"
    return text


def _done(command: str) -> str:
    return {"replay": "put back, to be sent again", "drop": "dropped"}[command]


def _refused(command: str, error: Refused) -> int:
    wrong = error.status == WRONG_QUERY
    return refused(f"dead-letters {command}", Refused(str(error), code=WRONG) if wrong else error)


COLUMNS = (
    Column("id", right=True),
    Column("callback"),
    Column("stream"),
    Column("messageId"),
    Column("tries", right=True),
    Column("dead", right=True),
    Column("reason", note=True),
)


def _print_table(letters: list[dict[str, Any]]) -> None:
    if not letters:
        sys.stdout.write("there are no dead letters\n")
        return
    now = datetime.now(UTC)
    print_table(COLUMNS, [_cells(letter, now) for letter in letters])


def _cells(letter: dict[str, Any], now: datetime) -> tuple[str, ...]:
    return (
        str(letter["id"]),
        letter["callback"],
        f"{letter['source']}/{letter['kind']}",
        _some(letter["message_ids"]),
        str(letter["attempts"]),
        age(letter["dead_at"], now),
        letter["reason"][:MOST_REASON_CHARACTERS] + ("" if letter["has_body"] else " (no body)"),
    )


def _some(message_ids: list[str]) -> str:
    more = len(message_ids) - MOST_IDS
    return ", ".join(message_ids[:MOST_IDS]) + (f" and {more} more" if more > 0 else "")


def _described(letter: dict[str, Any]) -> Iterator[str]:
    yield f"{'id':10}{letter['id']}"
    yield f"{'callback':10}{letter['callback']}"
    yield f"{'stream':10}{letter['source']}/{letter['kind']}"
    yield f"{'dead':10}{letter['dead_at']}, due since {letter['created_at']}"
    yield f"{'reason':10}{letter['reason']}"
    yield f"{'attempts':10}{letter['attempts']}, {len(letter['attempts_made'])} of them in history"
    for attempt in letter["attempts_made"]:
        yield "  " + attempt_line(attempt)
    for report in letter["reports"]:
        yield f"{'report':10}{report['ce_id']}, entry {report['seq']}, received {report['received_at']}"
        yield "  " + ("its body is gone" if report["report"] is None else json.dumps(report["report"]))
