"""What all parts of one relay stand on, and how they wake one another without knowing each other."""

import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass

from relay.config import Config
from relay.domain.report import Stream
from relay.journal.sqlite import SqliteJournal
from relay.observe import Health, Telemetry
from relay.stages.stage import Stages

Wake = Callable[[], None]


def now_ms() -> int:
    """Unix milliseconds by the wall clock, for what is written down; waits go by the monotonic clock."""
    return time.time_ns() // 1_000_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Ground:
    """One for each relay, once its journal is open; what is pushed on `cleanup` is closed after all stages stopped."""

    config: Config
    journal: SqliteJournal
    stages: Stages
    telemetry: Telemetry
    health: Health
    cleanup: AsyncExitStack


class Wakes:
    """By stream: how to wake who unpacks it, and all who follow it. Nobody there yet: nothing is woken."""

    def __init__(self) -> None:
        self._unpack: dict[Stream, Wake] = {}
        self._followers: dict[Stream, dict[str, Wake]] = {}

    def unpacks(self, stream: Stream, wake: Wake) -> None:
        self._unpack[stream] = wake

    def follows(self, stream: Stream, name: str, wake: Wake) -> None:
        """`name` tells the followers of a stream apart."""
        self._followers.setdefault(stream, {})[name] = wake

    def leaves(self, stream: Stream, name: str) -> None:
        """It is not woken any more; may be called twice."""
        self._followers.get(stream, {}).pop(name, None)

    def unpack(self, stream: Stream) -> None:
        """A fetch of the stream was journaled."""
        if (wake := self._unpack.get(stream)) is not None:
            wake()

    def followers(self, stream: Stream) -> None:
        """There are new entries in the stream."""
        for wake in self._followers.get(stream, {}).values():
            wake()
