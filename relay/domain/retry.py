"""When to try again: exponential backoff with jitter, and what a Retry-After header asks for."""

import re
from collections.abc import Callable
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import NamedTuple

Random = Callable[[], float]
"""Uniform in [0, 1): `random.random`, or a constant in tests."""

_DELTA_SECONDS = re.compile(r"[0-9]+(?:\.[0-9]+)?", re.ASCII)
_LONGEST_HEADER = 128
_LARGEST_EXPONENT = 62


class RetryPolicy(NamedTuple):
    """The schedule of one callback: doubling from `initial_seconds` up to `max_seconds`, until `max_age_seconds`."""

    initial_seconds: float
    max_seconds: float
    max_age_seconds: float


def exponential_seconds(failures: int, *, initial_seconds: float, max_seconds: float) -> float:
    """The undisturbed wait after `failures` failures in a row (1 or more): initial, twice that, …, capped."""
    exponent = min(max(failures - 1, 0), _LARGEST_EXPONENT)
    return min(initial_seconds * 2.0**exponent, max_seconds)


def full_jitter_seconds(failures: int, *, initial_seconds: float, max_seconds: float, random: Random) -> float:
    """Anywhere between 0 and the exponential wait: spreads many deliveries that failed together."""
    return random() * exponential_seconds(failures, initial_seconds=initial_seconds, max_seconds=max_seconds)


def equal_jitter_seconds(failures: int, *, initial_seconds: float, max_seconds: float, random: Random) -> float:
    """Between half the exponential wait and all of it: for a lone caller, which must not try again at once."""
    ceiling = exponential_seconds(failures, initial_seconds=initial_seconds, max_seconds=max_seconds)
    return ceiling / 2 + random() * ceiling / 2


def parse_retry_after(value: str | None, *, now_ms: int) -> float | None:
    """Seconds that a Retry-After header asks to wait, from delta-seconds or an HTTP date; never negative, not capped.

    None when there is no header or it makes no sense.
    """
    if value is None or len(value) > _LONGEST_HEADER:
        return None
    text = value.strip()
    if _DELTA_SECONDS.fullmatch(text):
        return float(text)
    return _seconds_until(text, now_ms)


def honoured_seconds(retry_after_seconds: float | None, *, cap_seconds: float) -> float | None:
    """What is honoured of a Retry-After: at most `cap_seconds`, however long the server asks for."""
    if retry_after_seconds is None:
        return None
    return min(max(retry_after_seconds, 0.0), cap_seconds)


def _seconds_until(http_date: str, now_ms: int) -> float | None:
    try:
        moment = parsedate_to_datetime(http_date)
        if moment.tzinfo is None:  # "-0000", or none at all: HTTP dates are GMT
            moment = moment.replace(tzinfo=UTC)
        at_seconds = moment.timestamp()
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return max(0.0, at_seconds - now_ms / 1000)
