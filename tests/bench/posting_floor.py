"""The floor of posting: the same bodies to the same receiver by a bare aiohttp session, as one would write it.

No journal, no signature, no order, nothing recorded; as many at a time as the callback may have in flight.
"""

import asyncio
from collections.abc import Iterator, Sequence

import aiohttp

from tests.bench.journal_hot_path import value_of

HEADERS = {
    "Content-Type": "application/json",
    "webhook-id": "msg_9f86d081884c7d659a2feaa0c55ad015",
    "webhook-timestamp": "1700000000",
    "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    "ce-specversion": "1.0",
    "ce-id": "message-000000001",
    "ce-source": "/acme/sms",
    "ce-type": "com.infobip.sms.report.v1",
    "ce-time": "2023-11-14T22:13:20.000Z",
}


def bodies_of(reports: int, batch_size: int) -> list[bytes]:
    values = [value_of(f"message-{number:09}") for number in range(reports)]
    if batch_size == 1:
        return values
    return [b"[%b]" % b",".join(values[start : start + batch_size]) for start in range(0, reports, batch_size)]


async def post_all(url: str, bodies: Sequence[bytes], concurrency: int) -> None:
    """POST each once. Raises aiohttp.ClientError."""
    waiting = iter(bodies)
    connector = aiohttp.TCPConnector(limit=concurrency)
    async with aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar()) as session:
        await asyncio.gather(*(_post(session, url, waiting) for _ in range(concurrency)))


async def _post(session: aiohttp.ClientSession, url: str, waiting: Iterator[bytes]) -> None:
    for body in waiting:
        async with session.post(url, data=body, headers=HEADERS, allow_redirects=False) as answer:
            await answer.read()
            answer.raise_for_status()
