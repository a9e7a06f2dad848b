"""A callback's backlog within its bounds: what is too much or too old becomes dead letters, paused or not."""

import random
import time
from collections import Counter
from collections.abc import Callable, Iterable

import structlog

from relay.config import CallbackConfig
from relay.domain.report import Stream
from relay.domain.retry import Random
from relay.ports import Backlog, DeliverJournal, Lease
from relay.stages.deliver.gate import Gate
from relay.stages.deliver.job import Job
from relay.stages.deliver.recorder import Recorder
from relay.stages.deliver.subscription import wanted_by

log = structlog.get_logger(__name__)

CHECK_SECONDS = 10.0
SHED_REPORTS = 500
"""One transaction turns so many into dead letters at most: a few milliseconds, and then it is the others' turn."""

LAST_TRY_SECONDS = 60.0
"""A delivery that reached its age has this long for its last attempt before it is shed without one."""


class Bounds:
    """Looks now and then; while there is too much (`shedding`), each call of `keep` sheds some."""

    def __init__(
        self,
        *,
        config: CallbackConfig,
        stream: Stream,
        lease: Lease,
        journal: DeliverJournal,
        gate: Gate,
        now_ms: Callable[[], int],
        wall_ms: Callable[[], int],
        uniform: Random = random.random,
    ) -> None:
        """`now_ms` is when deliveries are stored and due, `wall_ms` when reports were received."""
        self.shedding = False
        self._config = config
        self._stream = stream
        self._lease = lease
        self._journal = journal
        self._gate = gate
        self._now_ms = now_ms
        self._wall_ms = wall_ms
        self._wanted = wanted_by(config)
        self._checked_at_seconds = time.monotonic() - (1 - uniform()) * CHECK_SECONDS  # not all callbacks at once
        self._shed_reports = 0
        """Since it was last told."""
        self._given_up: Counter[str] = Counter()
        """By reason, reports whose last attempt failed, since it was last told."""

    def given_up(self, reports: int, reason: str) -> None:
        """Reports became dead letters after an attempt; it is told with the next look, for all together."""
        self._given_up[reason] += reports

    async def keep(self, recorder: Recorder, unstored: Callable[[], Iterable[Job]]) -> None:
        """Keep `max_backlog`, and give up what is too old while the callback fails or is paused.

        `unstored` are the jobs that wait or are in flight: before anything is shed, they are stored. They are not shed.
        """
        if not self.shedding and time.monotonic() - self._checked_at_seconds < CHECK_SECONDS:
            return
        backlog = await self._journal.backlog(self._config.name, self._stream)
        self._gate.backlog[self._stream] = backlog.stored + backlog.unread
        recorder.due_by(self._now_ms())  # somebody else may have put deliveries there
        allowed = self._gate.allowed_backlog(self._stream, self._config.max_backlog)
        created_before_ms = self._too_old_ms()
        too_much = backlog.stored + backlog.unread > allowed or _oldest_ms(backlog) < created_before_ms
        self._tell_given_up()
        self.shedding = too_much and await self._shed(recorder, unstored, allowed, created_before_ms)
        self._checked_at_seconds = time.monotonic()
        if not self.shedding:
            self._tell()

    def _too_old_ms(self) -> int:
        """What was created before is given up unattempted; 0 while the callback works, which then gets it late."""
        if not self._gate.held:
            return 0
        last_try_seconds = 0.0 if self._gate.paused else LAST_TRY_SECONDS + self._config.timeout_seconds
        return self._wall_ms() - round((self._config.retry.max_age_seconds + last_try_seconds) * 1000)

    async def _shed(
        self, recorder: Recorder, unstored: Callable[[], Iterable[Job]], allowed: int, created_before_ms: int
    ) -> bool:
        """The oldest become dead letters; whether there may be more."""
        await recorder.park_all(unstored())
        shed = await self._journal.shed_backlog(
            self._lease,
            self._config.name,
            self._stream,
            self._wanted,
            max_backlog=allowed,
            created_before_ms=created_before_ms,
            at_ms=self._now_ms(),
            limit=SHED_REPORTS,
            skip=recorder.loaded,
        )
        recorder.moved_to(shed.position)
        self._shed_reports += shed.reports
        return shed.reports >= SHED_REPORTS

    def _tell(self) -> None:
        reports, self._shed_reports = self._shed_reports, 0
        if reports:
            name, stream = self._config.name, str(self._stream)
            log.warning("backlog to dead letters", callback=name, stream=stream, reports=reports)

    def _tell_given_up(self) -> None:
        given_up, self._given_up = self._given_up, Counter()
        for reason, reports in given_up.items():
            name, stream = self._config.name, str(self._stream)
            log.warning("given up, dead letters", callback=name, stream=stream, reports=reports, reason=reason)


def _oldest_ms(backlog: Backlog) -> float:
    known = [ms for ms in (backlog.oldest_stored_at_ms, backlog.oldest_unread_at_ms) if ms is not None]
    return min(known, default=float("inf"))
