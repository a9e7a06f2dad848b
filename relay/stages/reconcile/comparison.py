"""Comparing one stream on demand: the same walk, for a span that somebody names, and gaps are left to their stage."""

import asyncio
from collections.abc import Callable
from typing import Any, NamedTuple

import structlog

from relay.domain.comparison import (
    ComparisonRequest,
    MissingReport,
    Place,
    RunState,
    StreamComparison,
    place_of,
)
from relay.domain.gaps import StreamGaps, settled_until_ms, window
from relay.domain.log_rows import FoundRow, LogRow
from relay.domain.log_spans import Hole, Split, estimated_calls
from relay.domain.report import Origin, Stream
from relay.ports import ComparisonRefused, JournalError, LogSource, LogsRefused, LogsUnavailable
from relay.stages.reconcile.recovery import Recovery
from relay.stages.reconcile.walker import Examined, LogWalker

log = structlog.get_logger(__name__)

TRIES = 5
RETRY_SECONDS = 5.0
MOST_RETRY_SECONDS = 120.0

Keep = Callable[[list[MissingReport]], None]


class NothingSettled(Exception):
    """The reports of the whole span may still come by polling; the text says what to ask for instead."""


class Missed(NamedTuple):
    row: LogRow
    place: Place
    gap_id: int | None

    @property
    def key(self) -> tuple[str, str]:
        return self.row.report.message_id, self.row.report.outcome


