"""Recordings of calls: which report has one, where it is kept, what is announced, when to try again."""

import hashlib
from datetime import UTC, datetime
from typing import NamedTuple

import orjson

from relay.domain.report import Entry, EntryType
from relay.domain.retry import Random, equal_jitter_seconds

RECORDED_KIND = "voice"
MAX_RECORDING_BYTES = 256 * 1024 * 1024
"""More than four hours of one channel."""
MAX_AGE_SECONDS = 48 * 3600.0
FIRST_WAIT_SECONDS = 15.0
LONGEST_WAIT_SECONDS = 3600.0

_URL_KEY = b'"recordedAudioFileUrl":'
_REPORTS = frozenset({EntryType.REPORT, EntryType.COMPLETION, EntryType.REVISION})
_PLAIN = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"
_LONGEST_NAME = 120
_DIGEST_DIGITS = 32


class WantedRecording(NamedTuple):
    """A recording that a report points to; `day` is ``2015-02-12``, UTC."""

    message_id: str
    url: str
    day: str


class StoredRecording(NamedTuple):
    """A recording that is kept; `path` is relative to the directory of recordings."""

    path: str
    size_bytes: int
    sha256: str
    seconds: float


class TryAgain(NamedTuple):
    reason: str
    wait_seconds: float


class GivenUp(NamedTuple):
    reason: str


class Failure(NamedTuple):
    """Why a fetch brought no recording. `final`: asking again can bring none."""

    reason: str
    final: bool = False
    retry_after_seconds: float | None = None


def wanted_recording(entry: Entry) -> WantedRecording | None:
    """What the report of an entry points to.

    Its day is that of the call's start, else of sending, else of the report's arrival: every generation of the API has
    one of the first two, and neither changes with a later report.
    """
    if _URL_KEY not in entry.value or entry.type not in _REPORTS:
        return None
    report = orjson.loads(entry.value)
    url = report.get("recordedAudioFileUrl")
    if not isinstance(url, str):
        return None
    told = (_day(report.get(name)) for name in ("startTime", "sentAt"))
    day = next(filter(None, told), None) or _iso_day(datetime.fromtimestamp(entry.received_at_ms / 1000, UTC))
    return WantedRecording(entry.message_id, url, day)


def recording_path(source: str, day: str, message_id: str) -> str:
    """``acme/2015/02/12/{messageId}.wav``"""
    return f"{source}/{day.replace('-', '/')}/{file_name(message_id)}"


def file_name(message_id: str) -> str:
    """The file's name: one for each messageId, in a directory that does not tell capitals from others as well.

    What is not a letter, a digit or one of ``._-`` is percent-encoded. With capitals, or when it would be too long, a
    digest of the messageId ends the name.
    """
    encoded = "".join(letter if letter in _PLAIN else _escaped(letter) for letter in message_id)
    if encoded.startswith("."):  # neither hidden nor a way upwards
        encoded = "%2e" + encoded[1:]
    if len(encoded) > _LONGEST_NAME or message_id != message_id.lower():
        digest = hashlib.sha256(message_id.encode()).hexdigest()[:_DIGEST_DIGITS]
        encoded = f"{encoded[: _LONGEST_NAME - _DIGEST_DIGITS]}~{digest}"
    return f"{encoded}.wav"


def recording_value(source: str, message_id: str, stored: StoredRecording) -> bytes:
    """The event that announces a recording."""
    return orjson.dumps(
        {
            "messageId": message_id,
            "source": source,
            "path": stored.path,
            "bytes": stored.size_bytes,
            "sha256": stored.sha256,
            "seconds": stored.seconds,
        }
    )


def after_failure(failure: Failure, *, attempts: int, age_seconds: float, random: Random) -> TryAgain | GivenUp:
    """What follows the `attempts`-th fetch, which failed."""
    if failure.final:
        return GivenUp(failure.reason)
    if age_seconds >= MAX_AGE_SECONDS:
        return GivenUp(f"not to be had for {MAX_AGE_SECONDS / 3600:.0f} hours: {failure.reason}")
    wait_seconds = equal_jitter_seconds(
        attempts, initial_seconds=FIRST_WAIT_SECONDS, max_seconds=LONGEST_WAIT_SECONDS, random=random
    )
    asked_seconds = min(failure.retry_after_seconds or 0.0, LONGEST_WAIT_SECONDS)
    return TryAgain(failure.reason, max(wait_seconds, asked_seconds))


def _escaped(letter: str) -> str:
    return "".join(f"%{byte:02x}" for byte in letter.encode())


def _day(moment: object) -> str | None:
    """The UTC day of a normalised timestamp."""
    if not isinstance(moment, str):
        return None
    try:
        return _iso_day(datetime.fromisoformat(moment))
    except (ValueError, OverflowError):
        return None


def _iso_day(moment: datetime) -> str:
    return moment.astimezone(UTC).date().isoformat()
