"""Whether sources and callbacks can be reached: name, connection, certificate; not a byte of HTTP is sent."""

import asyncio
import socket
import ssl
from pathlib import Path
from urllib.parse import urlsplit

from relay.cli.finding import Finding, State
from relay.config import CallbackConfig, SourceConfig
from relay.observe.plain_words import plain_words, speaks_no_tls
from relay.sinks.addresses import refusal

DEADLINE_SECONDS = 10.0
PORTS = {"http": 80, "https": 443}


async def source_findings(source: SourceConfig, key: str) -> list[Finding]:
    """Credentials are not tried: there is no call that proves them without taking reports.

    `key` is where the configuration has the source.
    """
    name = f"source {source.name}"
    by_proxy = source.proxy is not None
    url = source.proxy.reveal() if source.proxy is not None else source.base_url
    error = await _reach(url, None if by_proxy else source.ca_file)
    where = "its proxy" if by_proxy else _place(url)
    if error:
        return [Finding(name, State.FAILED, f"{key}.{'proxy' if by_proxy else 'base_url'}: {where}: {error}")]
    return [Finding(name, State.OK, f"{where} can be reached; credentials show at the first poll")]


async def callback_findings(callback: CallbackConfig, key: str) -> list[Finding]:
    """A receiver that is away is a warning: deliveries wait for it. `key` is where the configuration has it."""
    name, place = f"callback {callback.name}", f"{key}.url: {_place(callback.url)}"
    refused = await _refused(callback)
    if refused:
        return [Finding(name, State.FAILED, f"{place}: {refused}")]
    client = (callback.cert_file, callback.key_file)
    error = await _reach(callback.url, callback.ca_file, client)
    if error:
        return [Finding(name, State.WARNING, f"{place}: {error}; deliveries would wait and be retried")]
    return [Finding(name, State.OK, f"{_place(callback.url)} can be reached")]


async def _refused(callback: CallbackConfig) -> str:
    """Why none of the callback's addresses may be posted to; empty if one may, or there is none."""
    parts = urlsplit(callback.url)
    try:
        async with asyncio.timeout(DEADLINE_SECONDS):
            found = await asyncio.get_running_loop().getaddrinfo(parts.hostname, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):  # TimeoutError too: connecting will tell
        return ""
    reasons = [refusal(str(address[0]), allow_private=callback.allow_private) for *_, address in found]
    return reasons[0] if all(reasons) else ""


async def _reach(url: str, ca_file: Path | None, client: tuple[Path | None, Path | None] = (None, None)) -> str:
    """Connect, with TLS for https, and hang up; what went wrong, or nothing."""
    parts = urlsplit(url)
    try:
        tls = _tls(ca_file, client) if parts.scheme == "https" else None
        async with asyncio.timeout(DEADLINE_SECONDS):
            _, writer = await asyncio.open_connection(parts.hostname, parts.port or PORTS[parts.scheme], ssl=tls)
    except TimeoutError:
        return f"no connection within {DEADLINE_SECONDS:g} seconds; check the address and the firewall"
    except OSError as error:
        cure = _cure(error)
        return f"{plain_words(error)}; {cure}" if cure else plain_words(error)
    except ValueError as error:
        return str(error)
    writer.transport.abort()
    return ""


def _cure(error: OSError) -> str:
    if isinstance(error, socket.gaierror):
        return "check it and the name server"
    if isinstance(error, ssl.SSLCertVerificationError):
        return "set ca_file if it is your own authority's"
    return "was http:// meant?" if speaks_no_tls(error) else ""


def _tls(ca_file: Path | None, client: tuple[Path | None, Path | None]) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=ca_file)
    certificate, key = client
    if certificate is not None:
        context.load_cert_chain(certificate, key, password="")
    return context


def _place(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.hostname}:{parts.port or PORTS[parts.scheme]}"
