"""TLS: verified always, against the system's authorities or the configured ones."""

import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trustme
from aiohttp import web
from aiohttp.test_utils import TestServer

from tests.unit.sources.conftest import MakeSource
from tests.unit.sources.raw_server import REPORTS


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
async def server(authority: trustme.CA) -> AsyncIterator[TestServer]:
    async def reports(_request: web.Request) -> web.Response:
        return web.Response(body=REPORTS)

    app = web.Application()
    app.add_routes([web.get("/sms/1/reports", reports)])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    server = TestServer(app)
    await server.start_server(ssl=context)
    yield server
    await server.close()


async def test_a_configured_authority_is_trusted(
    make_source: MakeSource, server: TestServer, authority: trustme.CA, tmp_path: Path
) -> None:
    ca_file = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(ca_file)
    got = await make_source(f"https://127.0.0.1:{server.port}", ca_file=str(ca_file)).fetch_reports("sms", limit=1)
    assert (got.status, got.body) == (200, REPORTS)


async def test_an_unknown_authority_is_not(make_source: MakeSource, server: TestServer) -> None:
    got = await make_source(f"https://127.0.0.1:{server.port}").fetch_reports("sms", limit=1)
    assert (got.sent, got.status, got.failure) == (False, None, None)
    assert "certificate" in got.error.lower()


async def test_an_authority_file_that_is_missing_sends_nothing(
    make_source: MakeSource, server: TestServer, tmp_path: Path
) -> None:
    url = f"https://127.0.0.1:{server.port}"
    got = await make_source(url, ca_file=str(tmp_path / "absent.pem")).fetch_reports("sms", limit=1)
    assert (got.sent, got.failure) == (False, None)


async def test_a_server_without_tls_is_told_from_a_wrong_certificate(make_source: MakeSource) -> None:
    async with TestServer(web.Application()) as server:
        got = await make_source(f"https://127.0.0.1:{server.port}").fetch_reports("sms", limit=1)
    assert (got.sent, got.failure) == (False, None)
    assert "TLS failed: no TLS is spoken there (" in got.error
    assert got.error.endswith("; was http:// meant?")
