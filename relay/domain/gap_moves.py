"""What to do next about the gaps of a stream: a closed union, decided once for each step.

Gaps that are due are served by one scan together. It goes first as far as nearly all lost reports lie, then on through
all that the logs hold; there it takes turns with a younger scan that has not come that far, so that new gaps need not
wait for the long walk of old ones. There are never more than two: gaps that come due meanwhile join the younger one,
which begins anew. The older one gets every other request whatever happens: however often gaps come, old ones end.
"""

from collections.abc import Sequence
from typing import NamedTuple

from relay.domain.gaps import (
    GapEnding,
    OpenGap,
    RecoveryPolicy,
    Scan,
    StreamGaps,
    Window,
    endings,
    is_expired,
    settled_until_ms,
    window,
)
from relay.domain.history import GapState

MOST_SCANS = 2
CHECK_LEAST_SECONDS = 0.5
CHECK_MOST_SECONDS = 15.0


class EndGaps(NamedTuple):
    """End these gaps, and the scan that served them, if they had one."""

    endings: Sequence[GapEnding]
    scan_id: int | None = None


class BeginScan(NamedTuple):
    """Begin a scan for these gaps at `upper_ms`, the earliest window of them beginning at `from_ms`.

    With a `scan_id` that scan begins anew.
    """

    gap_ids: Sequence[int]
    upper_ms: int
    from_ms: int
    scan_id: int | None = None


class Walk(NamedTuple):
    """Compare the next span of the scan, down to `floor_ms` at most, with the windows of its gaps."""

    scan: Scan
    windows: Sequence[Window]
    floor_ms: int
    doubtful_from_ms: int | None
    """A report that was done since then, but before the first poll, may belong to one of the gaps; None: it cannot."""


class Wait(NamedTuple):
    """Nothing to do now; look again after so long."""

    seconds: float


Move = EndGaps | BeginScan | Walk | Wait


def next_move(gaps: StreamGaps, policy: RecoveryPolicy, now_ms: int, *, comparing: bool, turn: int = 0) -> Move:
    """The next step; `turn` counts those that walked. Without `comparing` (it is switched off) gaps stay open until the
    logs hold nothing of them."""
    expired = [gap for gap in gaps.gaps if is_expired(gap, policy, now_ms)]
    if expired:
        return EndGaps([GapEnding(gap.id, gap.until_ms, GapState.EXPIRED) for gap in expired])
    wait = Wait(min(max(policy.settle_ms / 10_000, CHECK_LEAST_SECONDS), CHECK_MOST_SECONDS))
    if not comparing:
        return wait
    begun = _finished(gaps, policy, now_ms) or _begun(gaps, policy, now_ms)
    return begun or _walked(gaps, policy, now_ms, turn) or wait


def uncomparable(gaps: StreamGaps, policy: RecoveryPolicy, now_ms: int) -> Move:
    """The next step for a stream whose logs nobody knows: a gap is told as incomplete once it could be compared."""
    due = [gap for gap in gaps.gaps if gap.until_ms <= now_ms - policy.settle_ms]
    if due:
        return EndGaps([GapEnding(gap.id, gap.until_ms, GapState.INCOMPLETE) for gap in due])
    return Wait(CHECK_MOST_SECONDS)


def _finished(gaps: StreamGaps, policy: RecoveryPolicy, now_ms: int) -> EndGaps | None:
    for scan in gaps.scans:
        served = _served(gaps, scan)
        if not served or scan.position_ms < now_ms - policy.lookback_ms:
            return EndGaps(endings(scan, served, _windows(gaps, served, policy)), scan.id)
    return None


def _begun(gaps: StreamGaps, policy: RecoveryPolicy, now_ms: int) -> BeginScan | None:
    settled_ms = settled_until_ms(gaps, policy, now_ms)
    due = [gap for gap in gaps.gaps if gap.scan_id is None and gap.until_ms <= settled_ms]
    if not due or any(scan.at_front for scan in gaps.scans):
        return None
    joined = gaps.scans[-1] if len(gaps.scans) >= MOST_SCANS else None
    if joined is not None:
        due += _served(gaps, joined)
    windows = _windows(gaps, due, policy)
    return BeginScan(
        [gap.id for gap in due],
        max(window.until_ms for window in windows),
        min(window.from_ms for window in windows),
        None if joined is None else joined.id,
    )


def _walked(gaps: StreamGaps, policy: RecoveryPolicy, now_ms: int, turn: int) -> Walk | None:
    if not gaps.scans:
        return None
    oldest = gaps.scans[0]
    scan = oldest if turn % 2 else next((scan for scan in gaps.scans if scan.at_front), oldest)
    served = _served(gaps, scan)
    windows = sorted(_windows(gaps, served, policy), key=lambda window: window.lost_ms)
    floor_ms = now_ms - policy.lookback_ms
    return Walk(
        scan,
        windows,
        max(floor_ms, scan.front_ms) if scan.at_front else floor_ms,
        min((window.reach_ms for window in windows if window.reach_ms < window.from_ms), default=None),
    )


def _served(gaps: StreamGaps, scan: Scan) -> list[OpenGap]:
    return [gap for gap in gaps.gaps if gap.scan_id == scan.id]


def _windows(gaps: StreamGaps, served: Sequence[OpenGap], policy: RecoveryPolicy) -> list[Window]:
    return [window(gap, gaps.first_poll_at_ms, policy) for gap in served]
