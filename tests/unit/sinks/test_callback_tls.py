"""TLS of callbacks with real certificates: whom it trusts, whom not, and what it shows of itself."""

import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import trustme

from relay.sinks.callback import TlsFilesUnusable
from tests.receivers.callback import CallbackReceiver
from tests.unit.sinks.callback_rig import STREAM, Connect, entry, now_ms

NOW = datetime.now(UTC)
DAY = timedelta(days=1)

Serve = Callable[..., AbstractAsyncContextManager[CallbackReceiver]]


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def ca_file(authority: trustme.CA, tmp_path: Path) -> Path:
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    return tmp_path / "ca.pem"


@pytest.fixture
def serve(authority: trustme.CA) -> Serve:
    """`serve(*names, asks=False, **keys of the certificate)`: a receiver with a certificate of the authority."""

    @asynccontextmanager
    async def serve(*names: str, asks: bool = False, **keys: Any) -> AsyncIterator[CallbackReceiver]:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert(*(names or ("localhost",)), **keys).configure_cert(context)
        if asks:
            context.verify_mode = ssl.CERT_REQUIRED
            authority.configure_trust(context)
        async with CallbackReceiver(tls=context) as receiver:
            yield receiver

    return serve


async def test_a_certificate_of_the_configured_authority(serve: Serve, ca_file: Path, connect: Connect) -> None:
    async with serve() as receiver:
        result = await connect(receiver.url, ca_file=ca_file).post(STREAM, [entry()], now_ms())
        assert (result.status, result.error, len(receiver.received)) == (200, "", 1)


@pytest.mark.parametrize(
    ("certificate", "why"),
    [
        ({"names": ["hooks.example"]}, "Hostname mismatch, certificate is not valid for 'localhost'"),
        ({"names": ["*.localhost"]}, "Hostname mismatch, certificate is not valid for 'localhost'"),
        ({"not_before": NOW - 2 * DAY, "not_after": NOW - DAY}, "certificate has expired"),
        ({"not_before": NOW + DAY, "not_after": NOW + 2 * DAY}, "certificate is not yet valid"),
    ],
    ids=["another host", "a name below it", "expired", "of tomorrow"],
)
async def test_a_certificate_that_does_not_hold_is_refused(
    serve: Serve, ca_file: Path, connect: Connect, certificate: dict[str, Any], why: str
) -> None:
    async with serve(*certificate.pop("names", []), **certificate) as receiver:
        result = await connect(receiver.url, ca_file=ca_file).post(STREAM, [entry()], now_ms())
        assert result.status is None
        assert result.error.startswith("tls: ")
        assert why in result.error
        assert receiver.received == []


async def test_an_unknown_authority_is_refused(serve: Serve, connect: Connect) -> None:
    async with serve() as receiver:
        result = await connect(receiver.url).post(STREAM, [entry()], now_ms())
        assert result.status is None
        assert result.error.startswith("tls: ")
        assert "unable to get local issuer certificate" in result.error
        assert receiver.received == []


async def test_the_system_s_authorities_do_not_count_beside_ca_file(
    serve: Serve, ca_file: Path, connect: Connect, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trustme.CA().cert_pem.write_to_path(tmp_path / "other.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(ca_file))  # stands for those of the system
    async with serve() as receiver:
        by_system = await connect(receiver.url).post(STREAM, [entry()], now_ms())
        by_another = await connect(receiver.url, ca_file=tmp_path / "other.pem").post(STREAM, [entry()], now_ms())
    assert by_system.status == 200
    assert by_another.error.startswith("tls: ")


async def test_an_address_is_verified_as_such(serve: Serve, ca_file: Path, connect: Connect) -> None:
    async with serve("127.0.0.1") as receiver:
        right = receiver.url.replace("localhost", "127.0.0.1")
        assert (await connect(right, ca_file=ca_file).post(STREAM, [entry()], now_ms())).status == 200
        result = await connect(receiver.url, ca_file=ca_file).post(STREAM, [entry()], now_ms())
        assert result.error.startswith("tls: ")


async def test_a_server_without_tls(receiver: CallbackReceiver, connect: Connect) -> None:
    result = await connect(receiver.url.replace("http://", "https://")).post(STREAM, [entry()], now_ms())
    assert result.status is None
    assert result.error.startswith("tls: TLS failed: no TLS is spoken there (")
    assert result.error.endswith("; was http:// meant?")


async def test_a_client_certificate_is_shown(
    serve: Serve, authority: trustme.CA, ca_file: Path, connect: Connect, tmp_path: Path
) -> None:
    client = authority.issue_cert("relay.example")
    client.cert_chain_pems[0].write_to_path(tmp_path / "client.pem")
    client.private_key_pem.write_to_path(tmp_path / "client.key")
    own = {"cert_file": tmp_path / "client.pem", "key_file": tmp_path / "client.key"}
    async with serve(asks=True) as receiver:
        assert (await connect(receiver.url, ca_file=ca_file, **own).post(STREAM, [entry()], now_ms())).status == 200
        result = await connect(receiver.url, ca_file=ca_file).post(STREAM, [entry()], now_ms())
        assert result.status is None
        assert len(receiver.received) == 1


async def test_each_callback_has_its_own_authority_and_certificate(
    serve: Serve, ca_file: Path, connect: Connect, tmp_path: Path
) -> None:
    trustme.CA().cert_pem.write_to_path(tmp_path / "other.pem")
    async with serve() as receiver:
        trusting, other = connect(receiver.url, ca_file=ca_file), connect(receiver.url, ca_file=tmp_path / "other.pem")
        for callback, status in ((trusting, 200), (other, None), (trusting, 200), (other, None)):
            assert (await callback.post(STREAM, [entry()], now_ms())).status == status


@pytest.mark.parametrize("content", [None, "not a certificate"])
def test_tls_files_that_cannot_be_used(connect: Connect, tmp_path: Path, content: str | None) -> None:
    file = tmp_path / "odd.pem"
    if content is not None:
        file.write_text(content)
    for keys in ({"ca_file": file}, {"cert_file": file, "key_file": file}):
        with pytest.raises(TlsFilesUnusable, match=r"callback billing: cannot use .*odd\.pem"):
            connect("https://localhost/", **keys)
