"""The cheapest callback receiver there is, for benchmarks: answers 204 and counts POSTs, in a process of its own.

``python -m tests.receivers.counting [--delay SECONDS]`` prints its URL; after each line on standard input it prints how
many POSTs came so far, how many reports were in them, and when the last one came. It ends with its standard input.
"""

import argparse
import asyncio
import sys
import time

ANSWER = b"HTTP/1.1 204 No Content\r\nDate: Thu, 01 Jan 2026 00:00:00 GMT\r\n\r\n"
LENGTH = b"content-length:"


class Counter:
    posts = 0
    reports = 0
    last_at = 0.0


class Receiver(asyncio.Protocol):
    """One connection; requests must have a Content-Length."""

    def __init__(self, counter: Counter, delay_seconds: float) -> None:
        self._counter = counter
        self._delay_seconds = delay_seconds
        self._buffer = bytearray()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            head = bytes(self._buffer[:end]).lower()
            whole = end + 4 + int(head[head.index(LENGTH) + len(LENGTH) :].split(b"\r\n", 1)[0])
            if len(self._buffer) < whole:
                return
            self._counter.posts += 1
            self._counter.reports += self._buffer.count(b'"messageId"', end, whole)
            self._counter.last_at = time.time()
            del self._buffer[:whole]
            if self._delay_seconds:
                asyncio.get_running_loop().call_later(self._delay_seconds, self._answer)
            else:
                self._answer()

    def _answer(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(ANSWER)


async def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--delay", type=float, default=0.0)
    arguments = parser.parse_args()
    counter = Counter()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Receiver(counter, arguments.delay), "127.0.0.1", 0)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/hook", flush=True)
    while await loop.run_in_executor(None, sys.stdin.readline):
        print(counter.posts, counter.reports, counter.last_at, flush=True)


if __name__ == "__main__":
    asyncio.run(main())
