"""`relay status`: asks a running relay over HTTP."""

import json
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from relay.cli.loading import load_or_complain
from relay.cli.output import DONE, FAILED, WRONG, complain, print_json
from relay.config import Config, Secret, SecretUnreadable
from relay.web.token import token_file as token_file_of

DEFAULT_URL = "http://127.0.0.1:8080"
TIMEOUT_SECONDS = 10.0
ANY_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}  # noqa: S104 - what is listened on, not where to go
STREAM_COLUMNS = {
    "last_successful_poll_at": "polled",
    "fetches_pending": "to unpack",
    "unpublished": "unpublished",
    "oldest_unpublished_at": "oldest",
    "gaps_open": "gaps",
    "quarantine_entries": "quarantine",
}
CALLBACK_COLUMNS = {"backlog": "waiting", "oldest_backlog_at": "oldest", "dead_letters": "dead letters"}
NO_TOKEN = "no token: set RELAY_TOKEN, or give --token-file, or --config to find it"  # noqa: S105 - a message


class _Refused(Exception):
    """No status could be had; says why."""


class Access(NamedTuple):
    url: str
    token: str


def show_status(
    *, url: str | None, config: Path | None, token_file: Path | None, token: str | None, as_json: bool
) -> int:
    """Print the status of the relay at `url`; 0 unless it cannot be asked or cannot work."""
    loaded = load_or_complain(config) if config is not None else None
    if isinstance(loaded, int):
        return loaded
    try:
        access = Access(url or _url_of(loaded), token or _token(token_file, loaded))
    except (OSError, SecretUnreadable) as error:
        return complain(f"relay status: cannot read the token: {error}", WRONG)
    if not access.token:
        return complain(f"relay status: {NO_TOKEN}", WRONG)
    try:
        status = _ask(access)
    except _Refused as error:
        return complain(f"relay status: {error}")
    if as_json:
        print_json(status)
    else:
        _print(status)
    return FAILED if status["status"] == "unavailable" else DONE


def _url_of(config: Config | None) -> str:
    if config is None:
        return DEFAULT_URL
    return f"http://{ANY_ADDRESS.get(config.http.host, config.http.host)}:{config.http.port}"


def _token(file: Path | None, config: Config | None) -> str:
    if file is not None:
        return file.read_text(encoding="utf-8").strip()
    if config is None:
        return ""
    return (config.http.token or Secret(file=token_file_of(config))).reveal()


def _ask(access: Access) -> dict[str, Any]:
    if not access.url.startswith(("http://", "https://")):
        raise _Refused(f"{access.url} is not an http:// or https:// URL")
    url = access.url.rstrip("/") + "/api/v1/status"
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {access.token}"})  # noqa: S310 - checked
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as response:  # noqa: S310 - checked above
            status: dict[str, Any] = json.load(response)
    except urllib.error.HTTPError as error:
        with error:
            cure = "; the token is not the one of this relay" if error.code == 401 else ""
            raise _Refused(f"{url} answered {error.code} {error.reason}{cure}") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        raise _Refused(f"cannot ask {url}: {reason}; is the relay running there?") from None
    return status


def _print(status: dict[str, Any]) -> None:
    console = Console(highlight=False)
    console.print(
        f"{status['instance']}: [bold]{status['status']}[/bold], version {status['version']}, "
        f"since {status['started_at']}"
    )
    for name, reason in status["degraded"].items():
        console.print(f"  [red]{escape(name)}[/red]: {escape(reason)}")
    if status["journal"]:
        console.print(f"journal {status['journal']['size_bytes']:,} bytes, {status['journal']['free_bytes']:,} free")
    console.print(
        _table("stream", STREAM_COLUMNS, [(f"{row['source']}/{row['kind']}", row) for row in status["streams"]])
    )
    if status["callbacks"]:
        console.print(_table("callback", CALLBACK_COLUMNS, [(row["name"], row) for row in status["callbacks"]]))


def _table(what: str, columns: Mapping[str, str], rows: Sequence[tuple[str, dict[str, Any]]]) -> Table:
    table = Table(box=box.SIMPLE, pad_edge=False)
    table.add_column(what)
    for title in columns.values():
        table.add_column(title, justify="right")
    for name, row in rows:
        table.add_row(escape(name), *(_cell(key, row.get(key)) for key in columns))
    return table


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
