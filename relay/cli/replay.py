"""`relay replay`: begins a replay in a running relay, shows how far it is, pauses it on Ctrl-C."""

import sys
import time
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from relay.cli.output import DONE, FAILED, WRONG, complain, print_json, visible
from relay.cli.place import Place, relay_at
from relay.cli.remote import Refused, RunningRelay, refused
from relay.cli.status import age
from relay.cli.tables import Column, print_table

PATH = "/api/v1/replays"
CALLBACKS_PATH = "/api/v1/callbacks"
LOOK_EVERY_SECONDS = 0.5
COUNT_TIMEOUT_SECONDS = 600.0
WRONG_STATUSES = frozenset({400, 404})
"""Not a time, no such callback or replay: another question would be answered."""
OVER = frozenset({"done", "cancelled"})


def begin(place: Place, request: dict[str, Any], *, detach: bool, as_json: bool) -> int:
    """Begin one and follow it to its end; with `dry_run` in the request only count."""
    try:
        relay = relay_at(place)
        run = relay.call("POST", PATH, body=request, timeout_seconds=COUNT_TIMEOUT_SECONDS)
        if run.get("history_from"):  # a relay of an earlier version does not tell
            complain(f"the journal goes back to {run['history_from'][:19]}Z: what came before that is gone")
        if request.get("dry_run"):
            _told_estimate(run, as_json=as_json)
            _complain_of_callback(relay, request["callback"])
            return DONE
        return _watched(relay, run, detach=detach, as_json=as_json)
    except Refused as error:
        return _refused(error)


def resume(place: Place, id_: int, *, detach: bool, as_json: bool) -> int:
    """Go on with one that was paused, and follow it to its end."""
    try:
        relay = relay_at(place)
        run = relay.call("POST", f"{PATH}/{id_}/resume")
        return _watched(relay, run, detach=detach, as_json=as_json)
    except Refused as error:
        return _refused(error)


def cancel(place: Place, id_: int, *, as_json: bool) -> int:
    """End one where it is."""
    try:
        run = relay_at(place).call("DELETE", f"{PATH}/{id_}")
    except Refused as error:
        return _refused(error)
    _tell(run, as_json=as_json)
    return DONE


def list_replays(place: Place, *, as_json: bool) -> int:
    """Print the newest hundred."""
    try:
        answer = relay_at(place).call("GET", PATH)
    except Refused as error:
        return _refused(error)
    if as_json:
        print_json(answer)
    else:
        _print_table(answer["replays"])
    return DONE


def wrong_use(given: dict[str, Any]) -> str:
    """What does not go together; empty if all is well."""
    acts = [name for name in ("resume", "cancel", "list") if given[name]]
    asked = [name for name in ("callback", "since", "until", "source", "kind", "status_group") if given[name]]
    if len(acts) > 1 or (acts and (asked or given["dry_run"])):
        return f"--{acts[0]} goes alone"
    if not acts and not (given["callback"] and given["since"]):
        return "give --callback and --since, or --resume, --cancel or --list"
    return ""


def _watched(relay: RunningRelay, run: dict[str, Any], *, detach: bool, as_json: bool) -> int:
    """Until it is over; the exit code, FAILED unless all of it was delivered."""
    _complain_of_callback(relay, run["callback"])
    if not detach:
        run = _followed(relay, run, quiet=as_json)
    _tell(run, as_json=as_json)
    if detach and run["state"] not in OVER:
        if not as_json:
            complain("it goes on by itself; how far it is: relay replay --list")
        return DONE
    return DONE if run["state"] == "done" and not (run["dead"] or run["gone"]) else FAILED


def _complain_of_callback(relay: RunningRelay, name: str) -> None:
    """Say if it is paused or half open: what is queued for it is not sent, or hardly."""
    try:
        callback = relay.call("GET", f"{CALLBACKS_PATH}/{quote(name, safe='')}")
    except Refused:
        return  # the replay itself is well
    if callback["state"] == "paused":
        effect = "nothing is sent to it"
    elif callback["state"] == "half_open":
        effect = "it gets single attempts until one succeeds"
    else:
        return
    state = callback["state"].replace("_", " ")
    text = f"callback {name} is {state} ({callback['reason']}), {effect}; go on: relay callbacks resume {name}"
    complain(visible(text))


