"""replay: sends reports from the journal again, in parts that the callback can take, beside the live flow.

It only puts deliveries into the journal; the deliverer of the callback sends them, by its own rate, concurrency and
pauses. Invariant: how far a replay has come is durable with what it has put there, so that a kill repeats nothing.
"""

from collections.abc import Callable

import structlog

from relay.domain.replay import ReplayRun, ReplayState
from relay.domain.report import Stream
from relay.observe.failpoints import Point, reach
from relay.ports import Lease, ReplayJournal, ReplayTarget

log = structlog.get_logger(__name__)

AHEAD_REPORTS = 1000
"""So many of a replay wait for their first attempt at most: retries of the live flow come in between."""

SHARE_OF_BACKLOG = 0.5
"""A replay takes no more of `max_backlog`."""

BUSY_SECONDS = 0.1
WAITING_SECONDS = 1.0
IDLE_SECONDS = 30.0


class Replay:
    """All replays of the relay, one part of each in a step. Whoever starts or resumes one wakes its stage."""

    def __init__(
        self,
        lease: Lease,
        *,
        journal: ReplayJournal,
        target_of: Callable[[str], ReplayTarget | None],
        stored: Callable[[str, Stream], None],
        now_ms: Callable[[], int],
    ) -> None:
        """`target_of` gives a callback by its name, None if there is none now; `stored` tells who sends to it."""
        self._lease = lease
        self._journal = journal
        self._target_of = target_of
        self._stored = stored
        self._now_ms = now_ms
        self._pending: dict[int, int] = {}
        """Reports that each replay had pending, when it was last looked at."""

    async def step(self) -> float:
        wait_seconds = IDLE_SECONDS
        for run in await self._journal.unfinished_replays():
            if run.state is ReplayState.RUNNING:
                wait_seconds = min(wait_seconds, await self._advance(run))
        return wait_seconds

    async def _advance(self, run: ReplayRun) -> float:
        """Put its next part among the deliveries, or end it; seconds until it is worth looking at it again."""
        target = self._target_of(run.request.callback)
        if run.is_read and not run.pending:
            await self._end(run)
            return IDLE_SECONDS
        moved = run.pending != self._pending.get(run.id)
        self._pending[run.id] = run.pending
        if target is None or run.is_read:
            return BUSY_SECONDS if moved else WAITING_SECONDS
        room = _room(run, target)
        fed = await self._feed(run, target, room) if room > 0 else 0
        return BUSY_SECONDS if moved or fed else WAITING_SECONDS

    async def _feed(self, run: ReplayRun, target: ReplayTarget, room: int) -> int:
        """How many reports went among the deliveries."""
        fed = 0
        for span in run.spans:
            more = not span.is_read
            while more and fed < room:
                part = await self._journal.feed_replay(
                    self._lease,
                    run,
                    span.stream,
                    target.wanted,
                    batch_size=target.batch_size,
                    most_reports=room - fed,
                    at_ms=self._now_ms(),
                )
                reach(Point.REPLAY_FED)
                fed, more = fed + part.reports, part.more
                if part.reports:
                    self._stored(run.request.callback, span.stream)
        return fed

    async def _end(self, run: ReplayRun) -> None:
        self._pending.pop(run.id, None)
        ended = await self._journal.set_replay_state(run.id, ReplayState.DONE, self._now_ms())
        if ended is not None and ended.state is ReplayState.DONE:
            reports = sum(span.reports for span in ended.spans)
            log.info("replay done", replay=run.id, callback=run.request.callback, reports=reports, dead=ended.dead)


def _room(run: ReplayRun, target: ReplayTarget) -> int:
    """How many reports may go among the deliveries now."""
    ahead = max(AHEAD_REPORTS, 2 * target.batch_size)
    return min(ahead - run.untried, int(target.max_backlog * SHARE_OF_BACKLOG) - run.pending)
