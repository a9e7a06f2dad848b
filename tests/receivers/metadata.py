"""A machine with a metadata service, for a moment: run inside a network namespace of its own (`unshare --net`).

Gives the loopback interface addresses of metadata services, listens there, posts a callback to each URL in the
arguments, and prints as JSON, in its last line, what the relay said of each, and how often somebody connected. With
``--open`` a plain client goes there instead of the relay: that shows that the addresses are there to be reached.
"""

import asyncio
import json
import subprocess
import sys
import time

from relay.config import CallbackConfig
from relay.domain.report import Entry, EntryType, Origin, Stream
from relay.sinks.callback import HttpCallback

ADDRESSES = ("169.254.169.254/32", "100.100.100.200/32", "fd00:ec2::254/128", "10.1.2.3/32", "fd12:3456::1/128")
PORT = 80
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\nConnection: close\r\n\r\nsecret"


def set_up() -> None:
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    for address in ADDRESSES:
        subprocess.run(
            ["ip", "address", "add", address, "dev", "lo", *(["nodad"] if ":" in address else [])], check=True
        )


async def main(plain: bool, urls: list[str]) -> None:
    connections = 0

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        await reader.readuntil(b"\r\n\r\n")
        writer.write(ANSWER)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, None, PORT)
    async with server:
        told = [await (_connect(url) if plain else _post(url)) for url in urls]
    print(json.dumps({"told": told, "connections": connections}))


async def _post(url: str) -> list[object]:
    callback = HttpCallback(CallbackConfig(name="metadata", url=url, timeout_seconds=5))
    entry = Entry(1, EntryType.REPORT, "m-1", 1, Origin.POLL, 1_700_000_000_123, 3, b'{"messageId":"m-1"}')
    result = await callback.post(Stream("acme", "sms"), [entry], int(time.time() * 1000))
    await callback.close()
    return [result.status, result.error, result.answer.decode()]


async def _connect(url: str) -> list[object]:
    host = url.removeprefix("http://").strip("/[]")
    reader, writer = await asyncio.open_connection(host, PORT)
    writer.write(b"GET / HTTP/1.0\r\n\r\n")
    head = await reader.readline()
    writer.close()
    return [int(head.split()[1]), "", ""]


if __name__ == "__main__":
    set_up()
    asyncio.run(main("--open" in sys.argv, [argument for argument in sys.argv[1:] if argument.startswith("http")]))