def _followed(relay: RunningRelay, run: dict[str, Any], *, quiet: bool) -> dict[str, Any]:
    """Ctrl-C pauses it; what is among the deliveries already is still sent."""
    path = f"{PATH}/{run['id']}"
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f}%  {task.fields[told]}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), disable=quiet or not sys.stderr.isatty()) as progress:
        task = progress.add_task(escape(visible(f"replay {run['id']} to {run['callback']}")), total=1.0, told="")
        try:
            while run["state"] not in OVER and run["state"] != "paused":
                progress.update(task, completed=_share(run), told=_counts(run))
                time.sleep(LOOK_EVERY_SECONDS)
                run = relay.call("GET", path)
            progress.update(task, completed=_share(run), told=_counts(run))
        except KeyboardInterrupt:
            run = relay.call("POST", f"{path}/pause")
    return run


def _share(run: dict[str, Any]) -> float:
    """Of the whole way: read from the journal, and no longer waiting for the callback."""
    sent = 1.0 if not run["reports"] else 1.0 - run["pending"] / run["reports"]
    return float(run["share_read"] * sent)


def _counts(run: dict[str, Any]) -> str:
    text = f"{run['delivered']:,} delivered, {run['pending']:,} pending"
    return text + (f", {run['dead']:,} dead" if run["dead"] else "")


def _tell(run: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(run)
        return
    text = f"replay {run['id']} to {run['callback']}: {run['state']}, {run['reports']:,} queued, {_counts(run)}"
    if run["waiting"]:
        text += f"; {run['waiting']:,} {'was' if run['waiting'] == 1 else 'were'} waiting to be sent anyway"
    if run["gone"]:
        text += f"; {run['gone']:,} {'entry was' if run['gone'] == 1 else 'entries were'} gone before it came to them"
    if run["state"] == "paused":
        text += f"; go on: relay replay --resume {run['id']}"
    sys.stdout.write(visible(text) + "\n")


def _told_estimate(estimate: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(estimate)
        return
    for one in estimate["streams"]:
        text = f"{one['source']}/{one['kind']}: {one['reports']:,} would be sent again"
        if one["dead"]:
            text += f", {one['dead']:,} of them are dead letters now"
        if one["waiting"]:
            text += f"; {one['waiting']:,} wait to be sent anyway"
        sys.stdout.write(visible(text) + "\n")
    sys.stdout.write(f"{estimate['reports']:,} in all, nothing sent (dry run)\n")


def _refused(error: Refused) -> int:
    wrong = error.status in WRONG_STATUSES
    return refused("replay", Refused(str(error), code=WRONG) if wrong else error)


COLUMNS = (
    Column("id", right=True),
    Column("callback"),
    Column("state"),
    Column("since"),
    Column("until"),
    Column("started", right=True),
    Column("queued", right=True),
    Column("delivered", right=True),
    Column("pending", right=True),
    Column("dead", right=True),
)


def _print_table(runs: list[dict[str, Any]]) -> None:
    if not runs:
        sys.stdout.write("there are no replays\n")
        return
    now = datetime.now(UTC)
    print_table(COLUMNS, [_cells(run, now) for run in runs])


def _cells(run: dict[str, Any], now: datetime) -> tuple[str, ...]:
    return (
        str(run["id"]),
        run["callback"],
        run["state"],
        run["since"][:19] + "Z",
        run["until"][:19] + "Z",
        age(run["started_at"], now),
        *(f"{run[name]:,}" for name in ("reports", "delivered", "pending", "dead")),
    )


def complain_of(problem: str) -> int:
    """Wrong use; the exit code."""
    return complain(f"relay replay: {problem}", WRONG)
