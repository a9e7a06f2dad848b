"""The web application on a journal that answers as told."""

from collections.abc import AsyncIterator, Awaitable, Callable

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient

from relay.config import Secret
from relay.domain.figures import CallbackFigures, JournalFigures, StreamFigures
from relay.domain.report import Stream
from relay.observe import Health, Telemetry
from relay.web import make_web
from tests.unit.web.push_rig import Rig

Client = TestClient[web.Request, web.Application]

FIGURES = JournalFigures(
    streams={
        Stream("acme", "sms"): StreamFigures(
            fetches_pending=1,
            unpublished=12345,
            oldest_unpublished_at_ms=1_700_000_000_500,
            gaps_open=2,
            oldest_open_gap_at_ms=1_700_000_001_000,
            quarantine_entries=3,
            last_success_at_ms=1_700_000_002_000,
            last_seq=50000,
            kafka_position=37655,
        )
    },
    callbacks={"billing": CallbackFigures(backlog=5, oldest_backlog_at_ms=None, dead_letters=4)},
    size_bytes=8192,
    free_bytes=3_000_000_000,
    writable=True,
)


class ToldJournal:
    """Answers `figures`, or raises what it is told."""

    def __init__(self) -> None:
        self.figures_now = FIGURES
        self.error: BaseException | None = None
        self.wait: Callable[[], Awaitable[object]] | None = None
        self.asked = 0

    async def figures(self, at_ms: int) -> JournalFigures:
        self.asked += 1
        assert at_ms == 1_700_000_010_000
        if self.wait is not None:
            await self.wait()
        if self.error is not None:
            raise self.error
        return self.figures_now


@pytest.fixture
def journal() -> ToldJournal:
    return ToldJournal()


@pytest.fixture
def health() -> Health:
    return Health()


@pytest.fixture
def telemetry() -> Telemetry:
    return Telemetry()


@pytest.fixture
def application(journal: ToldJournal, health: Health, telemetry: Telemetry) -> web.Application:
    return make_web(
        instance="relay-0",
        token=Secret("canary-token"),
        journal=journal,
        health=health,
        telemetry=telemetry,
        now_ms=lambda: 1_700_000_010_000,
    )


@pytest.fixture
async def client(
    application: web.Application, aiohttp_client: Callable[[web.Application], Awaitable[Client]]
) -> Client:
    return await aiohttp_client(application)


@pytest.fixture
async def pushing() -> AsyncIterator[Rig]:
    async with aiohttp.ClientSession() as session:
        rig = Rig(session)
        await rig.service.start()
        yield rig
        await rig.service.stop()
