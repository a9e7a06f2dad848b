import os
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from relay.journal.connection import Tuning
from relay.journal.sqlite import SqliteJournal
from tests.conformance.journals import SMALL

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
def memory_path(tmp_path: Path) -> Iterator[Path]:
    """A directory whose fsync costs nothing, where the machine has one: for tests of many commits."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else tmp_path) as directory:
        yield Path(directory)
