"""TLS of callbacks with real certificates: whom it trusts, whom not, and what it shows of itself."""

import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trustme

from relay.sinks.callback import TlsFilesUnusable
from tests.receivers.callback import CallbackReceiver
from tests.unit.sinks.callback_rig import STREAM, Connect, entry, now_ms


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
async def tls_receiver(authority: trustme.CA) -> AsyncIterator[CallbackReceiver]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    async with CallbackReceiver(tls=context) as receiver:
        yield receiver


async def test_a_certificate_of_the_configured_authority(
    tls_receiver: CallbackReceiver, authority: trustme.CA, connect: Connect, tmp_path: Path
) -> None:
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    result = await connect(tls_receiver.url, ca_file=tmp_path / "ca.pem").post(STREAM, [entry()], now_ms())
    assert (result.status, result.error) == (200, "")


async def test_an_unknown_authority_is_refused(tls_receiver: CallbackReceiver, connect: Connect) -> None:
    result = await connect(tls_receiver.url).post(STREAM, [entry()], now_ms())
    assert result.status is None
    assert result.error.startswith("tls: ")
    assert tls_receiver.received == []


async def test_another_host_name_is_refused(
    tls_receiver: CallbackReceiver, authority: trustme.CA, connect: Connect, tmp_path: Path
) -> None:
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    result = await connect(tls_receiver.url.replace("localhost", "127.0.0.1"), ca_file=tmp_path / "ca.pem").post(
        STREAM, [entry()], now_ms()
    )
    assert result.error.startswith("tls: ")


async def test_a_server_without_tls(receiver: CallbackReceiver, connect: Connect) -> None:
    result = await connect(receiver.url.replace("http://", "https://")).post(STREAM, [entry()], now_ms())
    assert result.status is None
    assert result.error.startswith("tls: ")


async def test_a_client_certificate_is_shown(authority: trustme.CA, connect: Connect, tmp_path: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.verify_mode = ssl.CERT_REQUIRED
    authority.configure_trust(context)
    authority.issue_cert("localhost").configure_cert(context)
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    client = authority.issue_cert("relay.example")
    client.cert_chain_pems[0].write_to_path(tmp_path / "client.pem")
    client.private_key_pem.write_to_path(tmp_path / "client.key")
    async with CallbackReceiver(tls=context) as receiver:
        shown = connect(
            receiver.url,
            ca_file=tmp_path / "ca.pem",
            cert_file=tmp_path / "client.pem",
            key_file=tmp_path / "client.key",
        )
        assert (await shown.post(STREAM, [entry()], now_ms())).status == 200
        result = await connect(receiver.url, ca_file=tmp_path / "ca.pem").post(STREAM, [entry()], now_ms())
        assert result.status is None


async def test_tls_files_that_cannot_be_used(connect: Connect, tmp_path: Path) -> None:
    with pytest.raises(TlsFilesUnusable, match=r"callback billing: cannot use .*missing\.pem"):
        connect("https://localhost/", ca_file=tmp_path / "missing.pem")
