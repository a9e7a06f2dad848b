"""`relay cursor`, through the API of a running relay."""

import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from relay.cli.output import DONE, WRONG, complain, print_json, visible
from relay.cli.place import Place, relay_at
from relay.cli.remote import Refused, refused
from relay.cli.status import age
from relay.cli.tables import Column, print_table

PATH = "/api/v1/cursors"
WORDS = ("kept", "earliest")
WRONG_STATUSES = frozenset({400, 404, 409})
"""Not within the stream, no such stream, or nothing to decide."""


def list_cursors(place: Place, *, as_json: bool) -> int:
    """Print how far each stream has come; the exit code."""
    try:
        answer = relay_at(place).call("GET", PATH)
    except Refused as error:
        return refused("cursor list", error)
    if as_json:
        print_json(answer)
    else:
        _print_table(answer["cursors"])
    return DONE


def set_cursors(place: Place, streams: Sequence[str], after: str, *, as_json: bool) -> int:
    """Say of each, in order, where to begin; the first that is refused ends it. The exit code."""
    problem = _wrong_use(streams, after)
    if problem:
        return complain(visible(f"relay cursor set: {problem}"), WRONG)
    body = {"after": after if after in WORDS else int(after)}
    results: list[dict[str, Any]] = []
    try:
        relay = relay_at(place)
        for stream in streams:
            results.append(relay.call("PUT", f"{PATH}/{quote(stream)}", body=body))
            if not as_json:
                sys.stdout.write(visible(_told(results[-1])) + "\n")
    except Refused as error:
        wrong = error.status in WRONG_STATUSES
        return refused("cursor set", Refused(str(error), code=WRONG) if wrong else error)
    finally:
        if as_json:
            print_json({"cursors": results})
    return DONE


def _wrong_use(streams: Sequence[str], after: str) -> str:
    """What does not go; empty if all is well."""
    for stream in streams:
        if len(stream.split("/")) != 2 or not all(stream.split("/")):
            return f"{stream} is no stream: write SOURCE/KIND, acme/sms for example; relay cursor list shows them"
    if after in WORDS:
        return ""
    if not (after.isascii() and after.isdigit() and len(after) <= 15):
        return "--after must be kept, earliest, or the relay_seq of the last entry that is not sent"
    return "--after SEQ is of one stream: give one" if len(streams) > 1 else ""


def _told(one: dict[str, Any]) -> str:
    left = one["last_seq"] - one["position"]
    entries = f"{left:,} {'entry' if left == 1 else 'entries'}"
    return (
        f"{one['source']}/{one['kind']}: begins after {one['position']} within half a minute, "
        f"{entries} to send but for those that this cluster has"
    )


COLUMNS = (
    Column("stream"),
    Column("position", right=True),
    Column("last", right=True),
    Column("kept after", right=True),
    Column("cluster"),
    Column("written", right=True),
    Column("degraded", note=True),
)


def _print_table(cursors: list[dict[str, Any]]) -> None:
    if not cursors:
        sys.stdout.write("nothing was ever published to Kafka\n")
        return
    now = datetime.now(UTC)
    print_table(COLUMNS, [_cells(one, now) for one in cursors])


def _cells(one: dict[str, Any], now: datetime) -> tuple[str, ...]:
    return (
        f"{one['source']}/{one['kind']}",
        *(str(one[name]) for name in ("position", "last_seq", "earliest")),
        one["cluster_id"] or "-",
        age(one["at"], now),
        one["degraded"] or "",
    )
