"""intake: one poller of one stream. Mark, GET, commit the body; nothing is parsed first.

Invariant: between the request and the commit of what it brought nothing gives up: not a full journal, not a stop, not
a cancelled task. Whatever ends this process there leaves its mark, and whoever takes the stream over finds a gap.
"""

import asyncio
import random
import time
from collections.abc import Callable, Coroutine

import structlog

from relay.config import JournalConfig, PollConfig
from relay.domain.decode import estimate_entries
from relay.domain.polling import (
    ALERT_AFTER_SECONDS,
    POLL_REGARDLESS_AFTER_SECONDS,
    UNREAD_GAP_AFTER_SECONDS,
    Pace,
    PollOutcome,
    PollPolicy,
    Verdict,
    judge,
    limit_to_ask,
    next_poll,
)
from relay.domain.report import GapCause, Origin, Stream
from relay.domain.room import NoRoom, no_room
from relay.observe import Health, Telemetry
from relay.observe.failpoints import Point, reach
from relay.ports import (
    Answer,
    Fetch,
    IntakeJournal,
    JournalError,
    JournalFatal,
    Lease,
    LeaseLost,
    Pressure,
    ReportSource,
)

log = structlog.get_logger(__name__)

PAUSED_CHECK_SECONDS = 1.0
COMMIT_RETRY_SECONDS = 1.0
FAILURES_DEGRADED = 3
REFUSED = frozenset({PollOutcome.UNAUTHORIZED, PollOutcome.FORBIDDEN})
CURES = {
    PollOutcome.UNAUTHORIZED: "check the credentials in the source's auth, relay goes on trying",
    PollOutcome.FORBIDDEN: "the account may not read this queue: ask Infobip, relay goes on trying",
    PollOutcome.CLIENT_ERROR: "check base_url, and path of an endpoint of your own",
    PollOutcome.REDIRECT: "base_url must be the address that answers itself",
}
"""What is said beside the outcome to whoever must do something."""


