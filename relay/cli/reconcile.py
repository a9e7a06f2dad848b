"""`relay reconcile`: asks a running relay to compare with the logs, shows how far it is, prints what is missing."""

import sys
import time
from collections.abc import Iterator
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from relay.cli.output import DONE, FAILED, WRONG, print_json, visible
from relay.cli.place import Place, relay_at
from relay.cli.remote import Refused, RunningRelay, refused
from relay.cli.tables import Column, print_table

PATH = "/api/v1/reconcile"
LOOK_EVERY_SECONDS = 0.5
PAGE = 1000
WRONG_STATUSES = frozenset({400, 404})
"""Not a duration, no such stream: another question would be answered."""
OVER = frozenset({"done", "incomplete", "failed", "cancelled"})
PLACES = {
    "gap": "in an open gap, which would have found it",
    "earlier": "from before the first poll: another reader took it, or the first read was lost",
    "elsewhere": "in no open gap: another reader of the account took it, or a gap ended without it",
}

COLUMNS = (
    Column("stream"),
    Column("messageId"),
    Column("status group:id"),
    Column("done"),
    Column("place"),
    Column("appended"),
)
MOST_SHOWN = 20


def reconcile(place: Place, request: dict[str, Any], *, as_json: bool) -> int:
    """Run one comparison to its end; 0 if all was compared. Ctrl-C cancels it."""
    try:
        relay = relay_at(place)
        run = _followed(relay, relay.call("POST", PATH, body=request), quiet=as_json)
        missing = list(_missing(relay, run))
    except Refused as error:
        wrong = error.status in WRONG_STATUSES
        return refused("reconcile", Refused(str(error), code=WRONG) if wrong else error)
    if as_json:
        print_json({**run, "missing": missing})
    else:
        _print(run, missing)
    return DONE if run["state"] == "done" else FAILED


def _followed(relay: RunningRelay, run: dict[str, Any], *, quiet: bool) -> dict[str, Any]:
    path = f"{PATH}/{run['id']}"
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f}%  {task.fields[calls]}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), disable=quiet or not sys.stderr.isatty()) as progress:
        tasks = [progress.add_task(escape(_name(one)), total=1.0, calls="") for one in run["streams"]]
        try:
            while run["state"] not in OVER:
                time.sleep(LOOK_EVERY_SECONDS)
                run = relay.call("GET", path)
                for task, one in zip(tasks, run["streams"], strict=True):
                    progress.update(task, completed=one["share_compared"], calls=_calls(one))
        except KeyboardInterrupt:
            run = relay.call("DELETE", path)
    return run


def _missing(relay: RunningRelay, run: dict[str, Any]) -> Iterator[dict[str, Any]]:
    after: int | None = 0
    while after is not None:
        page = relay.call("GET", f"{PATH}/{run['id']}/missing", {"after": after, "limit": PAGE})
        yield from page["missing"]
        after = page["next"]


def _name(one: dict[str, Any]) -> str:
    return f"{one['source']}/{one['kind']}"


def _calls(one: dict[str, Any]) -> str:
    if not one["calls"]:
        return ""
    left = one["calls_left"]
    return f"call {one['calls']:,}" + ("" if left is None else f" of about {one['calls'] + left:,}")


def _print(run: dict[str, Any], missing: list[dict[str, Any]]) -> None:
    """What is missing, what that means, and last how it went."""
    found = sum(one["missing"] for one in run["streams"])
    if missing:
        print_table(COLUMNS, [_cells(one) for one in missing[:MOST_SHOWN]])
        more = found - min(len(missing), MOST_SHOWN)
        sys.stdout.write(f"… and {more:,} more ({_where(found, len(missing))})\n" if more else "")
        sys.stdout.write("\n")
    for line in _explained(run, missing):
        sys.stdout.write(line + "\n")
    for one in run["streams"]:
        sys.stdout.write(_summary(one, dry_run=run["dry_run"]) + "\n")


def _where(found: int, listed: int) -> str:
    return "--json shows all" if found == listed else f"--json shows {listed:,}; the others are only counted"


def _explained(run: dict[str, Any], missing: list[dict[str, Any]]) -> Iterator[str]:
    for place, meaning in PLACES.items():
        count = sum(one["place"] == place for one in missing)
        if count:
            left_out = place == "earlier" and not run["include_earlier"]
            yield f"{count:,} {place}: {meaning}" + ("; left out: --include-earlier takes them in" if left_out else "")


def _summary(one: dict[str, Any], *, dry_run: bool) -> str:
    did = "nothing appended (dry run)" if dry_run else f"{one['appended']:,} appended"
    text = (
        f"{_name(one)}: {one['state']}, sent {one['since'] or '-'} to {one['until'] or '-'}, {_some(one, 'rows')} in "
        f"{_some(one, 'calls')}, {one['missing']:,} missing, {did}"
    )
    if one["holes"]:
        text += f"; {one['holes']:,} milliseconds hold more rows than can be had"
    return visible(text + (f"; {one['error']}" if one["error"] else ""))


def _some(one: dict[str, Any], what: str) -> str:
    """`1 call`, `1,200 calls`."""
    count = one[what]
    return f"{count:,} {what.removesuffix('s') if count == 1 else what}"


def _cells(one: dict[str, Any]) -> tuple[str, ...]:
    return (
        _name(one),
        one["message_id"],
        one["outcome"],
        one["done_at"] or one["sent_at"] or "-",
        one["place"],
        "yes" if one["appended"] else "no",
    )
