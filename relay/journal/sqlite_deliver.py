"""The journal on SQLite, for `deliver`."""

from collections.abc import Collection, Sequence

from relay.domain.pausing import Pause
from relay.domain.report import Stream
from relay.journal import attempts as tries
from relay.journal import cursors, pauses, shedding
from relay.journal import deliveries as store
from relay.journal.threads import JournalThreads
from relay.ports import AttemptRecord, Backlog, Delivery, Lease, NewDelivery, Shed, Wanted


class DeliverMethods:
    """`DeliverJournal`, but for `read_stream`."""

    _threads: JournalThreads

    async def open_subscription(
        self,
        lease: Lease,
        callback: str,
        stream: Stream,
        *,
        earliest: bool,
        at_ms: int,
        wanted: Wanted | None = None,
    ) -> int:
        """`wanted` is kept, to tell what the callback loses if a full disk takes bodies; None: all reports."""
        return await self._threads.write(
            lambda db: cursors.open_subscription(
                db, lease, callback, stream, earliest=earliest, at_ms=at_ms, wanted=wanted
            )
        )

    async def store_deliveries(
        self,
        lease: Lease,
        callback: str,
        stream: Stream,
        deliveries: Sequence[NewDelivery],
        position: int,
        at_ms: int,
    ) -> list[int]:
        return await self._threads.write(
            lambda db: store.store_deliveries(db, lease, callback, stream, deliveries, position, at_ms)
        )

    async def record_attempts(
        self, lease: Lease, callback: str, stream: Stream, attempts: Sequence[AttemptRecord], position: int
    ) -> int:
        return await self._threads.write(
            lambda db: tries.record_attempts(db, lease, callback, stream, attempts, position)
        )

    async def due_deliveries(
        self, callback: str, stream: Stream, at_ms: int, limit: int, max_bytes: int, skip: Collection[int]
    ) -> list[Delivery]:
        skipped = tuple(skip)  # the caller's set changes while the query waits
        return await self._threads.stages.run_snapshot(
            lambda db: store.due_deliveries(db, callback, stream, at_ms, limit, max_bytes, skipped)
        )

    async def next_due_at_ms(self, callback: str, stream: Stream, skip: Collection[int]) -> int | None:
        skipped = tuple(skip)
        return await self._threads.stages.run_snapshot(lambda db: store.next_due_at_ms(db, callback, stream, skipped))

    async def pending_message_ids(self, callback: str, stream: Stream, message_ids: Sequence[str]) -> set[str]:
        # By the writer: what is known of an id may be in its memory alone.
        return await self._threads.write(lambda db: store.pending_message_ids(db, callback, stream, message_ids))

    async def backlog(self, callback: str, stream: Stream) -> Backlog:
        return await self._threads.stages.run_snapshot(lambda db: store.backlog(db, callback, stream))

    async def shed_backlog(
        self,
        lease: Lease,
        callback: str,
        stream: Stream,
        wanted: Wanted,
        *,
        max_backlog: int,
        created_before_ms: int,
        at_ms: int,
        limit: int,
        skip: Collection[int],
    ) -> Shed:
        skipped = tuple(skip)
        return await self._threads.write(
            lambda db: shedding.shed_backlog(
                db,
                lease,
                callback,
                stream,
                wanted,
                max_backlog=max_backlog,
                created_before_ms=created_before_ms,
                at_ms=at_ms,
                limit=limit,
                skip=skipped,
            )
        )

    async def keep_pause(self, callback: str, pause: Pause | None) -> None:
        await self._threads.write(lambda db: pauses.keep(db, callback, pause))

    async def kept_pauses(self) -> dict[str, Pause]:
        return await self._threads.stages.run_snapshot(pauses.kept)
