"""A server for tests that answers with given bytes, whatever they are, and counts requests."""

import asyncio
import contextlib
from typing import Self


class RawServer:
    """Each request is answered by the next of `answers`, verbatim. b"" and HTTP/1.0 answers close.

    `endless`: after an answer these bytes follow, again and again, until the other side hangs up.
    """

    def __init__(self, *answers: bytes, reads_bodies: bool = True, endless: bytes = b"") -> None:
        self.requests = 0
        self.connections = 0
        self.url = ""
        self.bytes_taken = 0
        """Of what is endless: how much the other side, or the sockets between, took."""
        self.hung_up = asyncio.Event()
        """The other side did not want any more of what is endless."""
        self._answers = iter(answers)
        self._reads_bodies = reads_bodies
        self._endless = endless
        self._writers: list[asyncio.StreamWriter] = []

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=1 << 16)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for writer in self._writers:
            writer.transport.abort()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._writers.append(writer)
        with contextlib.suppress(asyncio.IncompleteReadError, asyncio.LimitOverrunError, ConnectionError):
            while await self._answer(reader, writer):
                pass
        writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = await reader.readuntil(b"\r\n\r\n")
        if self._reads_bodies:
            await reader.readexactly(int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0]))
        self.requests += 1
        answer = next(self._answers, b"")
        writer.write(answer)
        await writer.drain()
        if self._endless:
            await self._flood(writer)
        return bool(answer) and not answer.startswith(b"HTTP/1.0")

    async def _flood(self, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                writer.write(self._endless)
                await writer.drain()
                self.bytes_taken += len(self._endless)
                await asyncio.sleep(0)
        finally:
            self.hung_up.set()
