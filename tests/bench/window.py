"""The dedup window as it is after millions of reports, made in the journal before the relay starts."""

import asyncio
from pathlib import Path

from relay.journal.sqlite import SqliteJournal
from tests.bench.journal_hot_path import fill_ids


def prepare(directory: Path, ids: int) -> None:
    """A journal in `directory` that knows so many messageIds, all of them seen just now."""

    async def create() -> None:
        await (await SqliteJournal.open(directory / "relay.db", instance="bench")).close()

    asyncio.run(create())
    fill_ids(directory / "relay.db", ids)
