"""The journal on SQLite: one process, one writing thread, reads beside it."""

import asyncio
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Self

import apsw

from relay.domain.figures import Recorded
from relay.domain.report import Decoded, Entry, GapCause, Stream
from relay.journal import cursors, displacing, entries, fetches, recording, streams
from relay.journal.connection import Tuning
from relay.journal.sqlite_again import AgainMethods
from relay.journal.sqlite_deliver import DeliverMethods
from relay.journal.sqlite_quarantine import QuarantineMethods
from relay.journal.sqlite_recordings import RecordingMethods
from relay.journal.sqlite_upkeep import UpkeepMethods
from relay.journal.tail import Tail
from relay.journal.threads import JournalThreads, unused_bytes
from relay.ports import AdoptedRecord, ClaimedFetch, Displaced, Fetch, Lease, LocalCursor, Pressure, StreamState


class SqliteJournal(AgainMethods, DeliverMethods, QuarantineMethods, RecordingMethods, UpkeepMethods):
    """Every method is one transaction, durable when it returns; see the protocols in `relay.ports`."""

    def __init__(self, threads: JournalThreads, instance: str, tail: Tail) -> None:
        self._threads = threads
        self._instance = instance
        self._tokens: dict[str, int] = {}
        self._confirmed: dict[Stream, Lease] = {}
        self._tail = tail
        self._first_claims = fetches.FirstClaims()

    @classmethod
    async def open(cls, path: Path, *, instance: str, tuning: Tuning | None = None) -> Self:
        """Create the journal if there is none, else check and open it.

        :raises JournalRefused: damaged, in use, written by a newer relay, or in a place that cannot hold it.
        """
        tuning = tuning or Tuning()
        threads = await asyncio.to_thread(JournalThreads.open, path, tuning)
        return cls(threads, instance, Tail(tuning.tail_bytes))

    async def close(self) -> None:
        """After everything that was asked for; may be called twice."""
        await self._threads.close()

    @property
    def journal_id(self) -> str:
        """Made when the journal was created; a restored copy keeps it."""
        return self._threads.journal_id

    async def acquire_lease(self, name: str) -> Lease:
        """Always granted: this process holds the file. What was confirmed under the lease before is open again."""
        lease = await self._threads.write(partial(streams.acquire_lease, name=name, owner=self._instance))
        self._tokens[name] = lease.token
        return lease

    async def stream_names(self) -> list[Stream]:
        """All streams that the journal knows, configured or not."""
        return await self._threads.lists.run(streams.all_streams)

    # --- intake ---------------------------------------------------------------------------------------------------

    async def open_stream(self, lease: Lease, stream: Stream, at_ms: int) -> StreamState:
        return await self._threads.write(lambda db: streams.open_stream(db, lease, stream, at_ms))

    async def mark_poll(self, lease: Lease, stream: Stream, at_ms: int) -> None:
        await self._threads.take_in(lambda db: streams.mark_poll(db, lease, stream, at_ms), 0)

    async def append_fetch(self, lease: Lease | None, stream: Stream, fetch: Fetch, gap: GapCause | None) -> int:
        return await self._threads.take_in(
            lambda db: fetches.append_fetch(db, lease, stream, fetch, gap, self._first_claims), len(fetch.body)
        )

    async def end_poll(self, lease: Lease, stream: Stream, at_ms: int, gap: GapCause | None, *, success: bool) -> None:
        await self._threads.write(lambda db: streams.end_poll(db, lease, stream, at_ms, gap, success=success))

    async def note_unread(self, lease: Lease, stream: Stream, at_ms: int) -> None:
        await self._threads.write(lambda db: streams.note_unread(db, lease, stream, at_ms))

    async def pressure(self, stream: Stream) -> Pressure:
        unpublished, unused = await self._threads.lists.run(partial(_pressure, stream=stream))
        return Pressure(unpublished, self._threads.free_bytes(unused))

    # --- unpack ---------------------------------------------------------------------------------------------------

    async def claim_fetch(self, stream: Stream, at_ms: int) -> ClaimedFetch | None:  # noqa: ARG002 - nobody competes
        if not self._is_confirmed(stream):
            return None
        return await self._threads.write(lambda db: fetches.claim_fetch(db, stream, self._first_claims))

    async def record_reports(self, claimed: ClaimedFetch, decoded: Decoded, gap: GapCause | None) -> Recorded:
        appended = await self._threads.write(lambda db: recording.record_reports(db, claimed, decoded, gap))
        self._tail.append(claimed.stream, appended.entries)
        return appended.recorded

    async def quarantine_fetch(self, claimed: ClaimedFetch, reason: str) -> Recorded:
        appended = await self._threads.write(lambda db: recording.quarantine_fetch(db, claimed, reason))
        self._tail.append(claimed.stream, appended.entries)
        return appended.recorded

    # --- publish --------------------------------------------------------------------------------------------------

    async def local_cursor(self, stream: Stream) -> LocalCursor | None:
        return await self._threads.stages.run(lambda db: cursors.local_cursor(db, stream))

    async def confirm_cursor(
        self, lease: Lease, stream: Stream, position: int, cluster_id: str | None, at_ms: int
    ) -> None:
        await self._threads.write(lambda db: cursors.confirm_cursor(db, lease, stream, position, cluster_id, at_ms))
        self._confirmed[stream] = lease

    async def confirm_without_kafka(self, lease: Lease, stream: Stream) -> None:
        await self._threads.write(lambda db: cursors.confirm_without_kafka(db, lease, stream))
        self._confirmed[stream] = lease

    async def adopt_published(
        self, lease: Lease, stream: Stream, records: Sequence[AdoptedRecord], position: int
    ) -> list[Displaced]:
        displaced = await self._threads.write(
            lambda db: recording.adopt_published(db, lease, stream, records, position)
        )
        self._tail.forget(stream)
        return displaced

    async def pass_over(self, lease: Lease, stream: Stream, seqs: Sequence[int]) -> None:
        await self._threads.write(lambda db: displacing.pass_over(db, lease, stream, seqs))
        self._tail.forget(stream)

    async def read_stream(self, stream: Stream, after_seq: int, limit: int, max_bytes: int) -> list[Entry]:
        newest = self._tail.read(stream, after_seq, limit, max_bytes)
        if newest:
            return newest
        return await self._threads.stages.run(lambda db: entries.read_stream(db, stream, after_seq, limit, max_bytes))

    async def advance(self, lease: Lease, stream: Stream, position: int, cluster_id: str | None, at_ms: int) -> None:
        await self._threads.write(lambda db: cursors.advance(db, lease, stream, position, cluster_id, at_ms))

    async def refuse_record(self, lease: Lease, stream: Stream, seq: int, reason: str, at_ms: int) -> None:  # noqa: ARG002
        await self._threads.write(lambda db: recording.refuse_record(db, lease, stream, seq, reason))
        self._tail.forget(stream)


def _pressure(db: apsw.Connection, stream: Stream) -> tuple[int, int]:
    return cursors.unpublished(db, stream), unused_bytes(db)
