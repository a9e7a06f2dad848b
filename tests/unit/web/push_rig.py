"""A service that takes pushes, on a journal that does as it is told; and who pushes."""

from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp

from relay.config import JournalConfig, Secret
from relay.domain.report import GapCause, Stream
from relay.ports import Fetch, JournalFatal, Lease, Pressure
from relay.web import HttpService, Push, PushEndpoint, make_push_web

NOW_MS = 1_700_000_010_000
SMS = Stream("acme", "sms")
BODY = b'{"results":[{"messageId":"1"},{"messageId":"2"}]}'
BEARER = {"Authorization": "Bearer canary-push"}
LIMITS = JournalConfig(url="sqlite:////tmp/relay.db", max_unpublished=100, min_free_bytes=1000)
MOST_BYTES = 1000


class PushedJournal:
    """Keeps what is appended, or raises what it is told."""

    def __init__(self) -> None:
        self.fetches: list[tuple[Stream, Fetch]] = []
        self.pressure_now = Pressure(unpublished=0, free_bytes=10**9)
        self.error: Exception | None = None
        self.asked = 0
        self.wait: Callable[[], Awaitable[object]] | None = None

    async def append_fetch(self, lease: Lease | None, stream: Stream, fetch: Fetch, gap: GapCause | None) -> int:
        assert (lease, gap) == (None, None)
        if self.wait is not None:
            await self.wait()
        if self.error is not None:
            raise self.error
        self.fetches.append((stream, fetch))
        return len(self.fetches)

    async def pressure(self, stream: Stream) -> Pressure:
        self.asked += 1
        if isinstance(self.error, JournalFatal):
            raise self.error
        return self.pressure_now


class Rig:
    """A service that takes pushes for acme/sms, and who pushes."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self.journal = PushedJournal()
        self.woken: list[Stream] = []
        self.seconds = 1000.0
        self.push = Push(
            [PushEndpoint(SMS, Secret("canary-push"), "https://x.example", MOST_BYTES, 5.0)],
            journal=self.journal,
            limits=LIMITS,
            now_ms=lambda: NOW_MS,
            wake_unpack=self.woken.append,
            monotonic=lambda: self.seconds,
        )
        self.service = HttpService(make_push_web(self.push), host="127.0.0.1", port=0)
        self._session = session

    async def post(
        self, body: Any = BODY, path: str = "/push/acme/sms", headers: dict[str, str] = BEARER
    ) -> aiohttp.ClientResponse:
        url = f"http://127.0.0.1:{self.service.port}{path}"
        response = await self._session.post(url, data=body, headers={"Content-Type": "application/json", **headers})
        await response.read()
        return response

    def taken(self) -> list[bytes]:
        return [fetch.body for _, fetch in self.journal.fetches]


async def detail(response: aiohttp.ClientResponse) -> str:
    assert response.content_type == "application/problem+json"
    body = await response.json(content_type=None)
    assert body["status"] == response.status
    return str(body["detail"])
