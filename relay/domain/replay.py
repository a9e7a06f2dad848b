"""Sending again what a callback got before: what is asked for, and how far it has come."""

from enum import IntEnum
from typing import NamedTuple

from relay.domain.report import Stream


class ReplayRequest(NamedTuple):
    """Reports that were received from `since_ms` on and before `until_ms`; None: any."""

    callback: str
    since_ms: int
    until_ms: int
    source: str | None = None
    kind: str | None = None
    status_groups: frozenset[int] | None = None

    def covers(self, stream: Stream) -> bool:
        return self.source in {None, stream.source} and self.kind in {None, stream.kind}


class ReplayState(IntEnum):
    RUNNING = 0
    PAUSED = 1
    DONE = 2
    """All of it was sent again, or given up as counted dead letters."""
    CANCELLED = 3

    @property
    def is_over(self) -> bool:
        return self >= ReplayState.DONE


class ReplaySpan(NamedTuple):
    """How far a replay has come in one stream: entries after `after_seq` and up to `until_seq`."""

    stream: Stream
    after_seq: int
    until_seq: int
    position: int
    """All entries up to here are looked at."""
    reports: int
    """Sent again."""
    waiting: int
    """Left out because they were about to be sent anyway."""
    gone: int
    """Entries that were pruned before the replay came to them."""

    @property
    def is_read(self) -> bool:
        return self.position >= self.until_seq


class ReplayRun(NamedTuple):
    """A replay as the journal keeps it; `pending` of its reports are not delivered yet, `dead` ones were given up."""

    id: int
    request: ReplayRequest
    state: ReplayState
    started_at_ms: int
    ended_at_ms: int | None
    spans: tuple[ReplaySpan, ...]
    pending: int
    untried: int
    """Of the pending ones, those that were not tried since they were stored."""
    dead: int

    @property
    def is_read(self) -> bool:
        return all(span.is_read for span in self.spans)


class ReplayCount(NamedTuple):
    """What a replay would send, what it leaves out because it is pending anyway, and dead letters among the sent."""

    reports: int = 0
    waiting: int = 0
    dead: int = 0
