"""POSTs to one URL over kept-alive connections: aiohttp's connector and parser without its client session.

A session costs several times what this does: no redirects to follow, no cookies, proxies, .netrc or authentication to
look for, nothing to repeat and nothing to decompress. What remains is what a callback needs; what is not there cannot
surprise. Connecting (names, several addresses, TLS) and parsing are aiohttp's.
"""

import asyncio
import ssl

import aiohttp
from yarl import URL

from relay.sinks.connections import Connections, Line
from relay.sinks.connector import MAX_ANSWER_BYTES, BoundedHandler
from relay.sinks.deadlines import Deadlines


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
        self._connections = Connections(url, connections=connections, allow_private=allow_private, tls=tls)
        self._deadlines = Deadlines(timeout_seconds)
        self._timeout_seconds = timeout_seconds
        self._request_line = f"POST {url.raw_path_qs} HTTP/1.1\r\n"

    async def post(self, headers: str, body: bytes, answer: HttpAnswer) -> None:
        """Send one POST, once, and fill `answer`. `headers`: lines with their CRLF, without Content-Length.

        Raises what aiohttp and the system raise (aiohttp.ClientError, HttpProcessingError, OSError, TimeoutError).
        """
        request = f"{self._request_line}{headers}Content-Length: {len(body)}\r\n\r\n".encode() + body
        at = asyncio.get_running_loop().time()
        line = self._connections.take_rested(at)
        if line is None:
            async with asyncio.timeout_at(at + self._timeout_seconds):
                await self._exchange(await self._connections.take(), request, answer)
            return
        self._deadlines.begin(line.handler, at)
        try:
            await self._exchange(line, request, answer)
        finally:
            self._deadlines.end(line.handler)

    async def close(self) -> None:
        """Close all connections; idempotent."""
        self._deadlines.close()
        await self._connections.close()

    async def _exchange(self, line: Line, request: bytes, answer: HttpAnswer) -> None:
        try:
            reusable = await _exchange(line.handler, request, answer)
        except BaseException:
            line.drop()
            raise
        if reusable:
            self._connections.give_back(line, asyncio.get_running_loop().time())
        else:
            line.drop()


async def _exchange(handler: BoundedHandler, request: bytes, answer: HttpAnswer) -> bool:
    """Whether the connection is as it was before: the request is out and its answer was read to the end."""
    transport = handler.transport
    if transport is None:
        raise aiohttp.ServerDisconnectedError
    handler.begin_answer()
    transport.write(request)
    message, content = await handler.read()
    while message.code < 200 and message.code != 101:  # informational: the one that counts comes later
        message, content = await handler.read()
    answer.status = message.code
    answer.retry_after = message.headers.get("Retry-After")
    while len(answer.body) < MAX_ANSWER_BYTES and not content.at_eof():
        answer.body += await content.read(MAX_ANSWER_BYTES - len(answer.body))
    return content.at_eof() and not transport.get_write_buffer_size()
