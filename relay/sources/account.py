"""One account's connections: who asks, how it logs in, over which proxy and with which authorities to trust."""

import ssl
from collections.abc import Mapping
from typing import NamedTuple

import aiohttp

from relay import __version__
from relay.config import EndpointConfig, SecretUnreadable, SourceConfig
from relay.sources.authorization import authorization
from relay.sources.exchange import READ_BUFFER_BYTES, Exchange, Outcome, never_repeat, tracing

KEEPALIVE_SECONDS = 3.0
"""A server that closes an idle connection (after 5 seconds, often) just as we send on it makes a gap of a poll that it
never read. A new connection is cheaper."""
ACCEPT = {"json": "application/json", "xml": "application/xml"}


class Connection(NamedTuple):
    """What a request needs beside its address; the credentials are of now."""

    session: aiohttp.ClientSession
    authorization: str
    proxy: str | None


class Account:
    """Sends one GET and gives back all that came, for every client of the source. Nothing is ever sent twice here.

    Credentials go to `base_url` and nowhere else: redirects are not followed, cookies are not kept, and neither proxy
    nor .netrc is taken from the environment. The session is made at the first use, in the running loop.
    """

    def __init__(self, source: SourceConfig) -> None:
        self.endpoints = {endpoint.kind: endpoint for endpoint in source.endpoints}
        self._source = source
        self._session: aiohttp.ClientSession | None = None

    @property
    def base_url(self) -> str:
        return self._source.base_url

    async def get(self, endpoint: EndpointConfig, path: str, params: Mapping[str, str]) -> Outcome:
        """One GET below `base_url`, within the time and size that the endpoint's polls have. Never raises."""
        source = self._source
        poll = source.poll_for(endpoint.kind)
        try:
            connection = self.connection()
        except (SecretUnreadable, OSError) as error:
            return Outcome(error=str(error))
        return await Exchange(connection.session, poll.max_body_bytes).get(
            below(source.base_url, path),
            params=dict(params),
            headers={"Accept": ACCEPT[source.format], "Authorization": connection.authorization},
            proxy=connection.proxy,
            timeout_seconds=poll.timeout_seconds,
        )

    def connection(self) -> Connection:
        """Raises SecretUnreadable, and OSError if the file of authorities cannot be read."""
        proxy = None if self._source.proxy is None else self._source.proxy.reveal()
        return Connection(self._opened_session(), authorization(self._source.auth), proxy)

    async def close(self) -> None:
        """Let go of connections; may be called twice."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

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


def below(base_url: str, path: str) -> str:
    """`base_url` with its path prefix, then `path`; never another host, whatever the path looks like."""
    return f"{base_url.rstrip('/')}/{path.lstrip('/')}"
