"""Comparisons on demand: one run at a time, its progress, and what it found missing."""

import asyncio
import secrets
from collections.abc import Callable
from contextlib import suppress

import structlog

from relay.domain.comparison import ComparisonRequest, ComparisonRun, MissingReport, RunState, overall
from relay.ports import ComparisonRefused
from relay.stages.reconcile.comparison import Comparison

log = structlog.get_logger(__name__)

MOST_KEPT = 50_000
"""Missing reports that can be listed; more are counted."""


class ComparisonRuns:
    """Starts runs and tells about the last one. A run ends with the process: it can be asked for again."""

    def __init__(self, now_ms: Callable[[], int]) -> None:
        self._now_ms = now_ms
        self._comparisons: list[Comparison] = []
        self._missing: list[MissingReport] = []
        self._task: asyncio.Task[None] | None = None
        self._run: ComparisonRun | None = None
        self._compared: list[Comparison] = []

    def add(self, comparison: Comparison) -> None:
        """A stream that can be compared."""
        self._comparisons.append(comparison)

    def start(self, request: ComparisonRequest) -> ComparisonRun:
        """Raises ComparisonRefused while another one runs, if there is nothing to compare, or not yet."""
        if self._task is not None and not self._task.done():
            raise ComparisonRefused("a comparison is running; wait for it or cancel it")
        compared = [comparison for comparison in self._comparisons if request.asks(comparison.stream)]
        if not compared:
            raise ComparisonRefused("no such stream with a known logs endpoint", unknown=True)
        for comparison in compared:
            comparison.refuse_too_short(request)
        self._missing = []
        self._compared = compared
        for comparison in compared:
            comparison.reset()
        run_id = secrets.token_hex(6)
        self._run = ComparisonRun(run_id, RunState.RUNNING, request, self._now_ms(), None, (), 0)
        self._task = asyncio.create_task(self._compare(request, compared), name=f"comparison/{run_id}")
        return self._told(self._run)

    def find(self, run_id: str) -> ComparisonRun | None:
        """The last run, if that is its id."""
        run = self._run
        return self._told(run) if run is not None and run.id == run_id else None

    def last(self) -> ComparisonRun | None:
        return None if self._run is None else self._told(self._run)

    def missing(self, after: int, limit: int) -> list[MissingReport]:
        """Of the last run, in the order found, without the first `after`."""
        return self._missing[after : after + limit]

    async def cancel(self) -> None:
        """End the run; may be called twice, and without one."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def _compare(self, request: ComparisonRequest, compared: list[Comparison]) -> None:
        log.info("comparison begins", streams=len(compared), dry_run=request.dry_run)
        try:
            for comparison in compared:
                await comparison.run(request, self._keep)
            self._end(overall([comparison.progress for comparison in compared]))
        except asyncio.CancelledError:
            self._end(RunState.CANCELLED)
            raise
        except Exception:  # whatever broke, whoever waits for the run must be told
            log.exception("comparison failed")
            self._end(RunState.FAILED)

    def _keep(self, missing: list[MissingReport]) -> None:
        self._missing += missing[: MOST_KEPT - len(self._missing)]

    def _end(self, state: RunState) -> None:
        if self._run is not None:
            self._run = self._run._replace(state=state, ended_at_ms=self._now_ms())
        log.info("comparison ended", state=state, missing=len(self._missing))

    def _told(self, run: ComparisonRun) -> ComparisonRun:
        streams = tuple(comparison.progress for comparison in self._compared)
        return run._replace(streams=streams, missing_kept=len(self._missing))
