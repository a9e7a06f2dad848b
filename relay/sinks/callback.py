"""One callback over HTTP: signs and sends a POST and says how it ended; what follows from that is decided elsewhere."""

import ssl
import time
from collections.abc import Sequence

import aiohttp
import structlog
from aiohttp.http import HttpProcessingError
from yarl import URL

from relay.config import CallbackConfig, SecretUnreadable
from relay.domain.envelope import callback_body, webhook_id
from relay.domain.report import Entry, Stream
from relay.domain.retry import parse_retry_after
from relay.ports import PostResult
from relay.sinks.http_channel import HttpAnswer, HttpChannel
from relay.sinks.post_failure import describe, is_refused_address
from relay.sinks.request_head import HeaderUnusable, RequestHead
from relay.sinks.signing import SecretUnusable, Signer

log = structlog.get_logger(__name__)

MOST_REFUSED_TOLD = 16
"""Whoever answers for a name could make up a new address each time."""

_FAILURES = (
    aiohttp.ClientError,
    HttpProcessingError,
    OSError,  # TimeoutError and ssl.SSLError too
    SecretUnusable,
    SecretUnreadable,
    HeaderUnusable,
)


class TlsFilesUnusable(Exception):
    """ca_file, cert_file or key_file cannot be used. Names the callback, the files and the cure."""


class HttpCallback:
    """Implements `ports.CallbackSender` on connections of its own: no callback can use up another's."""

    def __init__(self, config: CallbackConfig) -> None:
        url = URL(config.url)
        self._name = config.name
        self._refused: set[str] = set()
        self._timeout_seconds = config.timeout_seconds
        self._infobip = config.format == "infobip"
        self._batch = config.batch_size > 1
        self._signer = Signer(config.secrets)
        self._head = RequestHead(url, config.headers)
        self._channel = HttpChannel(
            url,
            connections=config.concurrency,
            timeout_seconds=config.timeout_seconds,
            allow_private=config.allow_private,
            tls=_tls_context(config) if url.scheme == "https" else None,
        )

    async def post(self, stream: Stream, members: Sequence[Entry], at_ms: int) -> PostResult:
        """One POST, from connecting to the end of the answer within `timeout_seconds`; never raises for its failure.

        A status that came counts, even if its body broke off later: `error` then says so.
        """
        started = time.perf_counter()
        answer = HttpAnswer()
        error = ""
        try:
            batch = self._batch or len(members) > 1  # one made while batch_size was greater stays together
            body = callback_body(members, infobip=self._infobip, batch=batch)
            await self._channel.post(self._headers(stream, members, body, at_ms, batch=batch), body, answer)
        except _FAILURES as failure:
            error = describe(failure, self._timeout_seconds)
            if is_refused_address(failure):
                self._tell_refused(error)
        return PostResult(
            status=answer.status,
            error=error,
            retry_after_seconds=parse_retry_after(answer.retry_after, now_ms=at_ms) if answer.retry_after else None,
            duration_seconds=time.perf_counter() - started,
            answer=bytes(answer.body),
        )

    async def close(self) -> None:
        """Close all connections; idempotent."""
        await self._channel.close()

    def _tell_refused(self, error: str) -> None:
        """Once for each address: unlike other failures this one does not pass by itself."""
        if error not in self._refused and len(self._refused) < MOST_REFUSED_TOLD:
            self._refused.add(error)
            log.error("callback not posted to", callback=self._name, reason=error)

    def _headers(self, stream: Stream, members: Sequence[Entry], body: bytes, at_ms: int, *, batch: bool) -> str:
        id_ = webhook_id(stream, members)
        lines = f"{self._head.constant()}webhook-id: {id_}\r\nwebhook-timestamp: {at_ms // 1000}\r\n"
        if self._signer.signs:
            lines += f"webhook-signature: {self._signer.signature(id_, at_ms, body)}\r\n"
        return lines if batch else lines + self._head.cloud_event(stream, members[0])


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
