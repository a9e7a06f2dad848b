"""The journal on SQLite, for what is sent once more: dead letters and replays."""

from collections.abc import Sequence
from functools import partial

from relay.domain.history import DeadLetter, DeadLetterContent, DeadLetterFilter, Revived
from relay.domain.replay import ReplayCount, ReplayRequest, ReplayRun, ReplayState
from relay.domain.report import Stream
from relay.journal import dead_letters, replays
from relay.journal.replay_groups import MAX_SCANNED
from relay.journal.threads import JournalThreads
from relay.ports import Fed, Lease, Wanted

ALL = DeadLetterFilter()


class AgainMethods:
    """`DeadLetterJournal` and `ReplayJournal`."""

    _threads: JournalThreads

    async def list_dead_letters(
        self, wanted: DeadLetterFilter = ALL, *, after_id: int = 0, limit: int = 100
    ) -> list[DeadLetter]:
        return await self._threads.lists.run_snapshot(lambda db: dead_letters.matching(db, wanted, after_id, limit))

    async def find_dead_letter(self, id_: int) -> DeadLetterContent | None:
        return await self._threads.lists.run_snapshot(lambda db: dead_letters.find(db, id_))

    async def revive_dead_letters(self, ids: Sequence[int], at_ms: int) -> Revived:
        return await self._threads.write(lambda db: dead_letters.revive(db, ids, at_ms))

    async def drop_dead_letters(self, ids: Sequence[int], at_ms: int) -> tuple[int, ...]:
        return await self._threads.write(lambda db: dead_letters.drop(db, ids, at_ms))

    async def start_replay(self, request: ReplayRequest, at_ms: int) -> ReplayRun | None:
        return await self._threads.write(lambda db: replays.start(db, request, at_ms))

    async def find_replay(self, id_: int) -> ReplayRun | None:
        return await self._threads.lists.run_snapshot(lambda db: replays.find(db, id_))

    async def list_replays(self, *, before_id: int | None = None, limit: int = 100) -> list[ReplayRun]:
        return await self._threads.lists.run_snapshot(lambda db: replays.listed(db, before_id, limit))

    async def unfinished_replays(self) -> list[ReplayRun]:
        return await self._threads.lists.run_snapshot(replays.unfinished)

    async def set_replay_state(self, id_: int, state: ReplayState, at_ms: int) -> ReplayRun | None:
        return await self._threads.write(lambda db: replays.set_state(db, id_, state, at_ms))

    async def feed_replay(
        self,
        lease: Lease,
        run: ReplayRun,
        stream: Stream,
        wanted: Wanted,
        *,
        batch_size: int,
        most_reports: int,
        at_ms: int,
    ) -> Fed:
        return await self._threads.write(
            lambda db: replays.feed(
                db, lease, run, stream, wanted, batch_size=batch_size, most_reports=most_reports, at_ms=at_ms
            )
        )

    async def replay_history_from_ms(self, request: ReplayRequest) -> int | None:
        return await self._threads.lists.run_snapshot(lambda db: replays.history_from_ms(db, request))

    async def count_replay(self, request: ReplayRequest, wanted: Wanted) -> dict[Stream, ReplayCount]:
        """In steps, so that other queries come in between."""
        counts = {}
        for stream in await self._threads.lists.run(lambda db: replays.streams_of(db, request)):
            total, after = ReplayCount(), None
            while True:
                step = partial(replays.count, request=request, stream=stream, wanted=wanted, after_seq=after)
                counted, after = await self._threads.lists.run_snapshot(partial(step, limit=MAX_SCANNED))
                total = ReplayCount(*(before + more for before, more in zip(total, counted, strict=True)))
                if after is None:
                    break
            counts[stream] = total
        return counts
