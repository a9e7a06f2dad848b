"""A report as Infobip's own push (`notifyUrl`) sends it, for receivers that were written for that.

The value in the journal is Infobip's, normalised. What a strict receiver would stumble over goes back: offsets without
a colon (``+0100``: what Java's and C#'s usual patterns for it read), and what could not be normalised to its own place.
"""

import re
from typing import Any

import orjson

from relay.domain.source_text import read_object
from relay.domain.values import written

_TIMESTAMP = re.compile(
    rb'":"(?:(?<="sentAt":")|(?<="doneAt":")|(?<="startTime":")|(?<="answerTime":")|(?<="endTime":"))'
    rb'(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?)(?:([+-]\d\d):(\d\d)|Z)"'
)
"""Begins with what is found fast."""

_UNPARSED = b'"unparsed":'
_MOST_LEVELS = 1000
"""Values were bounded far below this before they were journaled."""


def as_pushed(value: bytes) -> bytes:
    """One of the `results`; the same for the same value, so the same on every attempt."""
    if _UNPARSED in value:
        value = _restored(value)
    return _TIMESTAMP.sub(_without_colon, value)


def _without_colon(match: re.Match[bytes]) -> bytes:
    moment, hours, minutes = match.groups()
    return b'":"%b%b%b"' % (moment, hours or b"+00", minutes or b"00")


def _restored(value: bytes) -> bytes:
    report = read_object(value, most_levels=_MOST_LEVELS)
    unparsed = report.pop("unparsed", None)
    if not isinstance(unparsed, dict):
        return value
    for pointer, received in unparsed.items():
        _put(report, [_unescaped(step) for step in pointer.split("/")[1:]], received)
    return orjson.dumps(report, written)


def _put(holder: Any, path: list[str], received: Any) -> None:
    """Where it was taken from: a member that is missing, or an item that is null."""
    for step in path[:-1]:
        holder = holder[int(step)] if isinstance(holder, list) else holder.setdefault(step, {})
    if isinstance(holder, list):
        holder[int(path[-1])] = received
    else:
        holder[path[-1]] = received


def _unescaped(step: str) -> str:
    return step.replace("~1", "/").replace("~0", "~")
