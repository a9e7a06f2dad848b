"""Timestamps as Infobip writes them into RFC 3339, with the offset received.

Reports of one fetch share minutes, and there are only so many milliseconds in a minute: both parts are validated once
and remembered, which leaves two look-ups per timestamp. Only valid parts are remembered, and their number is bounded.
"""

import re
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from typing import Any

_TIMESTAMP = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt ]([01]\d|2[0-3]):([0-5]\d):([0-5]\d(?:\.\d{1,9})?)"
    r"([Zz]|[+-](?:[01]\d|2[0-3])(?::?[0-5]\d)?)",
    re.ASCII,
)
_EPOCH_MS = re.compile(r"\d{12,15}", re.ASCII)
_EARLIEST_EPOCH_MS = 10**11
"""March 1973. Anything below is seconds, or a zero that stands for nothing: not to be taken for milliseconds."""
_LATEST_EPOCH_MS = 253_402_300_799_999
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_MILLISECOND = timedelta(milliseconds=1)
_MOST_REMEMBERED = 65_536

_minutes: dict[str, str] = {}
_tails: dict[str, str] = {}
"""Valid parts of timestamps: up to the minute, and seconds with offset. Any two of them make a valid timestamp."""


def rfc3339(text: str) -> str | None:
    """``2015-02-12T09:58:20.323+0100`` → ``2015-02-12T09:58:20.323+01:00``; None if it is no such point in time.

    Takes offsets as ``Z``, ``+01``, ``+0100`` and ``+01:00``, up to nine digits of a second, and epoch milliseconds
    as digits. A timestamp without an offset is refused: nobody knows when that was.
    """
    try:
        return _minutes[text[:17]] + _tails[text[17:]]
    except KeyError:
        return _parsed(text)


def rfc3339_members(holder: dict[str, Any], keys: Iterable[str], moved: dict[str, Any]) -> None:
    """`rfc3339` for these members, which are strings, in place; what is no point in time goes to `moved` by pointer.

    In one go, as this is a good part of what a report costs.
    """
    for key in keys:
        text = holder[key]
        try:
            holder[key] = _minutes[text[:17]] + _tails[text[17:]]
        except KeyError:
            moment = _parsed(text)
            if moment is None:
                moved[f"/{key}"] = holder.pop(key)
            else:
                holder[key] = moment


def rfc3339_from_epoch_ms(epoch_ms: int) -> str | None:
    """Epoch milliseconds, in UTC; None outside the years 1973 to 9999."""
    if not _EARLIEST_EPOCH_MS <= epoch_ms <= _LATEST_EPOCH_MS:
        return None
    seconds, ms = divmod(epoch_ms, 1000)
    return f"{_EPOCH + timedelta(seconds=seconds):%Y-%m-%dT%H:%M:%S}.{ms:03d}Z"


def epoch_ms(moment: str) -> int | None:
    """A timestamp as `rfc3339` writes it in Unix milliseconds; None if it is none."""
    try:
        at = datetime.fromisoformat(moment)
    except ValueError:
        return None
    return None if at.tzinfo is None else (at - _EPOCH) // _MILLISECOND


def _parsed(text: str) -> str | None:
    text = text.strip()
    match = _TIMESTAMP.fullmatch(text)
    if match is None:
        return rfc3339_from_epoch_ms(int(text)) if _EPOCH_MS.fullmatch(text) else None
    year, month, day, hour, minute, seconds, received_offset = match.groups()
    try:
        date(int(year), int(month), int(day))
    except ValueError:
        return None
    minutes, tail = f"{year}-{month}-{day}T{hour}:{minute}:", seconds + _offset(received_offset)
    _remember(_minutes, text[:17], minutes)
    _remember(_tails, text[17:], tail)
    return minutes + tail


def _offset(received: str) -> str:
    if received in {"Z", "z"}:
        return "Z"
    return f"{received[:3]}:{received[-2:] if len(received) > 3 else '00'}"


def _remember(memory: dict[str, str], received: str, normalised: str) -> None:
    if len(memory) >= _MOST_REMEMBERED:
        memory.clear()
    memory[received] = normalised
