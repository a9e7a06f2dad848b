"""recordings: fetches what voice reports point to, keeps it on the disk, announces it in the stream.

A file is in its place before the journal knows of it: whatever is killed when, the fetch is made again, puts the same
file there again and is announced once. Fetches wait in the journal, so that a source that has no recording yet, or none
for hours, costs nothing but tries.
"""

import asyncio
import random
from collections.abc import Callable

import structlog

from relay.domain.recordings import Failure, GivenUp, StoredRecording, TryAgain, after_failure, recording_path
from relay.domain.report import Stream
from relay.domain.wave import NotARecording
from relay.observe import Telemetry
from relay.ports import Lease, PendingRecording, RecordingShelf, RecordingsJournal, RecordingSource

log = structlog.get_logger(__name__)

CONCURRENCY = 4
IDLE_SECONDS = 5.0
PROBE_SECONDS = 10.0
"""A fetch that takes longer has passed what fails at once: a full disk, a journal that cannot be written."""
STORED, RETRIED, GIVEN_UP = "stored", "retried", "given_up"


class Recordings:
    """The recordings of one stream. `wake` is called when a fetch has ended; `close` cancels those in flight.

    What the disk or the journal cannot do is the failure of a step, shown and tried again, and no recording's fault.
    """

    def __init__(
        self,
        stream: Stream,
        lease: Lease,
        *,
        journal: RecordingsJournal,
        source: RecordingSource,
        shelf: RecordingShelf,
        telemetry: Telemetry,
        now_ms: Callable[[], int],
        wake_subscribers: Callable[[], None],
        random: Callable[[], float] = random.random,
    ) -> None:
        self.wake: Callable[[], None] = _nobody
        self._stream = stream
        self._lease = lease
        self._journal = journal
        self._source = source
        self._shelf = shelf
        self._telemetry = telemetry
        self._now_ms = now_ms
        self._wake_subscribers = wake_subscribers
        self._random = random
        telemetry.recordings_wanted(stream.source)
        self._fetching: dict[int, asyncio.Task[None]] = {}
        self._error: BaseException | None = None
        self._in_doubt = False

    async def step(self) -> float:
        """Begin what is due and see what has ended; seconds until the next is due."""
        self._raise_what_ended()
        room = (1 if self._in_doubt else CONCURRENCY) - len(self._fetching)
        if room > 0:
            for pending in await self._journal.due_recordings(self._stream, self._now_ms(), room, self._fetching):
                self._begin(pending)
        if self._in_doubt and self._fetching:
            # One goes ahead: the distance between tries grows as long as it is the step that fails.
            await asyncio.wait(self._fetching.values(), timeout=PROBE_SECONDS, return_when=asyncio.FIRST_COMPLETED)
            self._raise_what_ended()
            self._in_doubt = False
        return await self._pause_seconds()

    async def close(self) -> None:
        """Cancel what is in flight: it is fetched again after the next start. May be called twice."""
        fetching = list(self._fetching.values())
        for task in fetching:
            task.cancel()
        await asyncio.gather(*fetching, return_exceptions=True)

    def _raise_what_ended(self) -> None:
        error, self._error = self._error, None
        if error is not None:
            self._in_doubt = True
            raise error

    async def _pause_seconds(self) -> float:
        if len(self._fetching) >= CONCURRENCY:
            return IDLE_SECONDS  # the first to end wakes
        next_at_ms = await self._journal.next_recording_at_ms(self._stream, self._fetching)
        if next_at_ms is None:
            return IDLE_SECONDS
        # Due and not offered: the stream's cursor is not confirmed yet.
        wait_seconds = (next_at_ms - self._now_ms()) / 1000
        return min(IDLE_SECONDS, wait_seconds) if wait_seconds > 0 else IDLE_SECONDS

    def _begin(self, pending: PendingRecording) -> None:
        task = asyncio.create_task(self._fetch(pending), name=f"recording/{self._stream}")
        self._fetching[pending.id] = task
        task.add_done_callback(lambda ended: self._ended(pending.id, ended))

    def _ended(self, id_: int, task: "asyncio.Task[None]") -> None:
        del self._fetching[id_]
        if not task.cancelled() and task.exception() is not None:
            self._error = task.exception()
        self.wake()

    async def _fetch(self, pending: PendingRecording) -> None:
        outcome = await self._download(pending)
        if isinstance(outcome, StoredRecording):
            await self._journal.record_recording(self._lease, self._stream, pending.id, outcome, self._now_ms())
            self._telemetry.recording_finished(self._stream.source, STORED)
            log.info("recording stored", stream=str(self._stream), bytes=outcome.size_bytes, seconds=outcome.seconds)
            self._wake_subscribers()
        else:
            await self._failed(pending, outcome)

    async def _download(self, pending: PendingRecording) -> StoredRecording | Failure:
        path = recording_path(self._stream.source, pending.day, pending.message_id)
        incoming = await self._shelf.receive(path)
        try:
            failure = await self._source.fetch_recording(pending.url, incoming.write)
            return failure if failure is not None else await incoming.keep()
        except NotARecording as error:
            return Failure(f"not a recording: {error}")
        finally:
            await incoming.discard()

    async def _failed(self, pending: PendingRecording, failure: Failure) -> None:
        at_ms = self._now_ms()
        next_step = after_failure(
            failure,
            attempts=pending.attempts + 1,
            age_seconds=(at_ms - pending.created_at_ms) / 1000,
            random=self._random,
        )
        match next_step:
            case TryAgain(reason, wait_seconds):
                next_at_ms = at_ms + int(wait_seconds * 1000)
                await self._journal.postpone_recording(self._lease, self._stream, pending.id, next_at_ms, reason)
                self._telemetry.recording_finished(self._stream.source, RETRIED)
                log.info("recording is fetched again", **self._told(pending, reason), seconds=round(wait_seconds))
            case GivenUp(reason):
                await self._journal.give_up_recording(self._lease, self._stream, pending.id, reason, at_ms)
                self._telemetry.recording_finished(self._stream.source, GIVEN_UP)
                log.error("recording given up", **self._told(pending, reason))

    def _told(self, pending: PendingRecording, reason: str) -> dict[str, str]:
        return {"stream": str(self._stream), "message_id": pending.message_id, "reason": reason}


def _nobody() -> None:
    """Nobody waits yet."""