class Comparison:
    """Compares one stream, again and again if it is asked to."""

    def __init__(self, recovery: Recovery, logs: LogSource) -> None:
        self.stream = recovery.stream
        self.progress = StreamComparison(recovery.stream)
        self._lease = recovery.lease
        self._journal = recovery.journal
        self._logs = logs
        self._policy = recovery.policy
        self._telemetry = recovery.telemetry
        self._now_ms = recovery.now_ms
        self._wake_subscribers = recovery.wake_subscribers
        self._told: set[tuple[str, str]] = set()

    def reset(self) -> None:
        """Another run is about to begin."""
        self.progress = StreamComparison(self.stream)
        self._told = set()

    def refuse_too_short(self, request: ComparisonRequest) -> None:
        """Raises ComparisonRefused, if the whole span is so young that its reports may still come."""
        settle_ms = self._policy.settle_ms
        if request.since_seconds * 1000 <= settle_ms:
            least = shortest_duration(settle_ms)
            why = f"the reports of the last {least} may still come (reconcile.settle_seconds of {self.stream.source})"
            raise ComparisonRefused(f"since must be more than {least}: {why}", wrong=True)

    async def run(self, request: ComparisonRequest, keep: Keep) -> None:
        """To the end; `progress` tells how it went, `keep` is given what is missing as it is found."""
        self._note(state=RunState.RUNNING)
        try:
            await self._compare(request, keep)
        except (LogsUnavailable, JournalError, NothingSettled) as error:
            self._note(state=RunState.FAILED, error=str(error))
        except asyncio.CancelledError:
            self._note(state=RunState.CANCELLED)
            raise
        except Exception:
            self._note(state=RunState.FAILED, error="an unexpected error; the log says more")
            raise
        else:
            self._note(state=RunState.INCOMPLETE if self.progress.holes else RunState.DONE, calls_left=0)

    async def _compare(self, request: ComparisonRequest, keep: Keep) -> None:
        gaps = await self._journal.open_gaps(self.stream)
        if gaps is None:
            raise JournalError("the stream's cursor has not been read yet: try again when it publishes")
        now_ms = self._now_ms()
        position_ms = settled_until_ms(gaps, self._policy, now_ms)
        floor_ms = now_ms - min(int(request.since_seconds * 1000), self._policy.lookback_ms)
        if position_ms < floor_ms:
            raise NothingSettled(
                "the queue was not seen empty for so long that only what is older than "
                f"{shortest_duration(now_ms - position_ms)} can be compared: use more than that as --since"
            )
        self._note(since_ms=floor_ms, until_ms=position_ms, compared_from_ms=position_ms + 1)
        walker = LogWalker(self.stream, self._logs)
        until_ms = position_ms
        while position_ms >= floor_ms:
            examined = await self._examine(walker, position_ms, floor_ms)
            if not isinstance(examined.verdict, Split):
                await self._take(examined, gaps, until_ms, request, keep)
                position_ms = examined.span.since_ms - 1
                self._note(compared_from_ms=position_ms + 1)
            width_ms = walker.width_ms or 1
            self._note(calls_left=estimated_calls(position_ms - floor_ms + 1, width_ms))

    async def _examine(self, walker: LogWalker, position_ms: int, floor_ms: int) -> Examined:
        """Try for a while: somebody waits, but not for hours."""
        for remaining in range(TRIES - 1, -1, -1):
            self._note(calls=self.progress.calls + 1)
            try:
                return await walker.examine(position_ms, floor_ms)
            except LogsUnavailable as error:
                wait_seconds = error.retry_after_seconds or RETRY_SECONDS
                if isinstance(error, LogsRefused) or not remaining or wait_seconds > MOST_RETRY_SECONDS:
                    raise
                await asyncio.sleep(wait_seconds)
        raise AssertionError("the last try answers or raises")

    async def _take(
        self, examined: Examined, gaps: StreamGaps, until_ms: int, request: ComparisonRequest, keep: Keep
    ) -> None:
        missed = await self._missed(examined, gaps, until_ms)
        taken = [
            one for one in missed if not request.dry_run and (one.place is not Place.EARLIER or request.include_earlier)
        ]
        if taken:
            await self._append(taken)
        appended = {one.key for one in taken}
        keep([_told(self.stream, one, appended=one.key in appended) for one in missed])
        self._note(
            rows=self.progress.rows + len(examined.rows),
            missing=self.progress.missing + len(missed),
            appended=self.progress.appended + len(taken),
            holes=self.progress.holes + isinstance(examined.verdict, Hole),
        )

    async def _missed(self, examined: Examined, gaps: StreamGaps, until_ms: int) -> list[Missed]:
        """Final rows done until then that the journal does not know; each once, although spans overlap."""
        windows = [window(gap, gaps.first_poll_at_ms, self._policy) for gap in gaps.gaps]
        windows.sort(key=lambda one: one.lost_ms)
        rows = [
            (row, row.done_ms)
            for row in examined.rows
            if row.report.final and row.done_ms is not None and row.done_ms <= until_ms
        ]
        unknown = await self._journal.unknown_reports(self.stream, [row.report for row, _ in rows])
        missed = [
            Missed(row, *place_of(done_ms, windows, gaps.first_poll_at_ms))
            for (row, done_ms), is_unknown in zip(rows, unknown, strict=True)
            if is_unknown
        ]
        fresh = [one for one in missed if one.key not in self._told]
        self._told = {one.key for one in missed}
        return fresh

    async def _append(self, taken: list[Missed]) -> None:
        found = [FoundRow(one.row.report, one.gap_id) for one in taken]
        (recorded, _) = await self._journal.record_logs(self._lease, self.stream, found, [], None, self._now_ms())
        self._telemetry.fetch_unpacked(self.stream, Origin.LOGS, recorded._replace(duplicates=0))
        self._wake_subscribers()

    def _note(self, **changed: Any) -> None:
        self.progress = self.progress._replace(**changed)


def shortest_duration(ms: int) -> str:
    """As `since` takes it, rounded up: `10m`, `91s`, `2h`."""
    seconds = -(-ms // 1000)
    for unit, length in (("h", 3600), ("m", 60)):
        if seconds and seconds % length == 0:
            return f"{seconds // length}{unit}"
    return f"{seconds}s"


def _told(stream: Stream, one: Missed, *, appended: bool) -> MissingReport:
    report, sent_ms, done_ms = one.row
    return MissingReport(stream, report.message_id, report.outcome, sent_ms, done_ms, one.place, appended)
