"""`relay quarantine`, through the API of a running relay. Nothing of what was received reaches a terminal as it is."""

import base64
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any, NamedTuple

from relay.cli.bytes_shown import shown_bytes
from relay.cli.output import DONE, FAILED, WRONG, complain, print_json, visible
from relay.cli.place import Place, relay_at
from relay.cli.remote import Refused, RunningRelay, refused
from relay.cli.status import age
from relay.cli.tables import Column, print_table

PATH = "/api/v1/quarantine"
PAGE = 1000
RETRY_TIMEOUT_SECONDS = 120.0
MOST_REASON_CHARACTERS = 300
GONE, DONE_BEFORE = 404, 409


class Wanted(NamedTuple):
    """Filters; None: any."""

    source: str | None
    kind: str | None
    reason: str | None
    done: bool = False


class Choice(NamedTuple):
    """Which entries to act on: these, or all that the filters leave."""

    ids: tuple[int, ...]
    every: bool
    wanted: Wanted

    @property
    def problem(self) -> str:
        if self.ids and (self.every or any(self.wanted)):
            return "give either IDs, or --all with filters"
        if not self.ids and not self.every:
            return "give IDs, or --all, with --source, --kind or --reason if not everything is meant"
        return ""


def list_entries(place: Place, wanted: Wanted, *, limit: int, after: int, as_json: bool) -> int:
    """Print the entries; the exit code."""
    try:
        entries, following = _listed(relay_at(place), wanted, limit, after)
    except Refused as error:
        return refused("quarantine list", error)
    if as_json:
        print_json({"entries": entries, "next": following})
        return DONE
    _print_table(entries)
    if following is not None:
        complain(f"there may be more: --after {following}")
    return DONE


def show_entry(place: Place, id_: int, *, most_bytes: int, as_hex: bool, as_json: bool) -> int:
    """Print one entry with the first of its bytes, escaped; the exit code."""
    try:
        entry = relay_at(place).call("GET", f"{PATH}/{id_}", {"bytes": most_bytes})
    except Refused as error:
        return refused("quarantine show", error)
    if as_json:
        print_json(entry)
        return DONE
    lines = [f"{name:10}{visible(text)}" for name, text in _described(entry)]
    lines += [f"  {line}" for line in shown_bytes(base64.b64decode(entry["bytes"]), as_hex=as_hex)]
    sys.stdout.write("\n".join(lines) + "\n")
    return DONE


def write_bytes(place: Place, id_: int) -> int:
    """All bytes of one entry to standard output, unless that is a terminal; the exit code."""
    if sys.stdout.isatty():
        return complain(
            "relay quarantine show: bytes from outside could command this terminal; redirect --raw to a file", WRONG
        )
    try:
        raw = relay_at(place).read("GET", f"{PATH}/{id_}/bytes", timeout_seconds=RETRY_TIMEOUT_SECONDS)
    except Refused as error:
        return refused("quarantine show", error)
    sys.stdout.buffer.write(raw)
    return DONE


def retry_entries(place: Place, choice: Choice, *, as_json: bool) -> int:
    """Retry each; the exit code, FAILED if one still is no report."""

    def retry(relay: RunningRelay, id_: int) -> Any:
        return relay.call("POST", f"{PATH}/{id_}/retry", timeout_seconds=RETRY_TIMEOUT_SECONDS)

    return _act("retry", place, choice, retry, _retried, as_json=as_json)


def drop_entries(place: Place, choice: Choice, *, as_json: bool) -> int:
    """Drop each; the exit code."""

    def drop(relay: RunningRelay, id_: int) -> Any:
        return relay.call("DELETE", f"{PATH}/{id_}")

    return _act("drop", place, choice, drop, lambda _: "dropped", as_json=as_json)


