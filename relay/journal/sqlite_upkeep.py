"""The journal on SQLite, for `upkeep`, for figures, and for people who look into it."""

from collections.abc import Callable, Collection, Iterable
from functools import partial

import apsw

from relay.domain.cursor import Begin, KafkaCursor
from relay.domain.figures import CallbackFigures, JournalFigures, StreamFigures
from relay.domain.history import Gap, Remembered, ReportLife
from relay.domain.report import Stream
from relay.journal import cursors, figures, history, pruning, recordings, shortage, streams
from relay.journal.tail import Tail
from relay.journal.threads import JournalThreads, unused_bytes
from relay.ports import Pruned, Retention

_NEAR = 1.25
"""Pruning begins so much before polling stops, which is the last resort."""

Step = Callable[[apsw.Connection], Pruned]


class UpkeepMethods:
    """`UpkeepJournal`, `FiguresJournal`, `HistoryJournal` and `CursorJournal`."""

    _threads: JournalThreads
    _tail: Tail

    async def prune(self, at_ms: int, limits: Retention) -> Pruned:
        """A transaction for each concern, so that others come in between."""
        names = await self._threads.lists.run(streams.all_streams)
        short = await self._is_short(limits)
        pruned = await self._run(_steps(names, at_ms, limits, short=short))
        if short and not pruned.entries and await self._is_short(limits):
            pruned = _total([pruned, await self._run(_last_steps(names, at_ms))])
        if pruned.entries:
            for stream, pruned_to in (await self._threads.lists.run(pruning.positions)).items():
                self._tail.prune(stream, pruned_to)
        return pruned

    async def retire_subscriptions(
        self, active: Collection[tuple[str, Stream]], at_ms: int, retention_seconds: float
    ) -> list[tuple[str, Stream]]:
        """`active` are the (callback, stream) pairs of the configuration; the others are kept for the retention time,
        then dropped with all that they had stored. Answers what was dropped now."""
        kept_ms = int(retention_seconds * 1000)
        return await self._threads.write(lambda db: cursors.retire_subscriptions(db, active, at_ms, kept_ms))

    async def figures(self, at_ms: int) -> JournalFigures:  # noqa: ARG002 - all figures are absolute
        by_stream, by_callback, unused = await self._threads.lists.run_snapshot(_figures)
        return JournalFigures(
            by_stream,
            by_callback,
            self._threads.size_bytes(),
            self._threads.free_bytes(unused),
            self._threads.writable,
        )

    async def list_gaps(
        self, stream: Stream | None = None, *, only_open: bool = False, after_id: int = 0, limit: int = 100
    ) -> list[Gap]:
        return await self._threads.lists.run(lambda db: history.gaps(db, stream, after_id, limit, only_open=only_open))

    async def inspect(self, message_id: str) -> list[ReportLife]:
        """Everything that is known of a messageId, in every stream."""
        return await self._threads.lists.run_snapshot(lambda db: history.inspect(db, message_id))

    async def remembered(self, message_id: str) -> list[Remembered]:
        """Of the streams that know the messageId, until `window_seconds` are over."""
        return await self._threads.lists.run_snapshot(lambda db: history.remembered(db, message_id))

    async def kafka_cursors(self) -> list[KafkaCursor]:
        """By source and kind."""
        return await self._threads.lists.run_snapshot(cursors.kafka_cursors)

    async def place_kafka_cursor(self, stream: Stream, begin: int | Begin, at_ms: int) -> KafkaCursor | None:
        """For the cluster that the publisher meets next. None if the stream has no cursor. Raises CursorOutside."""
        return await self._threads.write(lambda db: cursors.place_kafka_cursor(db, stream, begin, at_ms))

    async def _is_short(self, limits: Retention) -> bool:
        unused = await self._threads.lists.run(unused_bytes)
        return self._threads.free_bytes(unused) < _NEAR * limits.min_free_bytes

    async def _run(self, steps: Iterable[Step]) -> Pruned:
        return _total([await self._threads.write(step) for step in steps])


def _steps(names: list[Stream], at_ms: int, limits: Retention, *, short: bool) -> Iterable[Step]:
    retention_ms = int(limits.retention_seconds * 1000)
    for stream in names:
        yield partial(pruning.prune_entries, stream=stream, at_ms=at_ms, retention_ms=retention_ms, short=short)
    yield partial(pruning.prune_released, at_ms=at_ms, retention_ms=retention_ms, short=short)
    yield partial(pruning.sweep_ids, at_ms=at_ms, window_ms=int(limits.window_seconds * 1000))
    yield partial(pruning.expire_dead_letters, at_ms=at_ms, limits=limits)
    yield partial(pruning.drop_old_records, at_ms=at_ms)
    yield partial(recordings.drop_old, at_ms=at_ms, window_ms=int(limits.window_seconds * 1000))


def _last_steps(names: list[Stream], at_ms: int) -> Iterable[Step]:
    """There is no history left to give up."""
    for stream in names:
        yield partial(shortage.drop_bodies, stream=stream, at_ms=at_ms)


def _total(parts: list[Pruned]) -> Pruned:
    return Pruned(
        sum(part.entries for part in parts),
        sum(part.ids for part in parts),
        sum(part.attempts for part in parts),
        sum(part.dead_letters for part in parts),
        any(part.more for part in parts),
        sum(part.early for part in parts),
        max((part.early_until_ms for part in parts), default=0),
    )


def _figures(db: apsw.Connection) -> tuple[dict[Stream, StreamFigures], dict[str, CallbackFigures], int]:
    return figures.streams(db), figures.callbacks(db), unused_bytes(db)
