import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from relay.journal.sqlite import SqliteJournal
from tests.conformance.journals import OPENERS, Opener, Relay, own


@pytest.fixture(params=sorted(OPENERS))
async def reopen(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Opener]:
    """Opens the test's journal; again after closing it, what was written is there."""
    async with contextlib.AsyncExitStack() as opened:

        async def open_again() -> SqliteJournal:
            journal = await OPENERS[request.param](tmp_path)
            opened.push_async_callback(journal.close)
            return journal

        yield open_again


@pytest.fixture
async def journal(reopen: Opener) -> SqliteJournal:
    return await reopen()


@pytest.fixture
async def relay(journal: SqliteJournal) -> Relay:
    """The owner of acme/sms, its cursor confirmed at 0."""
    return await own(journal)
