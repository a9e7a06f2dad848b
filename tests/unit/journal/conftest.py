import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from relay.journal.connection import Tuning
from relay.journal.sqlite import SqliteJournal
from tests.conformance.journals import SMALL
from tests.unit.journal.memory import directory_in_memory

Open = Callable[..., Awaitable[SqliteJournal]]


@pytest.fixture
async def open_journal(tmp_path: Path) -> AsyncIterator[Open]:
    """Opens the journal of a path (default: the test's own); closed at the end."""
    async with AsyncExitStack() as opened:

        async def open_one(path: Path = tmp_path / "relay.db", tuning: Tuning = SMALL) -> SqliteJournal:
            journal = await SqliteJournal.open(path, instance="relay-0", tuning=tuning)
            opened.push_async_callback(journal.close)
            return journal

        yield open_one


@pytest.fixture
def memory_path() -> Iterator[Path]:
    """A directory whose fsync costs nothing, where the machine has one."""
    directory = directory_in_memory()
    yield directory
    shutil.rmtree(directory)
