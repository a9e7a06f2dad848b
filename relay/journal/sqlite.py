"""The journal on SQLite: one process, one writing thread, reads beside it."""

import asyncio
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Self, TypeVar

import apsw
import structlog

from relay.domain.figures import Recorded
from relay.domain.report import Decoded, Entry, GapCause, Stream
from relay.journal import connection, cursors, entries, fetches, recording, schema, streams
from relay.journal.connection import Tuning
from relay.journal.errors import Trust
from relay.journal.files import FileLock, Reserve, check_place, free_bytes
from relay.journal.reader import ReadingThread
from relay.journal.writer import Body, WritingThread
from relay.ports import (
    AdoptedRecord,
    ClaimedFetch,
    Fetch,
    JournalFull,
    Lease,
    LocalCursor,
    Pressure,
    StreamState,
)

log = structlog.get_logger(__name__)

T = TypeVar("T")

_MARGIN_BYTES = 1 << 20


class SqliteJournal:
    """Every method is one transaction, durable when it returns; see the protocols in `relay.ports`."""

    def __init__(self, path: Path, instance: str, lock: FileLock, tuning: Tuning, db: apsw.Connection) -> None:
        self._path = path
        self._instance = instance
        self._lock = lock
        self._trust = Trust()
        self._reserve = Reserve(path, tuning.reserve_bytes)
        self._reserve.hold_at_start()
        self._tokens: dict[str, int] = {}
        self._confirmed: dict[Stream, Lease] = {}
        self._journal_id = schema.journal_id(db)
        self._stream_reader = ReadingThread(connection.open_reader(path, tuning), path, self._trust, "journal-reader")
        self._list_reader = ReadingThread(connection.open_reader(path, tuning), path, self._trust, "journal-lists")
        self._writer = WritingThread(
            db, path, self._trust, checkpoint_pages=tuning.checkpoint_pages, when_full=self._reserve.give_up
        )

    @classmethod
    async def open(cls, path: Path, *, instance: str, tuning: Tuning | None = None) -> Self:
        """Create the journal if there is none, else check and open it.

        :raises JournalRefused: damaged, in use, written by a newer relay, or in a place that cannot hold it.
        """
        return await asyncio.to_thread(cls._open, path, instance, tuning or Tuning())

    @classmethod
    def _open(cls, path: Path, instance: str, tuning: Tuning) -> Self:
        for warning in check_place(path):
            log.warning("the journal may not last", reason=warning)
        lock = FileLock.acquire(path)
        try:
            if not connection.check_file(path):
                connection.create(path, tuning, time.time_ns() // 1_000_000)
                log.info("journal created", path=str(path))
            return cls(path, instance, lock, tuning, connection.open_writer(path, tuning))
        except BaseException:
            lock.release()
            raise

    async def close(self) -> None:
        """After everything that was asked for; may be called twice."""
        await self._stream_reader.close()
        await self._list_reader.close()
        await self._writer.close()
        self._lock.release()

    @property
    def journal_id(self) -> str:
        """Made when the journal was created; a restored copy keeps it."""
        return self._journal_id

    async def acquire_lease(self, name: str) -> Lease:
        lease = await self._writer.run(partial(streams.acquire_lease, name=name, owner=self._instance))
        self._tokens[name] = lease.token
        return lease

    async def stream_names(self) -> list[Stream]:
        """All streams that the journal knows, configured or not."""
        return await self._list_reader.run(streams.all_streams)

    # --- intake ---------------------------------------------------------------------------------------------------

    async def open_stream(self, lease: Lease, stream: Stream, at_ms: int) -> StreamState:
        return await self._writer.run(partial(streams.open_stream, lease=lease, stream=stream, at_ms=at_ms))

    async def mark_poll(self, lease: Lease, stream: Stream, at_ms: int) -> None:
        body = partial(streams.mark_poll, lease=lease, stream=stream, at_ms=at_ms)
        await self._writer.run(partial(self._in_room, body, 0))

    async def append_fetch(self, lease: Lease, stream: Stream, fetch: Fetch, gap: GapCause | None) -> int:
        body = partial(fetches.append_fetch, lease=lease, stream=stream, fetch=fetch, gap=gap)
        return await self._writer.run(partial(self._in_room, body, len(fetch.body)))

    async def end_poll(self, lease: Lease, stream: Stream, at_ms: int, gap: GapCause | None, *, success: bool) -> None:
        await self._writer.run(
            partial(streams.end_poll, lease=lease, stream=stream, at_ms=at_ms, gap=gap, success=success)
        )

    async def note_unread(self, lease: Lease, stream: Stream, at_ms: int) -> None:
        await self._writer.run(partial(streams.note_unread, lease=lease, stream=stream, at_ms=at_ms))

    async def pressure(self, stream: Stream) -> Pressure:
        unpublished, unused_bytes = await self._list_reader.run(partial(_pressure, stream=stream))
        return Pressure(unpublished, free_bytes(self._path.parent) + unused_bytes)

    # --- unpack ---------------------------------------------------------------------------------------------------

    async def claim_fetch(self, stream: Stream, at_ms: int) -> ClaimedFetch | None:  # noqa: ARG002 - who else could
        if not self._is_confirmed(stream):
            return None
        return await self._writer.run(partial(fetches.claim_fetch, stream=stream))

    async def record_reports(self, claimed: ClaimedFetch, decoded: Decoded, gap: GapCause | None) -> Recorded:
        return await self._writer.run(partial(recording.record_reports, claimed=claimed, decoded=decoded, gap=gap))

    async def quarantine_fetch(self, claimed: ClaimedFetch, reason: str) -> Recorded:
        return await self._writer.run(partial(recording.quarantine_fetch, claimed=claimed, reason=reason))

    # --- publish --------------------------------------------------------------------------------------------------

    async def local_cursor(self, stream: Stream) -> LocalCursor | None:
        return await self._stream_reader.run(partial(cursors.local_cursor, stream=stream))

    async def confirm_cursor(
        self, lease: Lease, stream: Stream, position: int, cluster_id: str | None, at_ms: int
    ) -> None:
        await self._writer.run(
            partial(
                cursors.confirm_cursor,
                lease=lease,
                stream=stream,
                position=position,
                cluster_id=cluster_id,
                at_ms=at_ms,
            )
        )
        self._confirmed[stream] = lease

    async def confirm_without_kafka(self, lease: Lease, stream: Stream) -> None:
        await self._writer.run(partial(cursors.confirm_without_kafka, lease=lease, stream=stream))
        self._confirmed[stream] = lease

    async def adopt_published(self, lease: Lease, stream: Stream, records: Sequence[AdoptedRecord]) -> None:
        await self._writer.run(partial(recording.adopt_published, lease=lease, stream=stream, records=records))

    async def read_stream(self, stream: Stream, after_seq: int, limit: int, max_bytes: int) -> list[Entry]:
        return await self._stream_reader.run(
            partial(entries.read_stream, stream=stream, after_seq=after_seq, limit=limit, max_bytes=max_bytes)
        )

    async def advance(self, lease: Lease, stream: Stream, position: int, cluster_id: str | None, at_ms: int) -> None:
        await self._writer.run(
            partial(cursors.advance, lease=lease, stream=stream, position=position, cluster_id=cluster_id, at_ms=at_ms)
        )

    async def refuse_record(self, lease: Lease, stream: Stream, seq: int, reason: str, at_ms: int) -> None:  # noqa: ARG002
        await self._writer.run(partial(recording.refuse_record, lease=lease, stream=stream, seq=seq, reason=reason))

    # --- inside ---------------------------------------------------------------------------------------------------

    def _is_confirmed(self, stream: Stream) -> bool:
        """Whoever confirmed the cursor still owns the stream."""
        lease = self._confirmed.get(stream)
        return lease is not None and self._tokens.get(lease.name) == lease.token

    def _in_room(self, body: Body[T], needed_bytes: int, db: apsw.Connection) -> T:
        """Once the disk was full, what comes in must not eat the room that draining needs: only what is unused inside
        the file, until there is room for the reserve again."""
        if self._reserve.needed and not self._reserve.hold() and _unused_bytes(db) < 2 * needed_bytes + _MARGIN_BYTES:
            raise JournalFull(f"no room for the journal {self._path}: make some in {self._path.parent}")
        return body(db)


def _pressure(db: apsw.Connection, stream: Stream) -> tuple[int, int]:
    return cursors.unpublished(db, stream), _unused_bytes(db)


def _unused_bytes(db: apsw.Connection) -> int:
    """Pages that were pruned; the file does not shrink, it fills them again."""
    return int(db.pragma("freelist_count")) * int(db.pragma("page_size"))
