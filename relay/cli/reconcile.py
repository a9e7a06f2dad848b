"""`relay reconcile`: asks a running relay to compare with the logs, shows how far it is, prints what is missing."""

import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from relay.cli.output import DONE, FAILED, WRONG, print_json, visible
from relay.cli.remote import Refused, RunningRelay, refused, running_relay

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

Place = tuple[str | None, Path | None, Path | None, str | None]
"""What says which relay is meant: URL, configuration, token file, token."""


def reconcile(place: Place, request: dict[str, Any], *, as_json: bool) -> int:
    """Run one comparison to its end; 0 if all was compared. Ctrl-C cancels it."""
    url, config, token_file, token = place
    try:
        relay = running_relay(url=url, config=config, token_file=token_file, token=token)
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
    return f"call {one['calls']}" + ("" if left is None else f" of about {one['calls'] + left}")


def _print(run: dict[str, Any], missing: list[dict[str, Any]]) -> None:
    console = Console(highlight=False)
    for one in run["streams"]:
        console.print(escape(_summary(one, dry_run=run["dry_run"])), soft_wrap=True)
    for one in missing:
        console.print(escape(_line(one)), soft_wrap=True)
    found = sum(one["missing"] for one in run["streams"])
    if found > len(missing):
        console.print(f"and {found - len(missing)} more, which are counted but not listed")
    for place, meaning in PLACES.items():
        count = sum(one["place"] == place for one in missing)
        if count:
            console.print(f"{count} {place}: {meaning}")
    if not run["include_earlier"] and not run["dry_run"] and any(one["place"] == "earlier" for one in missing):
        console.print("what is from before the first poll was left out; --include-earlier takes it in")


def _summary(one: dict[str, Any], *, dry_run: bool) -> str:
    did = "nothing appended (dry run)" if dry_run else f"{one['appended']} appended"
    text = (
        f"{_name(one)}: {one['state']}, sent {one['since'] or '-'} to {one['until'] or '-'}, {one['rows']} rows in "
        f"{one['calls']} calls, {one['missing']} missing, {did}"
    )
    if one["holes"]:
        text += f"; {one['holes']} milliseconds hold more rows than can be had"
    return visible(text + (f"; {one['error']}" if one["error"] else ""))


def _line(one: dict[str, Any]) -> str:
    done = one["done_at"] or one["sent_at"] or "-"
    taken = "  appended" if one["appended"] else ""
    return visible(f"  {_name(one)}  {one['message_id']}  {one['outcome']}  {done}  {one['place']}{taken}")
