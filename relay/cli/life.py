"""`relay inspect`: the whole life of a report, as a running relay tells it."""

import json
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from relay.cli.output import DONE, print_json, visible
from relay.cli.place import Place, relay_at
from relay.cli.remote import Refused, refused

PATH = "/api/v1/inspect"
MOST_ANSWER_CHARACTERS = 200
TIMEOUT_SECONDS = 60.0


def inspect_report(place: Place, message_id: str, *, as_json: bool) -> int:
    """Print all that is known of it; the exit code, FAILED if that is nothing."""
    try:
        life = relay_at(place).call("GET", PATH, {"message_id": message_id}, timeout_seconds=TIMEOUT_SECONDS)
    except Refused as error:
        return refused(f"inspect {message_id}", error)
    if as_json:
        print_json(life)
        return DONE
    sys.stdout.write("\n".join(visible(line) for line in _described(life)) + "\n")
    return DONE


def attempt_line(attempt: dict[str, Any]) -> str:
    """One try in one line."""
    status = f"HTTP {attempt['status']}" if attempt["status"] is not None else "no answer"
    text = f"{attempt['at']}  {status} in {attempt['seconds'] * 1000:,.0f} ms: {_RESULTS[attempt['result']]}"
    if attempt["error"]:
        text += f", {attempt['error']}"
    return text + (f"  {attempt['answer'][:MOST_ANSWER_CHARACTERS]!r}" if attempt["answer"] else "")


_RESULTS = {"delivered": "delivered", "retry": "to be tried again", "dead": "given up"}
_ORIGINS = {"poll": "polled", "push": "pushed", "logs": "found in the logs"}


def _described(life: dict[str, Any]) -> Iterator[str]:
    yield life["message_id"]
    for entry in life["entries"]:
        yield ""
        yield f"{entry['source']}/{entry['kind']}, entry {entry['seq']}: {entry['type']}, revision {entry['revision']}"
        yield from (f"  {name:11}{text}" for name, text in _entry(entry, life["entries"]))
    told = {(entry["source"], entry["kind"]) for entry in life["entries"]}
    for known in life["known"]:
        if (known["source"], known["kind"]) not in told:
            yield ""
            yield (
                f"{known['source']}/{known['kind']}, entry {known['last_seq']}: gone, as its retention is over, or "
                f"room was short; revision {known['revisions']}, seen {_hour(known['seen_at'])}"
            )


def _hour(rfc3339: str) -> str:
    """The time is known to the hour."""
    begin = datetime.fromisoformat(rfc3339).astimezone(UTC)
    return f"{begin:%Y-%m-%d %H:00} to {begin + timedelta(hours=1):%H:00} UTC"


def _entry(entry: dict[str, Any], all_entries: list[dict[str, Any]]) -> Iterator[tuple[str, str]]:
    yield "received", f"{entry['received_at']}, {_ORIGINS[entry['origin']]}{_fetch(entry['fetch'])}"
    for gap in entry["gaps"]:
        yield "gap", f"{gap['id']} ({gap['cause']}, {gap['state']}), {gap['since']} to {gap['until']}"
    yield "report", "its body is gone" if entry["report"] is None else json.dumps(entry["report"], ensure_ascii=False)
    if entry["kafka"] is not None:
        yield "kafka", _kafka(entry["kafka"])
    if entry["recording"] is not None:
        announced = (one["report"] for one in all_entries if _announces(one, entry))
        yield "recording", _recording(entry["recording"], next(announced, None))
    for callback in entry["callbacks"]:
        yield from _callback(callback)


def _fetch(fetch: dict[str, Any] | None) -> str:
    if fetch is None:
        return ""
    cut = "" if fetch["complete"] else ", cut short"
    return f" (fetch {fetch['id']}, asked for at {fetch['requested_at']}, HTTP {fetch['status']}{cut})"


def _kafka(kafka: dict[str, Any]) -> str:
    place = f"{kafka['topic']}, relay_seq {kafka['relay_seq']}"
    if kafka["state"] == "waiting":
        return f"waits for {place}; the cursor is at {kafka['position']}"
    if kafka["state"] == "refused":
        return f"refused by {kafka['topic']}: see the quarantine"
    at = f", in the transaction known to be committed at {kafka['published_at']}" if kafka["published_at"] else ""
    return f"in {place}{at}"


def _announces(one: dict[str, Any], entry: dict[str, Any]) -> bool:
    """Whether `one` tells that the recording of `entry` was stored."""
    return one["type"] == "recording" and (one["source"], one["kind"]) == (entry["source"], entry["kind"])


def _recording(recording: dict[str, Any], announced: dict[str, Any] | None) -> str:
    text = f"{recording['state']}: {recording['url']}" if recording["url"] else str(recording["state"])
    if recording["state"] == "stored" and announced is not None:
        text += ": {path}, {seconds} seconds, {bytes:,} bytes".format_map(announced)
    if recording["next_attempt_at"]:
        text += f", next attempt {recording['next_attempt_at']} after {recording['failed_attempts']} that failed"
    return text + (f"; {recording['reason']}" if recording["reason"] else "")


def _callback(callback: dict[str, Any]) -> Iterator[tuple[str, str]]:
    text = f"{callback['callback']}: {_STATES[callback['state']]}"
    if callback["next_attempt_at"]:
        text += f", next attempt {callback['next_attempt_at']}"
    if callback["dead_letter"] is not None:
        text += f" {callback['dead_letter']}: {callback['reason']}"
    yield "callback", text
    for attempt in callback["attempts"]:
        yield "", "  " + attempt_line(attempt)


_STATES = {
    "delivered": "delivered",
    "pending": "pending",
    "dead": "dead letter",
    "waiting": "waits for its turn",
    "passed": "not for it: it began later, does not want such, or its dead letter was dropped",
}
