"""The journal on SQLite, for what is in quarantine."""

from relay.domain.history import Quarantined, QuarantineFilter, Retried
from relay.domain.report import Decoded
from relay.journal import quarantine
from relay.journal.sqlite_recovery import RecoveryMethods
from relay.ports import JournalError

ALL_OPEN = QuarantineFilter()


class QuarantineMethods(RecoveryMethods):
    """`QuarantineJournal`; like the rows of the logs, what is retried takes seqs."""

    async def list_quarantine(
        self, wanted: QuarantineFilter = ALL_OPEN, *, after_id: int = 0, limit: int = 100
    ) -> list[Quarantined]:
        return await self._threads.lists.run(lambda db: quarantine.quarantined(db, wanted, after_id, limit))

    async def find_quarantined(self, id_: int) -> Quarantined | None:
        return await self._threads.lists.run(lambda db: quarantine.find(db, id_))

    async def quarantined_bytes(self, id_: int) -> bytes | None:
        return await self._threads.lists.run(lambda db: quarantine.quarantined_bytes(db, id_))

    async def retry_quarantined(self, id_: int, decoded: Decoded, at_ms: int) -> Retried | None:
        found = await self.find_quarantined(id_)
        if found is None:
            return None
        if not self._is_confirmed(found.stream):
            raise JournalError(f"the cursor of {found.stream} is not confirmed yet: no seq can be given")
        ended = await self._threads.take_in(lambda db: quarantine.retry(db, id_, decoded, at_ms), 2 * found.size_bytes)
        if ended is None:
            return None
        retried, entries = ended
        self._tail.append(found.stream, entries)
        return retried

    async def drop_quarantined(self, id_: int) -> bool:
        return await self._threads.write(lambda db: quarantine.drop(db, id_))
