"""TLS and SASL for aiokafka from `kafka.security`. Files and secrets are read anew for every connection made."""

import asyncio
import ssl
from pathlib import Path
from typing import Any

from aiokafka.abc import AbstractTokenProvider

from relay.config import SecretUnreadable, SecurityConfig
from relay.ports import StreamBlocked


class TokenFile(AbstractTokenProvider):  # type: ignore[misc]
    """The OAUTHBEARER token that another process keeps fresh in a file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def token(self) -> str:
        try:
            text = await asyncio.to_thread(self._path.read_text, encoding="utf-8")
        except OSError as error:
            raise StreamBlocked(f"cannot read kafka.security.token_file {self._path}: {error.strerror}") from error
        return text.strip()


def connection_options(security: SecurityConfig) -> dict[str, Any]:
    """Keyword arguments for aiokafka's clients. Raises StreamBlocked for a file that cannot be used."""
    options: dict[str, Any] = {"security_protocol": security.protocol}
    if security.protocol.endswith("SSL"):
        options["ssl_context"] = _tls(security)
    if security.protocol.startswith("SASL"):
        options |= _sasl(security)
    return options


def _tls(security: SecurityConfig) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=security.ca_file)
        if security.cert_file is not None:
            context.load_cert_chain(security.cert_file, security.key_file)
    except (OSError, ssl.SSLError) as error:
        files = ", ".join(str(name) for name in (security.ca_file, security.cert_file, security.key_file) if name)
        raise StreamBlocked(f"cannot use the TLS files of kafka.security ({files}): {error}") from error
    return context


def _sasl(security: SecurityConfig) -> dict[str, Any]:
    options: dict[str, Any] = {"sasl_mechanism": security.mechanism or "PLAIN"}
    if security.mechanism == "OAUTHBEARER":
        if security.token_file is None:
            raise StreamBlocked("kafka.security.mechanism OAUTHBEARER needs token_file")
        return options | {"sasl_oauth_token_provider": TokenFile(security.token_file)}
    if security.username is None or security.password is None:
        raise StreamBlocked(f"kafka.security.mechanism {security.mechanism} needs username and password")
    try:
        password = security.password.reveal()
    except SecretUnreadable as error:
        raise StreamBlocked(f"kafka.security.password: {error}") from error
    return options | {"sasl_plain_username": security.username, "sasl_plain_password": password}
