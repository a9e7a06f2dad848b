"""The page at `/`: the same figures for people, without script, everything escaped."""

from collections.abc import Sequence
from html import escape
from typing import Any

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
REFRESH_SECONDS = 5

STYLE = """
:root { color-scheme: light dark; --line: #8884; --muted: #888; --good: #2a8f4f; --bad: #c2410c }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 72rem; margin: 2rem auto; padding: 0 1rem }
h1 { font-size: 1.4rem } h2 { font-size: 1.1rem; margin-top: 2rem }
table { border-collapse: collapse; width: 100% } .wide { overflow-x: auto }
th, td { text-align: right; padding: .35rem .6rem; border-bottom: 1px solid var(--line); white-space: nowrap;
  font-variant-numeric: tabular-nums }
th:first-child, td:first-child { text-align: left } th { font-weight: 600; color: var(--muted) }
.ok { color: var(--good) } .degraded, .unavailable { color: var(--bad) } footer { color: var(--muted) }
"""

STREAM_COLUMNS = {
    "last_successful_poll_at": "last good poll",
    "fetches_pending": "fetches to unpack",
    "last_seq": "last entry",
    "unpublished": "unpublished",
    "oldest_unpublished_at": "oldest unpublished",
    "gaps_open": "open gaps",
    "quarantine_entries": "quarantine",
}
CALLBACK_COLUMNS = {"backlog": "waiting", "oldest_backlog_at": "oldest waiting", "dead_letters": "dead letters"}


def render_page(status: dict[str, Any]) -> str:
    """HTML of a body of /api/v1/status."""
    word = status["status"]
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<meta http-equiv="refresh" content="{REFRESH_SECONDS}"><title>relay {_text(status["instance"])}: {_text(word)}</title>
<style>{STYLE}</style></head><body>
<h1>relay <span class="{_text(word)}">{_text(word)}</span></h1>
<p>Instance {_text(status["instance"])}, version {_text(status["version"])}, since {_time(status["started_at"])}.
{_journal(status["journal"])}</p>
{_degraded(status["degraded"])}
<h2>Streams</h2>
{_table(["stream", *STREAM_COLUMNS.values()], [_stream(row) for row in status["streams"]])}
<h2>Callbacks</h2>
{_table(["callback", *CALLBACK_COLUMNS.values()], [_callback(row) for row in status["callbacks"]])}
<footer><p><a href="/metrics">/metrics</a> · <a href="/readyz">/readyz</a> · <a href="/healthz">/healthz</a> ·
/api/v1/status (bearer token) · times in UTC · this page renews itself every {REFRESH_SECONDS} seconds</p></footer>
</body></html>
"""


def _degraded(degraded: dict[str, str]) -> str:
    if not degraded:
        return ""
    items = "".join(f"<li><b>{_text(name)}</b>: {_text(reason)}</li>" for name, reason in sorted(degraded.items()))
    return f'<h2 class="degraded">Degraded</h2>\n<ul>{items}</ul>'


def _journal(journal: dict[str, Any] | None) -> str:
    if journal is None:
        return "The journal cannot be read."
    return f"Journal {_size(journal['size_bytes'])}, {_size(journal['free_bytes'])} free."


def _stream(row: dict[str, Any]) -> list[str]:
    return [f"{row['source']}/{row['kind']}", *(_cell(key, row[key]) for key in STREAM_COLUMNS)]


def _callback(row: dict[str, Any]) -> list[str]:
    return [row["name"], *(_cell(key, row[key]) for key in CALLBACK_COLUMNS)]


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    if not rows:
        return "<p>None.</p>"
    head = "".join(f"<th>{_text(column)}</th>" for column in columns)
    body = "\n".join("<tr>" + "".join(f"<td>{_text(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead>\n<tbody>{body}</tbody></table></div>'


def _cell(key: str, value: Any) -> str:
    if value is None:
        return "none"
    return _time(value) if key.endswith("_at") else f"{value:,}"


def _time(rfc3339: str) -> str:
    return rfc3339[:19].replace("T", " ")


def _size(size_bytes: int) -> str:
    size = float(size_bytes)
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:,.0f} {unit}" if unit == "bytes" else f"{size:,.1f} {unit}"
        size /= 1024
    return f"{size:,.1f} TiB"


def _text(value: Any) -> str:
    return escape(str(value), quote=True)
