"""One callback over HTTP: signs and sends a POST and says how it ended; what follows from that is decided elsewhere."""

import ssl
import time
from collections.abc import Sequence

import aiohttp
from multidict import CIMultiDict, istr
from yarl import URL

import relay
from relay.config import CallbackConfig, SecretUnreadable
from relay.domain.envelope import callback_body, ce_headers, webhook_id
from relay.domain.report import Entry, Stream
from relay.domain.retry import parse_retry_after
from relay.ports import PostResult
from relay.sinks.post_failure import describe
from relay.sinks.resolver import IsolatedResolver
from relay.sinks.signing import SecretUnusable, Signer

MAX_ANSWER_BYTES = 64 * 1024
"""At most so much of an answer is read; whoever sends more loses the connection."""

KEEPALIVE_SECONDS = 4.0
"""Idle connections are closed before servers do (5 s is a common default): a POST that meets a closing one fails."""

_WEBHOOK_ID = istr("webhook-id")
_WEBHOOK_TIMESTAMP = istr("webhook-timestamp")
_WEBHOOK_SIGNATURE = istr("webhook-signature")


class TlsFilesUnusable(Exception):
    """ca_file, cert_file or key_file cannot be used. Names the callback, the files and the cure."""


class HttpCallback:
    """Implements `ports.CallbackSender` on one aiohttp session of its own: no callback can use up another's pool.

    aiohttp repeats requests only of idempotent methods, so each `post` is one POST at most. Nothing comes from the
    environment (proxy, .netrc), cookies are forgotten, redirects are not followed, answers are not decompressed.
    """

    def __init__(self, config: CallbackConfig) -> None:
        self._config = config
        self._url = URL(config.url)
        self._timeout_seconds = config.timeout_seconds
        self._infobip = config.format == "infobip"
        self._batch = config.batch_size > 1
        self._signer = Signer(config.secrets)
        self._base_headers = _base_headers()
        self._tls = _tls_context(config) if self._url.scheme == "https" else True
        self._session: aiohttp.ClientSession | None = None

    async def post(self, stream: Stream, members: Sequence[Entry], at_ms: int) -> PostResult:
        """One POST, from connecting to the end of the answer within `timeout_seconds`; never raises for its failure.

        A status that came counts, even if its body broke off later: `error` then says so.
        """
        started = time.perf_counter()
        status: int | None = None
        retry_after_seconds: float | None = None
        answer = bytearray()
        error = ""
        try:
            body = callback_body(members, infobip=self._infobip, batch=self._batch)
            headers = self._headers(stream, members, body, at_ms)
            async with self._open_session().post(
                self._url, data=body, headers=headers, allow_redirects=False
            ) as response:
                status = response.status
                if not 200 <= status <= 299:
                    retry_after_seconds = parse_retry_after(response.headers.get("Retry-After"), now_ms=at_ms)
                await _read(response.content, answer)
        except (aiohttp.ClientError, OSError, ValueError, SecretUnusable, SecretUnreadable) as broken:
            error = describe(broken, self._timeout_seconds)
        return PostResult(status, error, retry_after_seconds, time.perf_counter() - started, bytes(answer))

    async def close(self) -> None:
        """Close all connections; idempotent."""
        if self._session is not None:
            session, self._session = self._session, None
            await session.close()

    def _headers(self, stream: Stream, members: Sequence[Entry], body: bytes, at_ms: int) -> "CIMultiDict[str]":
        headers = self._base_headers.copy()
        for name, secret in self._config.headers.items():
            headers[name] = secret.reveal()
        id_ = webhook_id(stream, members)
        headers[_WEBHOOK_ID] = id_
        headers[_WEBHOOK_TIMESTAMP] = str(at_ms // 1000)
        if self._signer.signs:
            headers[_WEBHOOK_SIGNATURE] = self._signer.signature(id_, at_ms, body)
        if not self._batch:
            headers.update(ce_headers(stream, members[0]))
        return headers

    def _open_session(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    limit=self._config.concurrency,
                    ssl=self._tls,
                    resolver=IsolatedResolver(),
                    keepalive_timeout=KEEPALIVE_SECONDS,
                ),
                timeout=aiohttp.ClientTimeout(total=self._timeout_seconds),
                cookie_jar=aiohttp.DummyCookieJar(),
                trust_env=False,
                auto_decompress=False,
            )
        return self._session


async def _read(content: aiohttp.StreamReader, answer: bytearray) -> None:
    """Add the answer's body, or its first MAX_ANSWER_BYTES, to `answer`; it decides nothing, it is kept to be shown."""
    while len(answer) < MAX_ANSWER_BYTES and not content.at_eof():
        answer += await content.read(MAX_ANSWER_BYTES - len(answer))


def _base_headers() -> "CIMultiDict[str]":
    return CIMultiDict(
        {
            "User-Agent": f"infobip-relay/{relay.__version__}",
            "Accept": "*/*",
            "Accept-Encoding": "identity",
            "Content-Type": "application/json",
        }
    )


def _tls_context(config: CallbackConfig) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=config.ca_file)
        if config.cert_file is not None:
            # With a password given, OpenSSL refuses an encrypted key instead of asking the terminal for one.
            context.load_cert_chain(config.cert_file, config.key_file, password="")
    except (OSError, ValueError) as error:
        files = ", ".join(str(file) for file in (config.ca_file, config.cert_file, config.key_file) if file)
        raise TlsFilesUnusable(
            f"callback {config.name}: cannot use {files} ({error}); they must be readable PEM files, "
            "and cert_file must match key_file"
        ) from error
    return context
