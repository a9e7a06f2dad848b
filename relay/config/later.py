"""Keys that are checked but not yet available: one table, whose rows go when their stage comes."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from relay.config.error import KeyPath, Problem
from relay.config.model import Config


class Later(NamedTuple):
    """A key, by its path without indexes; which use of it is not there yet; how to tell; what to do instead."""

    key: str
    what: str
    asks: Callable[[Any], bool]
    cure: str


LATER = (
    Later("journal.url", "PostgreSQL", lambda url: url.startswith("postgresql://"), "use sqlite:////path/relay.db"),
)


def asked_too_early(config: Config) -> Iterator[Problem]:
    """A problem for each key that asks for something not yet available."""
    for later in LATER:
        for path, value in _values(config, tuple(later.key.split(".")), ()):
            if later.asks(value):
                yield Problem(path, f"{later.what} is not yet available; {later.cure}")


def _values(value: Any, keys: tuple[str, ...], path: KeyPath) -> Iterator[tuple[KeyPath, Any]]:
    if isinstance(value, tuple):
        for index, item in enumerate(value):
            yield from _values(item, keys, (*path, index))
    elif not keys:
        yield path, value
    elif value is not None:
        yield from _values(getattr(value, keys[0]), keys[1:], (*path, keys[0]))
