"""reconcile: one stream's gaps, from settled to ended."""

import random
from collections.abc import Callable

import structlog

from relay.domain.figures import Recorded
from relay.domain.gap_moves import BeginScan, EndGaps, Move, Wait, Walk, next_move, uncomparable
from relay.domain.gaps import StreamGaps
from relay.domain.history import GapState
from relay.domain.log_rows import choose
from relay.domain.log_spans import Hole, Split, delay_ms
from relay.domain.report import Origin
from relay.domain.retry import equal_jitter_seconds
from relay.observe.failpoints import Point, reach
from relay.ports import LogSource, LogsRefused, LogsUnavailable, NewScan, ScanProgress
from relay.stages.reconcile.recovery import Recovery
from relay.stages.reconcile.walker import Examined, LogWalker

log = structlog.get_logger(__name__)

UNCONFIRMED_SECONDS = 1.0
PAUSED_SECONDS = 5.0
DELAYS_OBSERVED = 5000
FIRST_BACKOFF_SECONDS = 5.0
FIRST_REFUSED_SECONDS = 60.0
MAX_BACKOFF_SECONDS = 600.0


class Reconcile:
    """One step is one request to the logs, or one decision. May be cancelled at any time.

    Where nobody knows a logs endpoint gaps are told as incomplete. Switched off, gaps stay open until they are past
    recovery.
    """

    def __init__(self, recovery: Recovery, *, chance: Callable[[], float] = random.random) -> None:
        self._stream = recovery.stream
        self._lease = recovery.lease
        self._journal = recovery.journal
        self._logs = recovery.logs
        self._walkers: dict[int, LogWalker] = {}
        """By scan: each knows how dense the rows are where it is."""
        self._turn = 0
        self._enabled = recovery.config.enabled
        self._policy = recovery.policy
        self._limits = recovery.limits
        self._telemetry = recovery.telemetry
        self._health = recovery.health
        self._now_ms = recovery.now_ms
        self._wake_subscribers = recovery.wake_subscribers
        self._chance = chance
        self._failures = 0

    async def step(self) -> float:
        """Answers how long to wait. Raises JournalError, JournalFatal, LeaseLost."""
        gaps = await self._journal.open_gaps(self._stream)
        if gaps is None:
            return UNCONFIRMED_SECONDS
        match self._move(gaps):
            case EndGaps() as ending:
                await self._end(gaps, ending)
            case BeginScan() as begin:
                await self._begin(begin)
            case Walk() as walk:
                return await self._walk(gaps, walk)
            case Wait(seconds):
                self._recover()
                return seconds
        return 0.0

    def _move(self, gaps: StreamGaps) -> Move:
        if self._logs is None and self._enabled:
            return uncomparable(gaps, self._policy, self._now_ms())
        return next_move(gaps, self._policy, self._now_ms(), comparing=self._enabled, turn=self._turn)

    async def _end(self, gaps: StreamGaps, ending: EndGaps) -> None:
        ended = await self._journal.end_gaps(self._lease, self._stream, ending.endings, ending.scan_id, self._now_ms())
        reach(Point.RECONCILE_ENDED)
        by_id = {gap.id: gap for gap in gaps.gaps}
        compared = {end.gap_id: (end.compared_from_ms, end.compared_until_ms) for end in ending.endings}
        for gap_id, state, recovered in ended:
            result = state.name.lower()
            self._telemetry.gap_ended(self._stream, result)
            tell = log.info if state is GapState.CLOSED else log.error
            tell(
                "gap ended",
                stream=str(self._stream),
                result=result,
                recovered=recovered,
                since_ms=by_id[gap_id].since_ms,
                until_ms=by_id[gap_id].until_ms,
                compared_ms=compared[gap_id],
            )

    async def _begin(self, begin: BeginScan) -> None:
        delays = await self._journal.arrival_delays_ms(self._stream, DELAYS_OBSERVED)
        reach_ms = delay_ms(delays, otherwise_ms=self._policy.lookback_ms)
        scan = NewScan(begin.gap_ids, begin.upper_ms, begin.from_ms - reach_ms, begin.scan_id)
        await self._journal.begin_scan(self._lease, self._stream, scan)
        log.info("comparing with the logs", stream=str(self._stream), gaps=len(scan.gap_ids), reach_ms=reach_ms)

    # --- the walk ---

    async def _walk(self, gaps: StreamGaps, walk: Walk) -> float:
        if self._logs is None or await self._is_pressed():
            return PAUSED_SECONDS
        walker = self._walker_of(gaps, walk, self._logs)
        try:
            examined = await walker.examine(walk.scan.position_ms, walk.floor_ms)
        except LogsUnavailable as error:
            return self._failed(error)
        self._recover()
        reach(Point.RECONCILE_EXAMINED)
        if not isinstance(examined.verdict, Split):
            await self._record(gaps, walk, examined)
            self._turn += 1
        return 0.0

    def _walker_of(self, gaps: StreamGaps, walk: Walk, logs: LogSource) -> LogWalker:
        kept = {scan.id for scan in gaps.scans}
        self._walkers = {id_: walker for id_, walker in self._walkers.items() if id_ in kept}
        return self._walkers.setdefault(walk.scan.id, LogWalker(self._stream, logs))

    async def _record(self, gaps: StreamGaps, walk: Walk, examined: Examined) -> None:
        doubtful_ms, first_poll_ms = walk.doubtful_from_ms, gaps.first_poll_at_ms
        earlier = range(0) if doubtful_ms is None or first_poll_ms is None else range(doubtful_ms, first_poll_ms)
        chosen = choose(examined.rows, walk.windows, earlier=earlier)
        span = examined.span
        hole_ms = span.since_ms if isinstance(examined.verdict, Hole) else None
        progress = ScanProgress(walk.scan.id, span.since_ms - 1, hole_ms)
        (recorded, _) = await self._journal.record_logs(
            self._lease, self._stream, chosen.found, chosen.earlier, progress, self._now_ms()
        )
        reach(Point.RECONCILE_RECORDED)
        self._tell(recorded)

    def _tell(self, recorded: Recorded) -> None:
        # What the journal knows already was counted when it came: here it is no duplicate that somebody sent.
        self._telemetry.fetch_unpacked(self._stream, Origin.LOGS, recorded._replace(duplicates=0))
        if recorded.new or recorded.revisions:
            log.info("reports recovered", stream=str(self._stream), count=recorded.new + recorded.revisions)
            self._wake_subscribers()

    async def _is_pressed(self) -> bool:
        """Reports in the logs are safe there while the journal has no room, or nobody takes what it holds."""
        pressure = await self._journal.pressure(self._stream)
        pressed = (
            pressure.free_bytes < self._limits.min_free_bytes or pressure.unpublished >= self._limits.max_unpublished
        )
        if pressed:
            self._degrade("gaps wait: the journal is too full to take in what the logs hold")
        return pressed

    # --- when the logs cannot be had ---

    def _failed(self, error: LogsUnavailable) -> float:
        self._failures += 1
        self._degrade(f"gaps cannot be compared: {error}")
        if self._failures == 1:
            log.warning("logs cannot be read", stream=str(self._stream), error=str(error))
        backoff_seconds = equal_jitter_seconds(
            self._failures,
            initial_seconds=FIRST_REFUSED_SECONDS if isinstance(error, LogsRefused) else FIRST_BACKOFF_SECONDS,
            max_seconds=MAX_BACKOFF_SECONDS,
            random=self._chance,
        )
        return max(backoff_seconds, error.retry_after_seconds or 0.0)

    def _degrade(self, reason: str) -> None:
        self._health.degrade(f"reconcile {self._stream}", reason)

    def _recover(self) -> None:
        self._failures = 0
        self._health.recover(f"reconcile {self._stream}")