class Intake:
    """The poller of one stream; one request in flight.

    Waits go by the monotonic clock, so a jump of the wall clock neither hurries nor delays a poll.
    """

    def __init__(
        self,
        stream: Stream,
        lease: Lease,
        *,
        journal: IntakeJournal,
        source: ReportSource,
        base_url: str,
        poll: PollConfig,
        limits: JournalConfig,
        telemetry: Telemetry,
        health: Health,
        now_ms: Callable[[], int],
        wake_unpack: Callable[[], None],
        monotonic: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._stream = stream
        self._lease = lease
        self._journal = journal
        self._source = source
        self._base_url = base_url
        self._policy = PollPolicy(poll.limit, poll.interval_seconds, poll.max_interval_seconds)
        self._limits = limits
        self._telemetry = telemetry
        self._health = health
        self._now_ms = now_ms
        self._wake_unpack = wake_unpack
        self._monotonic = monotonic
        self._chance = chance
        self._pace = Pace()
        self._opened = False
        self._due_at = 0.0
        self._succeeded_at = 0.0
        """Monotonic; before this process began, it lies in the past by as much as the wall clocks differ."""
        self._drained_at = 0.0
        """When an answer last held all that waited: nothing unread is older."""
        self._unread_noted = False
        self._answered = False
        """Whether a good answer came since the start; that is told once."""
        self._paused: NoRoom | None = None

    async def step(self) -> float:
        """Poll once if it is time and nothing stands against it; answers how long to wait.

        Raises LeaseLost and JournalFatal. A poll that was begun is finished and committed even if the task that awaits
        it is cancelled; the cancellation is raised after that.
        """
        try:
            if not self._opened:
                await self._open()
            wait_seconds = self._due_at - self._monotonic()
            if wait_seconds > 0:
                return wait_seconds
            await self._watch_age()
            paused = self._obstacle(await self._journal.pressure(self._stream))
            if paused is None:
                await self._journal.mark_poll(self._lease, self._stream, self._now_ms())
        except LeaseLost:
            raise
        except JournalError as error:
            paused = NoRoom("journal", f"the journal cannot be written: {error}")
        if paused is not None:
            self._pause(paused)
            return PAUSED_CHECK_SECONDS
        self._resume()
        reach(Point.INTAKE_MARKED)
        return await _to_the_end(self._poll())

    # --- before a poll ---

    async def _open(self) -> None:
        now_ms = self._now_ms()
        state = await self._journal.open_stream(self._lease, self._stream, now_ms)
        if state.interrupted_poll_at_ms is not None:
            log.warning("a poll was interrupted, its answer may be lost", stream=str(self._stream))
        now = self._monotonic()
        begun_ms = state.first_poll_at_ms or now_ms
        self._due_at = now
        self._succeeded_at = now - max(0, now_ms - (state.last_success_at_ms or begun_ms)) / 1000
        self._drained_at = now - max(0, now_ms - (state.drained_at_ms or begun_ms)) / 1000
        self._opened = True

    async def _watch_age(self) -> None:
        """Alert when nothing was read for a day; note a gap when reports may have expired unread."""
        age_seconds = self._monotonic() - self._succeeded_at
        if age_seconds >= ALERT_AFTER_SECONDS:
            hours = int(age_seconds // 3600)
            self._degrade("unread", f"no successful poll for {hours} hours; unread reports expire after 48")
        if age_seconds >= UNREAD_GAP_AFTER_SECONDS and not self._unread_noted:
            await self._journal.note_unread(self._lease, self._stream, self._now_ms())
            self._unread_noted = True
            log.error("reports may have expired unread", stream=str(self._stream), hours=int(age_seconds // 3600))

    def _obstacle(self, pressure: Pressure) -> NoRoom | None:
        """What stands against polling. A report that waits is safe for 48 hours: shortly before, nothing does."""
        if self._monotonic() - self._drained_at >= POLL_REGARDLESS_AFTER_SECONDS:
            return None
        return no_room(
            unpublished=pressure.unpublished,
            free_bytes=pressure.free_bytes,
            max_unpublished=self._limits.max_unpublished,
            min_free_bytes=self._limits.min_free_bytes,
        )

    def _pause(self, paused: NoRoom) -> None:
        if self._paused is None or self._paused.reason != paused.reason:
            log.warning("polling paused", stream=str(self._stream), reason=paused.reason, why=paused.message)
            self._telemetry.polling_paused(self._stream, paused.reason)
        self._paused = paused
        self._degrade("paused", f"polling is paused: {paused.message}")

    def _resume(self) -> None:
        if self._paused is not None:
            log.info("polling goes on", stream=str(self._stream))
            self._telemetry.polling_paused(self._stream, None)
            self._recover("paused")
            self._paused = None

    # --- a poll, after its mark ---

    async def _poll(self) -> float:
        answer = await self._ask()
        verdict = judge(answer)
        entries = estimate_entries(answer.body) if verdict.keep_body else 0
        reach(Point.INTAKE_RECEIVED)
        await self._commit(answer, verdict, entries)
        reach(Point.INTAKE_COMMITTED)
        if verdict.keep_body:
            self._wake_unpack()
        following = next_poll(self._pace, verdict, entries, self._policy, self._chance)
        self._pace = following.pace
        self._due_at = self._monotonic() + following.wait_seconds
        self._tell(answer, verdict)
        if verdict.success:
            self._succeeded(answer, drained=following.wait_seconds > 0)
        return following.wait_seconds

    async def _ask(self) -> Answer:
        limit = limit_to_ask(self._pace, self._policy)
        requested_at_ms, started = self._now_ms(), self._monotonic()
        try:
            return await self._source.fetch_reports(self._stream.kind, limit=limit)
        except Exception as error:  # the request may have left: whatever broke, it is a gap
            log.exception("the source failed", stream=str(self._stream))
            return Answer(
                sent=True,
                status=None,
                content_type="",
                body=b"",
                complete=False,
                error=f"{type(error).__name__}: {error}",
                retry_after_seconds=None,
                requested_at_ms=requested_at_ms,
                received_at_ms=self._now_ms(),
                duration_seconds=self._monotonic() - started,
                failure=GapCause.CONNECTION,
            )

    async def _commit(self, answer: Answer, verdict: Verdict, entries: int) -> None:
        """Write down how the poll ended, trying for as long as it takes: the body is nowhere else."""
        while True:
            try:
                await self._write(answer, verdict, entries)
            except (JournalFatal, LeaseLost):
                raise
            except Exception as error:  # noqa: BLE001 - whatever it was, giving up would lose what is in hand
                held = f"an answer of {len(answer.body)} bytes waits in memory: {type(error).__name__}: {error}"
                self._pause(NoRoom("journal", f"the journal cannot be written, {held}"))
                await asyncio.sleep(COMMIT_RETRY_SECONDS)
            else:
                self._resume()
                return

    async def _write(self, answer: Answer, verdict: Verdict, entries: int) -> None:
        if not verdict.keep_body:
            at_ms = answer.received_at_ms
            await self._journal.end_poll(self._lease, self._stream, at_ms, verdict.gap, success=verdict.success)
            return
        fetch = Fetch(
            origin=Origin.POLL,
            requested_at_ms=answer.requested_at_ms,
            received_at_ms=answer.received_at_ms,
            status=answer.status or 0,
            content_type=answer.content_type,
            body=answer.body,
            complete=answer.complete,
            entries_estimate=entries,
            base_url=self._base_url,
        )
        await self._journal.append_fetch(self._lease, self._stream, fetch, verdict.gap)

    # --- after a poll ---

    def _succeeded(self, answer: Answer, *, drained: bool) -> None:
        self._succeeded_at = self._monotonic()
        if drained:
            self._drained_at = self._succeeded_at
        self._unread_noted = False
        if not self._answered:
            self._answered = True
            log.info("polling", stream=str(self._stream), bytes=len(answer.body))
        self._telemetry.poll_succeeded(self._stream, answer.received_at_ms)
        self._recover("unread")

    def _tell(self, answer: Answer, verdict: Verdict) -> None:
        self._telemetry.poll_finished(self._stream, verdict.outcome, answer.duration_seconds)
        if verdict.outcome in REFUSED:
            self._telemetry.source_authorized(self._stream.source, authorized=False)
        elif verdict.success:
            self._telemetry.source_authorized(self._stream.source, authorized=True)
        if verdict.success:
            self._recover("failing")
            return
        log.warning(
            "poll failed",
            stream=str(self._stream),
            outcome=verdict.outcome,
            status=answer.status,
            gap=verdict.gap,
            last_good_seconds_ago=round(self._monotonic() - self._succeeded_at, 1),
            error=answer.error,
        )
        if verdict.outcome in REFUSED or self._pace.failures >= FAILURES_DEGRADED:
            self._degrade("failing", f"polls of source {self._stream.source} fail: {_in_words(answer, verdict)}")

    def _degrade(self, what: str, reason: str) -> None:
        self._health.degrade(f"intake {self._stream} {what}", reason)

    def _recover(self, what: str) -> None:
        self._health.recover(f"intake {self._stream} {what}")


def _in_words(answer: Answer, verdict: Verdict) -> str:
    """How the polls of a stream fail, with the cure where it is known."""
    status = "" if answer.status is None else f" (status {answer.status})"
    error = f": {answer.error}" if answer.error else ""
    cure = f"; {CURES[verdict.outcome]}" if verdict.outcome in CURES else ""
    return f"{verdict.outcome}{status}{error}{cure}"


async def _to_the_end(work: Coroutine[None, None, float]) -> float:
    """Await `work` to its end even if we are cancelled meanwhile; the cancellation is raised then."""
    task = asyncio.create_task(work)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError as error:
            if task.cancelled():
                raise
            cancelled = error
    if cancelled is not None:
        task.exception()
        raise cancelled
    return task.result()