def _act(
    command: str,
    place: Place,
    choice: Choice,
    act: Callable[[RunningRelay, int], Any],
    tell: Callable[[dict[str, Any]], str],
    *,
    as_json: bool,
) -> int:
    """To each entry of the choice. One that is gone is told and passed over; anything else ends it."""
    if choice.problem:
        return complain(f"relay quarantine {command}: {choice.problem}", WRONG)
    results = []
    try:
        for result in _results(relay_at(place), choice, act):
            results.append(result)
            if not as_json:
                sys.stdout.write(visible(f"{result['id']}: {result.get('error') or tell(result)}") + "\n")
    except Refused as error:
        return refused(f"quarantine {command}", error)
    finally:
        if as_json:
            print_json({"entries": results})
    failed = sum("error" in result or result.get("done") is False for result in results)
    if not as_json:
        sys.stdout.write(f"{len(results) - failed} of {len(results)} done\n")
    return FAILED if failed else DONE


def _results(relay: RunningRelay, choice: Choice, act: Callable[[RunningRelay, int], Any]) -> Iterator[dict[str, Any]]:
    for id_ in choice.ids or _all_ids(relay, choice.wanted):
        try:
            yield act(relay, id_)
        except Refused as error:
            if error.status not in {GONE, DONE_BEFORE}:
                raise
            yield {"id": id_, "error": str(error)}


def _all_ids(relay: RunningRelay, wanted: Wanted) -> list[int]:
    """All of them first: what is retried may come back as a new entry."""
    entries, _ = _listed(relay, wanted, sys.maxsize, 0)
    return [entry["id"] for entry in entries]


def _listed(relay: RunningRelay, wanted: Wanted, limit: int, after: int) -> tuple[list[dict[str, Any]], int | None]:
    """The entries, and after which there may be more."""
    entries: list[dict[str, Any]] = []
    following: int | None = after
    while following is not None and len(entries) < limit:
        query = {**wanted._asdict(), "done": "true" if wanted.done else None}
        page = relay.call("GET", PATH, {**query, "limit": min(PAGE, limit - len(entries)), "after": following})
        entries += page["entries"]
        following = page["next"]
    return entries, following


COLUMNS = (
    Column("id", right=True),
    Column("stream"),
    Column("received", right=True),
    Column("bytes", right=True),
    Column("reason", note=True),
)


def _print_table(entries: list[dict[str, Any]]) -> None:
    if not entries:
        sys.stdout.write("nothing is in quarantine\n")
        return
    now = datetime.now(UTC)
    print_table(COLUMNS, [_cells(entry, now) for entry in entries])


def _cells(entry: dict[str, Any], now: datetime) -> tuple[str, ...]:
    return (
        str(entry["id"]),
        f"{entry['source']}/{entry['kind']}",
        age(entry["received_at"], now),
        f"{entry['size']:,}",
        ("done: " if entry["done_at"] else "") + entry["reason"][:MOST_REASON_CHARACTERS],
    )


def _described(entry: dict[str, Any]) -> Iterator[tuple[str, str]]:
    yield "id", str(entry["id"])
    yield "stream", f"{entry['source']}/{entry['kind']}, entry {entry['seq']}"
    yield "reason", entry["reason"]
    fetch = f", fetch {entry['fetch']}" if entry["fetch"] is not None else ""
    yield "received", f"{entry['received_at']} by {entry['origin']}{fetch}"
    if entry["refused_message_id"]:
        yield "refused", f"Kafka refused the record of messageId {entry['refused_message_id']}"
    if entry["done_at"]:
        yield "done", f"{entry['done_at']}: a retry has made it into reports"
    yield "size", f"{entry['size']:,} bytes"


def _retried(result: dict[str, Any]) -> str:
    if not result["done"]:
        return f"still in quarantine: {result['reason']}"
    if result["sent_again"]:
        return "done: sent again"
    nouns = {"new": "new", "revisions": "revisions", "duplicates": "duplicates", "quarantined": "quarantined anew"}
    return "done: " + ", ".join(f"{noun} {result[key]}" for key, noun in nouns.items() if result[key])
