"""POSTs to one URL over a pool of kept-alive connections: aiohttp's connector and parser without its client session.

A session costs about 180 µs a request, of which this needs 20: no redirects to follow, no cookies, proxies, .netrc or
authentication to look for, nothing to repeat and nothing to decompress. What remains is what a callback needs; what is
not there cannot surprise. Connecting (names, several addresses, TLS), pooling and parsing are aiohttp's.
"""

import asyncio
import ssl

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection
from yarl import URL

from relay.sinks.connector import GuardedConnector

MAX_ANSWER_BYTES = 64 * 1024
"""At most so much of an answer is read; whoever sends more loses the connection."""

_NO_LIMITS = aiohttp.ClientTimeout()
"""The deadline of the whole exchange is kept here, not by the connector."""


class HttpAnswer:
    """What came of an answer so far; it counts also if the exchange breaks off later."""

    __slots__ = ("body", "retry_after", "status")

    def __init__(self) -> None:
        self.status: int | None = None
        self.retry_after: str | None = None
        self.body = bytearray()


class HttpChannel:
    """At most `connections` at a time; whoever comes later waits, within its deadline."""

    def __init__(
        self,
        url: URL,
        *,
        connections: int,
        timeout_seconds: float,
        allow_private: bool = True,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._url = url
        self._connections = connections
        self._allow_private = allow_private
        self._timeout_seconds = timeout_seconds
        self._tls = tls
        self._request_line = f"POST {url.raw_path_qs} HTTP/1.1\r\n"
        self._connector: GuardedConnector | None = None
        self._destination: aiohttp.ClientRequest | None = None
        self._taking = 0
        self._name_failed = False

    async def post(self, headers: str, body: bytes, answer: HttpAnswer) -> None:
        """Send one POST, once, and fill `answer`. `headers`: lines with their CRLF, without Content-Length.

        Raises what aiohttp and the system raise (aiohttp.ClientError, HttpProcessingError, OSError, TimeoutError).
        """
        head = f"{self._request_line}{headers}Content-Length: {len(body)}\r\n\r\n"
        async with asyncio.timeout(self._timeout_seconds):
            connection = await self._connect()
            try:
                reusable = await _exchange(connection, head.encode() + body, answer)
            except BaseException:
                _drop(connection)
                raise
        if reusable:
            connection.release()
        else:
            _drop(connection)

    async def close(self) -> None:
        """Close all connections; idempotent."""
        connector, self._connector = self._connector, None
        if connector is not None:
            await connector.close()

    async def _connect(self) -> Connection:
        """A connection without anything left over on it: a stray answer must not be taken for that of the next POST."""
        connector, destination = self._connector, self._destination
        if connector is None or destination is None:
            connector, destination = self._open()
        while True:
            connection = await self._take(connector, destination)
            if connection.protocol is not None and not connection.protocol.should_close:
                return connection
            connection.close()

    async def _take(self, connector: GuardedConnector, destination: aiohttp.ClientRequest) -> Connection:
        """A connection from the pool, or a new one.

        Where the name led to when that failed is forgotten, as it may lead elsewhere by now; but not under somebody who
        is just being told: aiohttp does not expect that.
        """
        self._taking += 1
        try:
            return await connector.connect(destination, [], _NO_LIMITS)
        except (aiohttp.ClientError, OSError):
            self._name_failed = True
            raise
        finally:
            self._taking -= 1
            if self._name_failed and not self._taking:
                connector.clear_dns_cache()
                self._name_failed = False

    def _open(self) -> tuple[GuardedConnector, aiohttp.ClientRequest]:
        self._connector = GuardedConnector(connections=self._connections, allow_private=self._allow_private)
        # The connector wants a request to know where to and how; this one is never sent.
        self._destination = aiohttp.ClientRequest(
            "POST", self._url, loop=asyncio.get_running_loop(), ssl=True if self._tls is None else self._tls
        )
        return self._connector, self._destination


async def _exchange(connection: Connection, request: bytes, answer: HttpAnswer) -> bool:
    """Whether the connection is as it was before: the request is out and its answer was read to the end."""
    protocol, transport = connection.protocol, connection.transport
    if protocol is None or transport is None:
        raise aiohttp.ServerDisconnectedError
    protocol.set_response_params(read_until_eof=True, auto_decompress=False, read_bufsize=MAX_ANSWER_BYTES)
    transport.write(request)
    content = await _status(protocol, answer)
    while len(answer.body) < MAX_ANSWER_BYTES and not content.at_eof():
        answer.body += await content.read(MAX_ANSWER_BYTES - len(answer.body))
    return content.at_eof() and not transport.get_write_buffer_size()


async def _status(protocol: ResponseHandler, answer: HttpAnswer) -> aiohttp.StreamReader:
    """Read past informational answers to the one that counts."""
    while True:
        message, content = await protocol.read()
        if message.code >= 200 or message.code == 101:
            answer.status = message.code
            answer.retry_after = message.headers.get("Retry-After")
            return content


def _drop(connection: Connection) -> None:
    """Close without waiting for a peer that does not read to take what is still to be sent."""
    if connection.protocol is not None:
        connection.protocol.abort()
    connection.close()
