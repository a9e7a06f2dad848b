"""One reports endpoint: check, draw a fault, take reports, answer, and write all of it to the ledger."""

import asyncio
import zlib
from collections.abc import Awaitable, Callable, Sequence

from aiohttp import web

from relay.simulator.answering import answer, encoded, refusal
from relay.simulator.faults import CARRYING, Faults
from relay.simulator.generations import Shape, reshaped
from relay.simulator.ledger import Ended, Ledger
from relay.simulator.options import Credentials
from relay.simulator.queue import ReportQueue
from relay.simulator.refusals import Refused, asked_limit, authorized
from relay.simulator.rendering import REPORTS_XML, Rendering, asked_for
from relay.simulator.traffic import Item
from relay.simulator.transmission import Transmission


class ReportsEndpoint:
    """GET of one kind's reports. Counts its requests, also the refused ones."""

    def __init__(
        self,
        kind: str,
        queue: ReportQueue,
        *,
        faults: Faults,
        ledger: Ledger,
        credentials: Credentials,
        compress: bool,
        now_ms: Callable[[], int],
        stopping: asyncio.Event,
    ) -> None:
        self.kind = kind
        self.queue = queue
        self.requests = 0
        self._faults = faults
        self._ledger = ledger
        self._credentials = credentials
        self._compress = compress
        self._now_ms = now_ms
        self._stopping = stopping

    def shaped(self, shape: Shape) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        """A handler that answers from the same queue, each report in that shape."""

        async def get(request: web.Request) -> web.StreamResponse:
            return await self.get(request, shape)

        return get

    async def get(self, request: web.Request, shape: Shape | None = None) -> web.StreamResponse:
        self.requests += 1
        try:
            limit = self._admit(request)
        except Refused as refused:
            return refusal(refused)
        fault = self._faults.draw(self.kind)
        response = self._ledger.next_response()
        items = self._take(request, limit) if fault is None or fault.takes_reports else []
        rendering = asked_for(request, REPORTS_XML)
        items = rendering.items(reshaped(items, shape))
        self._ledger.handed_out(response, self._now_ms(), self.kind, items)
        transmission = Transmission(request)
        whole = rendering.body([item.body for item in items])
        body, compressed = encoded(whole, request, fault, compress=self._compress)
        headers = {"Content-Type": rendering.content_type}
        try:
            await answer(transmission, fault, body, compressed=compressed, stopping=self._stopping, headers=headers)
        finally:
            carried = items if fault is None or fault.what in CARRYING else []
            self._ledger.ended(
                Ended(
                    response=response,
                    at_ms=self._now_ms(),
                    kind=self.kind,
                    status=transmission.status,
                    fault=fault and fault.what,
                    body_bytes=transmission.body_bytes,
                    sent_bytes=transmission.sent_bytes,
                    whole_reports=_whole(rendering, carried, body, transmission, compressed=compressed),
                    completed=transmission.completed,
                )
            )
        return transmission.finished()

    def _admit(self, request: web.Request) -> int:
        if not authorized(request.headers.get("Authorization"), self._credentials):
            raise Refused(401)
        return asked_limit(request.query)

    def _take(self, request: web.Request, limit: int) -> Sequence[Item]:
        return self.queue.take(limit, bulk_id=request.query.get("bulkId"), message_id=request.query.get("messageId"))


def _whole(
    rendering: Rendering, items: Sequence[Item], body: bytes, transmission: Transmission, *, compressed: bool
) -> int:
    if not items or transmission.sent_bytes >= len(body):
        return len(items) if transmission.sent_bytes else 0
    sent = body[: transmission.sent_bytes]
    readable = len(zlib.decompressobj(31).decompress(sent)) if compressed else len(sent)
    return rendering.whole_reports(items, readable)
