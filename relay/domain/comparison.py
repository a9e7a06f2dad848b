"""A comparison that somebody asks for: what is asked, what is missing, how far it is."""

from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple

from relay.domain.gaps import Window, gap_of
from relay.domain.report import Stream


class ComparisonRequest(NamedTuple):
    """Compare what was sent in the last `since_seconds`; of one source or kind, if given."""

    since_seconds: float
    dry_run: bool = False
    """Append nothing."""
    include_earlier: bool = False
    """Append also what was done before the stream's first poll, which somebody else may have read."""
    source: str | None = None
    kind: str | None = None

    def asks(self, stream: Stream) -> bool:
        return self.source in (None, stream.source) and self.kind in (None, stream.kind)


class Place(StrEnum):
    """Where a missing report stands."""

    GAP = "gap"
    """In an open gap: it would be recovered in any case."""
    EARLIER = "earlier"
    """Done before the stream's first poll: another reader took it, or the first read was lost."""
    ELSEWHERE = "elsewhere"
    """In no open gap: another reader of the account took it, or a gap ended without it."""


class MissingReport(NamedTuple):
    """A final row of the logs that the journal does not know by (messageId, outcome)."""

    stream: Stream
    message_id: str
    outcome: str
    sent_at_ms: int | None
    done_at_ms: int | None
    place: Place
    appended: bool


class RunState(StrEnum):
    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    INCOMPLETE = "incomplete"
    """A millisecond held more rows than can be had."""
    FAILED = "failed"
    CANCELLED = "cancelled"


class StreamComparison(NamedTuple):
    """How far the comparison of one stream is. Compared is from `compared_from_ms` to `until_ms`, times of sending."""

    stream: Stream
    state: RunState = RunState.WAITING
    since_ms: int | None = None
    until_ms: int | None = None
    """What was done later is not compared: it may still come by polling."""
    compared_from_ms: int | None = None
    calls: int = 0
    calls_left: int | None = None
    """About how many more; None: not known yet."""
    rows: int = 0
    missing: int = 0
    appended: int = 0
    holes: int = 0
    error: str = ""


class ComparisonRun(NamedTuple):
    """One run. `missing_kept` of the missing reports can be listed."""

    id: str
    state: RunState
    request: ComparisonRequest
    started_at_ms: int
    ended_at_ms: int | None
    streams: tuple[StreamComparison, ...]
    missing_kept: int


def place_of(done_ms: int, windows: Sequence[Window], first_poll_at_ms: int | None) -> tuple[Place, int | None]:
    """Where a missing report stands, and the id of its gap; `windows` are those of all open gaps."""
    gap_id = gap_of(done_ms, windows)
    if gap_id is not None:
        return Place.GAP, gap_id
    if first_poll_at_ms is None or done_ms < first_poll_at_ms:
        return Place.EARLIER, None
    return Place.ELSEWHERE, None


def overall(streams: Sequence[StreamComparison]) -> RunState:
    """The state of a run from those of its streams, all of which have ended: the worst of them."""
    order = (RunState.CANCELLED, RunState.FAILED, RunState.INCOMPLETE)
    states = {stream.state for stream in streams}
    return next((state for state in order if state in states), RunState.DONE)
