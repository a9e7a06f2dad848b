"""What stands in a request's query, read strictly."""

import re
from collections.abc import Mapping
from datetime import datetime

_AGO = re.compile(r"(\d{1,9}(?:\.\d{1,3})?)([smhd])", re.ASCII)
_LAST_MS = 253_402_214_400_000
"""The year 9999 is far enough."""
_UNIT_MS = {"s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}


class WrongQuery(Exception):
    """A parameter is not what it must be; the text says which, and what it must be."""


def text(query: Mapping[str, str], name: str) -> str | None:
    """None if it is not given, or empty."""
    return query.get(name) or None


def whole(query: Mapping[str, str], name: str, default: int, least: int, most: int) -> int:
    given = query.get(name)
    if given is None:
        return default
    if not (given.isascii() and given.isdigit() and len(given) <= 19 and least <= int(given) <= most):
        raise WrongQuery(f"{name} must be a whole number from {least} to {most}")
    return int(given)


def flag(query: Mapping[str, str], name: str) -> bool:
    given = query.get(name, "false")
    if given not in {"true", "false"}:
        raise WrongQuery(f"{name} must be true or false")
    return given == "true"


def moment_ms(given: object, name: str, now_ms: int) -> int | None:
    """``24h`` (so long ago) or ``2026-02-12T08:58:20Z``; None if it is not given."""
    if given is None:
        return None
    match = _AGO.fullmatch(given) if isinstance(given, str) else None
    if match is not None:
        return now_ms - round(float(match[1]) * _UNIT_MS[match[2]])
    try:
        at = datetime.fromisoformat(given) if isinstance(given, str) else None
        if at is not None and at.tzinfo is not None:
            return min(max(0, round(at.timestamp() * 1000)), _LAST_MS)
    except (ValueError, OverflowError):
        pass
    raise WrongQuery(f"{name} must be how long ago, 90m, 24h or 2d, or a time with its offset, 2026-02-12T08:58:20Z")
