"""One thing that was checked."""

from enum import StrEnum
from typing import NamedTuple


class State(StrEnum):
    OK = "ok"
    WARNING = "warning"
    """The relay would run; somebody should look."""
    FAILED = "failed"
    """The relay would not do its work."""


class Finding(NamedTuple):
    """`what` was checked, how it went, and what to know or do about it."""

    what: str
    state: State
    detail: str
