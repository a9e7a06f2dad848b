"""A server on bare sockets: what it does with the bytes of a connection is written in the test."""

import asyncio
import socket
import struct
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Self

REPORTS = b'{"results":[{"messageId":"m-1"},{"messageId":"m-2"}]}'


def answer(body: bytes = REPORTS, *, status: str = "200 OK", length: int | None = None, headers: str = "") -> bytes:
    """A response with a Content-Length, by default the true one. `headers` are lines that end in CRLF."""
    promised = len(body) if length is None else length
    head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\n{headers}Content-Length: {promised}\r\n\r\n"
    return head.encode() + body


class Peer:
    """The server's end of one connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def request(self) -> str:
        """The head of the next request; raises IncompleteReadError when the client has gone."""
        return (await self._reader.readuntil(b"\r\n\r\n")).decode()

    async def send(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    async def gone(self) -> None:
        """Returns when the client has closed."""
        while await self._reader.read(65536):
            pass

    def close(self) -> None:
        self._writer.close()

    def reset(self) -> None:
        connection: socket.socket = self._writer.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.transport.abort()


Play = Callable[[Peer, str, int], Awaitable[None]]
"""What happens on a request: the connection, the request's head, its number on this server from 1."""


class RawServer:
    """Plays `play` for each request and keeps the heads of all requests."""

    def __init__(self, play: Play) -> None:
        self.requests: list[str] = []
        self.connections = 0
        self.errors: list[BaseException] = []
        self._play = play
        self._peers: set[Peer] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self

    async def __aexit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for peer in self._peers:
            peer.close()
        assert not self.errors

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        peer = Peer(reader, writer)
        self._peers.add(peer)
        self.connections += 1
        try:
            while True:
                head = await peer.request()
                self.requests.append(head)
                await self._play(peer, head, len(self.requests))
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            peer.close()
        except Exception as error:
            self.errors.append(error)


def playing(*steps: Callable[[Peer], Awaitable[None]]) -> Play:
    """One step for each request in turn; a request too many gets an empty collection."""

    async def play(peer: Peer, _head: str, number: int) -> None:
        if number <= len(steps):
            await steps[number - 1](peer)
        else:
            await peer.send(answer(b'{"results":[]}'))

    return play


def sending(data: bytes) -> Callable[[Peer], Awaitable[None]]:
    async def step(peer: Peer) -> None:
        await peer.send(data)

    return step


def closing_after(data: bytes = b"") -> Callable[[Peer], Awaitable[None]]:
    async def step(peer: Peer) -> None:
        if data:
            await peer.send(data)
        peer.close()

    return step


def resetting_after(data: bytes = b"") -> Callable[[Peer], Awaitable[None]]:
    async def step(peer: Peer) -> None:
        if data:
            await peer.send(data)
        peer.reset()

    return step
