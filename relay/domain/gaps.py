"""Gaps: when one may be compared with the logs, which rows belong to it, how it ends.

A lost read held what had waited in the queue: reports done since the queue was last known to be empty, or since the
last good answer before, until the read ended. Times of the API and ours differ a little, and a report reaches the queue
a little after it is done: hence the slack. Nothing done before the stream's first poll ever belongs to a gap, for
somebody else may have read it.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from relay.domain.history import GapState

SLACK_AFTER_MOST_MS = 60_000
DUE_REGARDLESS_FACTOR = 10
"""So many times the settling time after its end a gap is compared, whatever the queue looks like."""


class RecoveryPolicy(NamedTuple):
    """The `reconcile` section of a source, in milliseconds."""

    settle_ms: int
    lookback_ms: int

    @property
    def slack_before_ms(self) -> int:
        """A report may be that much older than the span in which it was lost."""
        return self.settle_ms

    @property
    def slack_after_ms(self) -> int:
        """And that much younger, by the clock of the API."""
        return min(SLACK_AFTER_MOST_MS, self.settle_ms // 10)


class OpenGap(NamedTuple):
    """As `Gap`; `scan_id` says which scan serves it."""

    id: int
    since_ms: int
    until_ms: int
    drained_at_ms: int | None
    scan_id: int | None


class Scan(NamedTuple):
    """A walk through the logs by times of sending, newest first, for all gaps that were due when it began."""

    id: int
    upper_ms: int
    """Where it began."""
    front_ms: int
    """How far it goes before it gives way to other scans: most of what was lost is found by then."""
    position_ms: int
    """What was sent after this is compared."""
    hole_ms: int | None = None
    """The newest millisecond whose rows could not be had in whole."""
    earlier: int = 0
    """Rows seen that are not in the journal, and may belong to a gap but for being from before the first poll."""

    @property
    def at_front(self) -> bool:
        return self.position_ms >= self.front_ms


class StreamGaps(NamedTuple):
    """What the journal knows of a stream's open gaps."""

    first_poll_at_ms: int | None
    drained_at_ms: int | None
    """When the last answer with fewer than 50 entries was asked for."""
    pending_since_ms: int | None
    """When the oldest fetch that is not unpacked was asked for."""
    gaps: tuple[OpenGap, ...]
    scans: tuple[Scan, ...]
    """Oldest first."""


class Window(NamedTuple):
    """When a report was done that the gap may have lost; both bounds belong to it."""

    gap_id: int
    from_ms: int
    until_ms: int
    lost_ms: int
    """When the last read of the gap ended."""
    reach_ms: int
    """Since when such a report may have waited in the queue; before `from_ms` if that was before the first poll."""


class GapEnding(NamedTuple):
    """How a gap ends; nothing happens to one that has grown past `until_ms` meanwhile.

    Compared in whole are the rows sent between `compared_from_ms` and `compared_until_ms`; None: nothing.
    """

    gap_id: int
    until_ms: int
    state: GapState
    compared_from_ms: int | None = None
    compared_until_ms: int | None = None


class EndedGap(NamedTuple):
    """A gap as it ended, for metrics and log."""

    gap_id: int
    state: GapState
    recovered: int


def settled_until_ms(gaps: StreamGaps, policy: RecoveryPolicy, now_ms: int) -> int:
    """What was done until then has been read, or lost: what is missing of it will not come by polling any more.

    An answer that emptied the queue was asked for half the settling time later, and it and all before it are unpacked;
    or ten times the settling time has passed. Never is that less than the settling time ago.
    """
    regardless_ms = now_ms - DUE_REGARDLESS_FACTOR * policy.settle_ms
    drained_ms, pending_ms = gaps.drained_at_ms, gaps.pending_since_ms
    if drained_ms is None or (pending_ms is not None and pending_ms <= drained_ms):
        return regardless_ms
    return max(regardless_ms, min(drained_ms - policy.settle_ms // 2, now_ms - policy.settle_ms))


def window(gap: OpenGap, first_poll_at_ms: int | None, policy: RecoveryPolicy) -> Window:
    """When the reports were done that the gap may have lost."""
    earliest_ms = gap.since_ms if first_poll_at_ms is None else first_poll_at_ms
    empty_ms = gap.drained_at_ms
    reach_ms = 0 if empty_ms is None else min(empty_ms, gap.since_ms) - policy.slack_before_ms
    until_ms = gap.until_ms + policy.slack_after_ms
    return Window(gap.id, max(earliest_ms, reach_ms), until_ms, gap.until_ms, reach_ms)


def gap_of(done_ms: int, windows: Sequence[Window]) -> int | None:
    """The gap to which a missing report counts; `windows` by the time of their reads.

    Slack makes windows overlap: the first read that ended after the report was done has most likely lost it.
    """
    holding = [window for window in windows if window.from_ms <= done_ms <= window.until_ms]
    after = next((window for window in holding if window.lost_ms >= done_ms), None)
    chosen = after or (holding[-1] if holding else None)
    return None if chosen is None else chosen.gap_id


def is_expired(gap: OpenGap, policy: RecoveryPolicy, now_ms: int) -> bool:
    """The logs hold nothing any more of what it may have lost."""
    return gap.until_ms + policy.slack_after_ms < now_ms - policy.lookback_ms


def endings(scan: Scan, gaps: Iterable[OpenGap], windows: Iterable[Window]) -> list[GapEnding]:
    """How the gaps of a scan that came to its end do end. One that grew meanwhile is left out: it is compared anew."""
    return [
        _ending(scan, gap, window)
        for gap, window in zip(gaps, windows, strict=True)
        if window.until_ms <= scan.upper_ms
    ]


def _ending(scan: Scan, gap: OpenGap, window: Window) -> GapEnding:
    hole = scan.hole_ms is not None and scan.hole_ms <= window.until_ms
    from_ms = scan.hole_ms + 1 if hole and scan.hole_ms is not None else scan.position_ms + 1
    # What the journal lacks from before the first poll may have been read by somebody else, or it was in the lost read:
    # who knows.
    doubtful = window.reach_ms < window.from_ms and scan.earlier > 0
    whole = not hole and not doubtful and scan.position_ms < window.from_ms
    state = GapState.CLOSED if whole else GapState.INCOMPLETE
    return GapEnding(gap.id, gap.until_ms, state, min(from_ms, window.until_ms), window.until_ms)
