"""The Infobip client: one destructive read, answered with all that came."""

import ssl
import time
from collections.abc import Callable

import aiohttp

from relay import __version__
from relay.config import EndpointConfig, SecretUnreadable, SourceConfig
from relay.domain.retry import parse_retry_after
from relay.ports import Answer
from relay.sources.authorization import authorization
from relay.sources.exchange import READ_BUFFER_BYTES, Exchange, Outcome, never_repeat, tracing

KEEPALIVE_SECONDS = 3.0
"""A server that closes an idle connection (after 5 seconds, often) just as we send on it makes a gap of a poll that it
never read. A new connection is cheaper."""
ACCEPT = {"json": "application/json", "xml": "application/xml"}


def wall_clock_ms() -> int:
    return time.time_ns() // 1_000_000


class InfobipSource:
    """Reads the one-time endpoints of one account. Implements ports.ReportSource.

    Credentials go to `base_url` and nowhere else: redirects are not followed, cookies are not kept, and neither proxy
    nor .netrc is taken from the environment. The session is made at the first use, in the running loop.
    """

    def __init__(self, source: SourceConfig, now_ms: Callable[[], int] = wall_clock_ms) -> None:
        self._source = source
        self._now_ms = now_ms
        self._endpoints = {endpoint.kind: endpoint for endpoint in source.endpoints}
        self._session: aiohttp.ClientSession | None = None

    async def fetch_reports(self, kind: str, *, limit: int | None) -> Answer:
        """One GET; never repeated. Every end of it is an Answer; only a kind that is not configured raises KeyError.

        The deadline ends the exchange and keeps what came by then. Whoever calls must not cancel a read in flight: what
        it would have brought is gone from the queue.
        """
        endpoint = self._endpoints[kind]
        requested_at_ms, started = self._now_ms(), time.monotonic()
        outcome = await self._get(endpoint, limit)
        received_at_ms = self._now_ms()
        return Answer(
            sent=outcome.sent,
            status=outcome.status,
            content_type=outcome.content_type,
            body=outcome.body,
            complete=outcome.complete,
            error=outcome.error,
            retry_after_seconds=parse_retry_after(outcome.retry_after, now_ms=received_at_ms),
            requested_at_ms=requested_at_ms,
            received_at_ms=received_at_ms,
            duration_seconds=time.monotonic() - started,
            failure=outcome.failure,
        )

    async def close(self) -> None:
        """Let go of connections; may be called twice."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def _get(self, endpoint: EndpointConfig, limit: int | None) -> Outcome:
        source = self._source
        poll = source.poll_for(endpoint.kind)
        try:
            headers = {"Accept": ACCEPT[source.format], "Authorization": authorization(source.auth)}
            proxy = None if source.proxy is None else source.proxy.reveal()
            session = self._opened_session()
        except (SecretUnreadable, OSError) as error:
            return Outcome(error=str(error))
        return await Exchange(session, poll.max_body_bytes).get(
            reports_url(source.base_url, endpoint.reports_path),
            params={} if limit is None else {"limit": str(limit)},
            headers=headers,
            proxy=proxy,
            timeout_seconds=poll.timeout_seconds,
        )

    def _opened_session(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(ssl=self._tls(), keepalive_timeout=KEEPALIVE_SECONDS),
                cookie_jar=aiohttp.DummyCookieJar(),
                middlewares=(never_repeat,),
                trace_configs=[tracing()],
                auto_decompress=False,
                trust_env=False,
                raise_for_status=False,
                read_bufsize=READ_BUFFER_BYTES,
                headers={"Accept-Encoding": "gzip", "User-Agent": f"infobip-relay/{__version__}"},
            )
        return self._session

    def _tls(self) -> ssl.SSLContext | bool:
        if self._source.ca_file is None:
            return True
        return ssl.create_default_context(cafile=str(self._source.ca_file))


def reports_url(base_url: str, path: str) -> str:
    """`base_url` with its path prefix, then `path`; never another host, whatever the path looks like."""
    return f"{base_url.rstrip('/')}/{path.lstrip('/')}"
