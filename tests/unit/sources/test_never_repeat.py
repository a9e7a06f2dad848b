"""aiohttp repeats a GET by itself when the connection breaks; a destructive read must not be repeated."""

import aiohttp
import pytest

from relay.domain.polling import judge
from relay.domain.report import GapCause
from tests.unit.sources.conftest import MakeSource
from tests.unit.sources.raw_server import REPORTS, RawServer, answer, closing_after, playing, resetting_after, sending

BREAKS = {"closed": closing_after, "reset": resetting_after}


@pytest.mark.parametrize("breaking", BREAKS.values(), ids=BREAKS)
async def test_one_request_and_one_gap_when_a_kept_alive_connection_breaks(make_source: MakeSource, breaking) -> None:
    async with RawServer(playing(sending(answer()), breaking())) as server:
        source = make_source(server.url)
        first = await source.fetch_reports("sms", limit=None)
        second = await source.fetch_reports("sms", limit=None)

        assert server.connections == 1
        assert len(server.requests) == 2
    assert (first.body, first.complete) == (REPORTS, True)
    assert (second.sent, second.status, second.complete, second.body) == (True, None, False, b"")
    assert second.failure is GapCause.CONNECTION
    assert judge(first).gap is None
    assert judge(second).gap is GapCause.CONNECTION


@pytest.mark.parametrize("breaking", BREAKS.values(), ids=BREAKS)
async def test_one_request_when_a_new_connection_breaks(make_source: MakeSource, breaking) -> None:
    async with RawServer(playing(breaking())) as server:
        broken = await make_source(server.url).fetch_reports("sms", limit=None)
        assert len(server.requests) == 1
    assert broken.sent
    assert broken.failure is GapCause.CONNECTION


async def test_the_source_goes_on_after_a_break(make_source: MakeSource) -> None:
    async with RawServer(playing(closing_after(), sending(answer()))) as server:
        source = make_source(server.url)
        await source.fetch_reports("sms", limit=None)
        again = await source.fetch_reports("sms", limit=None)
        assert len(server.requests) == 2
    assert again.body == REPORTS


@pytest.mark.parametrize("force_close", [False, True])
async def test_a_plain_session_repeats_and_shows_nothing_of_it(force_close: bool) -> None:
    """Why the middleware is there. If this fails, aiohttp has changed: read its client.py again."""
    async with RawServer(playing(sending(answer()), closing_after())) as server:
        connector = aiohttp.TCPConnector(force_close=force_close)
        async with aiohttp.ClientSession(connector=connector) as session:
            async with session.get(server.url) as first:
                assert await first.read() == REPORTS
            async with session.get(server.url) as second:
                assert (second.status, await second.read()) == (200, b'{"results":[]}')
        assert len(server.requests) == 3


def test_the_behaviour_was_read_in_this_aiohttp() -> None:
    """Another minor version may repeat in other cases: read client.py, then change this line."""
    assert aiohttp.__version__.split(".")[:2] == ["3", "14"]
