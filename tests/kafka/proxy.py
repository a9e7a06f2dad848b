"""A TCP proxy in front of one broker that reads the frames of Kafka's protocol: it can lose requests or answers by API.

The broker's PROXIED listener names the proxy's port, so clients that begin here stay here.
"""

import asyncio
import contextlib
import struct
from collections.abc import Awaitable, Callable, Collection
from typing import NamedTuple, Self

from tests.kafka.broker import HOST, Broker

PRODUCE, FETCH, METADATA, OFFSET_FETCH = 0, 1, 3, 9
INIT_PRODUCER_ID, ADD_PARTITIONS_TO_TXN, ADD_OFFSETS_TO_TXN, END_TXN, TXN_OFFSET_COMMIT = 22, 24, 25, 26, 28


class Request(NamedTuple):
    api_key: int
    frame: bytes
    """As sent, with its length before it."""


class KafkaProxy:
    """`lose_requests`: APIs whose requests never reach the broker; `lose_answers`: the broker acts, nobody hears.

    `silent`: nothing passes either way, connections stay open; `mute`: requests pass, no answer does. `delay_seconds`:
    so late comes every frame. `seen` has all requests, or those of the APIs in `remembered`.
    """

    def __init__(self, broker: Broker, *, remembered: Collection[int] | None = None) -> None:
        self.lose_requests: set[int] = set()
        self.lose_answers: set[int] = set()
        self.lost = 0
        """Requests and answers that did not arrive by these two."""
        self.silent = False
        self.mute = False
        self.delay_seconds = 0.0
        self.seen: list[Request] = []
        self._remembered = remembered
        self._listen_port = broker.ports["PROXY"]
        self._target_port = broker.ports["PROXIED"]
        self._server: asyncio.Server | None = None
        self._links: set[asyncio.Task[None]] = set()

    @property
    def bootstrap_servers(self) -> str:
        return f"{HOST}:{self._listen_port}"

    def count(self, api_key: int) -> int:
        """How many requests of that API clients have sent."""
        return sum(request.api_key == api_key for request in self.seen)

    def last(self, api_key: int) -> Request:
        return [request for request in self.seen if request.api_key == api_key][-1]

    async def send_copy(self, request: Request) -> bytes:
        """Send a request once more over a connection of its own, as a network may; the answer without its length."""
        reader, writer = await asyncio.open_connection(HOST, self._target_port)
        try:
            writer.write(request.frame)
            return await _frame(reader)
        finally:
            writer.close()
            await writer.wait_closed()

    def cut(self) -> int:
        """Break all connections; how many."""
        for link in self._links:
            link.cancel()
        return len(self._links)

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, HOST, self._listen_port)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for link in self._links:
            link.cancel()
        if self._links:
            await asyncio.wait(self._links)
        await self._server.wait_closed()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._links.add(task)
        task.add_done_callback(self._links.discard)
        try:
            with contextlib.suppress(asyncio.CancelledError, OSError):  # cut, or the broker is down
                await self._link(reader, writer)
        finally:
            writer.transport.abort()

    async def _link(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream, downstream = await asyncio.open_connection(HOST, self._target_port)
        api_keys: dict[int, int] = {}

        async def to_broker() -> None:
            frame = await _frame(reader)
            api_key, _, correlation_id = struct.unpack(">hhi", frame[:8])
            sent = Request(api_key, struct.pack(">i", len(frame)) + frame)
            if self._remembered is None or api_key in self._remembered:
                self.seen.append(sent)
            api_keys[correlation_id] = api_key
            if await self._passes(api_key, self.lose_requests):
                downstream.write(sent.frame)
                await downstream.drain()

        async def to_client() -> None:
            frame = await _frame(upstream)
            (correlation_id,) = struct.unpack(">i", frame[:4])
            if await self._passes(api_keys.pop(correlation_id, None), self.lose_answers) and not self.mute:
                writer.write(struct.pack(">i", len(frame)) + frame)
                await writer.drain()

        ways = [asyncio.create_task(_repeat(way)) for way in (to_broker, to_client)]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            for end in (writer, downstream):
                end.transport.abort()

    async def _passes(self, api_key: int | None, losing: Collection[int]) -> bool:
        if self.delay_seconds:
            await asyncio.sleep(self.delay_seconds)
        if api_key in losing:
            self.lost += 1
            return False
        return not self.silent


async def _repeat(way: Callable[[], Awaitable[None]]) -> None:
    with contextlib.suppress(OSError, asyncio.IncompleteReadError):
        while True:
            await way()


async def _frame(reader: asyncio.StreamReader) -> bytes:
    (length,) = struct.unpack(">i", await reader.readexactly(4))
    return await reader.readexactly(length)
