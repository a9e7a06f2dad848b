"""`relay status`: asks a running relay over HTTP."""

import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape

from relay.cli.output import DONE, FAILED, print_json, visible
from relay.cli.remote import Refused, refused, running_relay
from relay.cli.tables import Column, print_table
from relay.domain.sizes import size

STREAM_COLUMNS = {
    "last_successful_poll_at": "polled",
    "fetches_pending": "to unpack",
    "unpublished": "unpublished",
    "oldest_unpublished_at": "oldest",
    "gaps_open": "gaps",
    "quarantine_entries": "quarantine",
}
CALLBACK_COLUMNS = {"backlog": "waiting", "oldest_backlog_at": "oldest", "dead_letters": "dead letters"}


def show_status(
    *, url: str | None, config: Path | None, token_file: Path | None, token: str | None, as_json: bool
) -> int:
    """Print the status of the relay at `url`; 0 unless it cannot be asked or cannot work."""
    try:
        relay = running_relay(url=url, config=config, token_file=token_file, token=token)
        status = relay.call("GET", "/api/v1/status")
    except Refused as error:
        return refused("status", error)
    if as_json:
        print_json(status)
    else:
        _print(status)
    return FAILED if status["status"] == "unavailable" else DONE


def _print(status: dict[str, Any]) -> None:
    console = Console(highlight=False, soft_wrap=True)
    console.print(
        f"{escape(status['instance'])}: [bold]{status['status']}[/bold], version {status['version']}, "
        f"since {status['started_at']}"
    )
    for name, reason in status["degraded"].items():
        console.print(f"  [red]{escape(visible(name))}[/red]: {escape(visible(reason))}")
    if status["journal"]:
        console.print(f"journal {size(status['journal']['size_bytes'])}, {size(status['journal']['free_bytes'])} free")
    _print_table("stream", STREAM_COLUMNS, [(f"{row['source']}/{row['kind']}", row) for row in status["streams"]])
    if status["callbacks"]:
        _print_table("callback", CALLBACK_COLUMNS, [(row["name"], row) for row in status["callbacks"]])


def _print_table(what: str, columns: Mapping[str, str], rows: Sequence[tuple[str, dict[str, Any]]]) -> None:
    titles = (Column(what), *(Column(title, right=True) for title in columns.values()))
    sys.stdout.write("\n")
    print_table(titles, [(name, *(_cell(key, row.get(key)) for key in columns)) for name, row in rows])


def _cell(key: str, value: Any) -> str:
    if value is None:
        return "-"
    return age(value, datetime.now(UTC)) if key.endswith("_at") else f"{value:,}"


def age(at: str, now: datetime) -> str:
    """How long ago an RFC 3339 time was: `5 s`, `3 min`, `2 h`, `4 d`."""
    seconds = max(0.0, (now - datetime.fromisoformat(at)).total_seconds())
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"
