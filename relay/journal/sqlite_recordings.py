"""The journal on SQLite, for `recordings`."""

from collections.abc import Collection

from relay.domain.recordings import StoredRecording
from relay.domain.report import Stream
from relay.journal import recordings
from relay.journal.sqlite_recovery import RecoveryMethods
from relay.ports import JournalError, Lease, PendingRecording


class RecordingMethods(RecoveryMethods):
    """`RecordingsJournal`; like the rows of the logs, an announcement takes a seq."""

    async def want_recordings(self, lease: Lease, stream: Stream, *, wanted: bool) -> bool:
        return await self._threads.write(lambda db: recordings.want_recordings(db, lease, stream, wanted=wanted))

    async def due_recordings(
        self, stream: Stream, at_ms: int, limit: int, skip: Collection[int]
    ) -> list[PendingRecording]:
        if not self._is_confirmed(stream):
            return []
        skipped = tuple(skip)
        return await self._threads.lists.run(lambda db: recordings.due(db, stream, at_ms, limit, skipped))

    async def next_recording_at_ms(self, stream: Stream, skip: Collection[int]) -> int | None:
        skipped = tuple(skip)
        return await self._threads.lists.run(lambda db: recordings.next_at_ms(db, stream, skipped))

    async def record_recording(
        self, lease: Lease, stream: Stream, id_: int, stored: StoredRecording, at_ms: int
    ) -> None:
        if not self._is_confirmed(stream):
            raise JournalError(f"the cursor of {stream} is not confirmed yet: no seq can be given")
        entry = await self._threads.write(lambda db: recordings.record(db, lease, stream, id_, stored, at_ms))
        if entry is not None:
            self._tail.append(stream, [entry])

    async def postpone_recording(
        self, lease: Lease, stream: Stream, id_: int, next_attempt_at_ms: int, reason: str
    ) -> None:
        await self._threads.write(lambda db: recordings.postpone(db, lease, stream, id_, next_attempt_at_ms, reason))

    async def give_up_recording(self, lease: Lease, stream: Stream, id_: int, reason: str, at_ms: int) -> None:  # noqa: ARG002
        await self._threads.write(lambda db: recordings.give_up(db, lease, stream, id_, reason))
