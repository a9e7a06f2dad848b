"""The cheapest callback receiver there is, for benchmarks: answers 204 and counts POSTs, in a process of its own.

``python -m tests.receivers.counting [--delay SECONDS] [--ages]`` prints its URL; after each line on standard input it
prints how many POSTs came so far, how many reports were in them, and when the last one came; and with `--ages` how old
the reports were by their `ce-time`, in seconds, half of them at most and 99 of 100 at most, since the line before. It
ends with its standard input.
"""

import argparse
import asyncio
import sys
import time
from datetime import datetime

ANSWER = b"HTTP/1.1 204 No Content\r\nDate: Thu, 01 Jan 2026 00:00:00 GMT\r\n\r\n"
LENGTH = b"content-length:"
TIME = b"ce-time: "


class Counter:
    posts = 0
    reports = 0
    last_at = 0.0

    def __init__(self) -> None:
        self.ages_seconds: list[float] = []

    def line(self) -> str:
        ages, self.ages_seconds = sorted(self.ages_seconds), []
        quantiles = [ages[min(len(ages) - 1, int(len(ages) * share))] if ages else 0.0 for share in (0.5, 0.99)]
        return " ".join(map(str, (self.posts, self.reports, self.last_at, *quantiles)))


class Receiver(asyncio.Protocol):
    """One connection; requests must have a Content-Length."""

    def __init__(self, counter: Counter, delay_seconds: float, ages: bool) -> None:
        self._counter = counter
        self._ages = ages
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
            if self._ages:
                self._counter.ages_seconds.append(self._counter.last_at - _time(head))
            del self._buffer[:whole]
            if self._delay_seconds:
                asyncio.get_running_loop().call_later(self._delay_seconds, self._answer)
            else:
                self._answer()

    def _answer(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(ANSWER)


def _time(head: bytes) -> float:
    """Of the event; both clocks are this machine's."""
    at = head.index(TIME) + len(TIME)
    return datetime.fromisoformat(head[at : head.index(b"\r\n", at)].decode().upper()).timestamp()


async def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--delay", type=float, default=0.0)
    parser.add_argument("--ages", action="store_true")
    arguments = parser.parse_args()
    counter = Counter()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Receiver(counter, arguments.delay, arguments.ages), "127.0.0.1", 0)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/hook", flush=True)
    while await loop.run_in_executor(None, sys.stdin.readline):
        print(counter.line(), flush=True)


if __name__ == "__main__":
    asyncio.run(main())
