"""Sending one response and knowing how much of it can have left."""

import asyncio
import socket
import struct

from aiohttp import web

SLICE_BYTES = 256 * 1024
DROPS = 40
CONNECTION_CHECK_SECONDS = 0.05
RESET_LINGER = struct.pack("ii", 1, 0)


class Transmission:
    """One response to one request. Counts what was given to the socket; a broken connection is no error here."""

    def __init__(self, request: web.Request) -> None:
        self._request = request
        self.status: int | None = None
        self.body_bytes = 0
        """Of the whole body, as promised by Content-Length."""
        self.sent_bytes = 0
        """Of the body, at most: the slice in the kernel's hands when the connection broke counts whole."""
        self.completed = False
        self._response: web.StreamResponse | None = None

    async def send(
        self,
        body: bytes,
        *,
        status: int = 200,
        headers: dict[str, str],
        cut_bytes: int | None = None,
        seconds: float = 0.0,
    ) -> None:
        """Status line, headers and the body, or its first `cut_bytes` under a Content-Length of the whole; the body in
        so many seconds."""
        response = web.StreamResponse(status=status, headers=headers)
        response.content_length = len(body)
        self._response = response
        self.body_bytes = len(body)
        end = len(body) if cut_bytes is None else cut_bytes
        if (transport := self._request.transport) is not None:
            transport.set_write_buffer_limits(high=0)  # drained means: all in the kernel's hands
        try:
            await response.prepare(self._request)
            self.status = status
            await self._write(response, memoryview(body)[:end], seconds)
            if end == len(body):
                await response.write_eof()
                await self.wait_until_sent()
                self.completed = self.connected
        except ConnectionError:
            return

    async def _write(self, response: web.StreamResponse, body: memoryview, seconds: float) -> None:
        slice_bytes = max(1, len(body) // DROPS) if seconds else SLICE_BYTES
        for start in range(0, len(body), slice_bytes):
            if seconds:
                await asyncio.sleep(seconds / DROPS)
            piece = body[start : start + slice_bytes]
            self.sent_bytes += len(piece)
            await response.write(piece)

    async def wait_until_sent(self) -> None:
        """What was written is in the kernel's hands, or the connection is gone."""
        while (transport := self._request.transport) is not None and transport.get_write_buffer_size():  # noqa: ASYNC110 - no event tells
            await asyncio.sleep(0.001)

    async def hang(self, stopping: asyncio.Event) -> None:
        """Say nothing until the client has gone, or the simulator stops."""
        while self.connected and not stopping.is_set():  # noqa: ASYNC110 - no event tells
            await asyncio.sleep(CONNECTION_CHECK_SECONDS)

    @property
    def connected(self) -> bool:
        transport = self._request.transport
        return transport is not None and not transport.is_closing()

    def reset(self) -> None:
        """End the connection with a TCP reset."""
        transport = self._request.transport
        if transport is None:
            return
        if (connection := transport.get_extra_info("socket")) is not None:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_LINGER)
        transport.abort()

    def close(self) -> None:
        """End the connection in an orderly way."""
        if (transport := self._request.transport) is not None:
            transport.close()

    def finished(self) -> web.StreamResponse:
        """What the handler returns; on a dead connection aiohttp sends nothing more."""
        return self._response or web.Response()
