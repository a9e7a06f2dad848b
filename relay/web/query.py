"""What stands in a request's query, read strictly."""

from collections.abc import Mapping


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
