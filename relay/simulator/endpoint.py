"""One reports endpoint: check, draw a fault, take reports, answer, and write all of it to the ledger."""

import asyncio
import gzip
import zlib
from collections.abc import Callable, Sequence

from aiohttp import web

from relay.simulator.faults import CARRYING, Fault, Faults, What
from relay.simulator.ledger import Ended, Ledger, results_body, whole_reports
from relay.simulator.options import Credentials
from relay.simulator.queue import ReportQueue
from relay.simulator.refusals import Refused, asked_limit, authorized, error_body
from relay.simulator.traffic import Item
from relay.simulator.transmission import Transmission

JSON = {"Content-Type": "application/json;charset=UTF-8"}
PAGE = b"<!DOCTYPE html><html><head><title>Scheduled maintenance</title></head><body>Back soon.</body></html>"


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

    async def get(self, request: web.Request) -> web.StreamResponse:
        self.requests += 1
        try:
            limit = self._admit(request)
        except Refused as refused:
            return web.Response(body=error_body(refused.status, refused.text), status=refused.status, headers=JSON)
        fault = self._faults.draw(self.kind)
        response = self._ledger.next_response()
        items = self._take(request, limit) if fault is None or fault.takes_reports else []
        self._ledger.handed_out(response, self._now_ms(), self.kind, items)
        transmission = Transmission(request)
        body, compressed = self._body(request, items, fault)
        try:
            if fault is None:
                await transmission.send(body, headers=_headers(compressed=compressed))
            else:
                await self._fail(transmission, fault, body, compressed=compressed)
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
                    whole_reports=_whole(carried, body, transmission, compressed=compressed),
                    completed=transmission.completed,
                )
            )
        return transmission.finished()

    def _admit(self, request: web.Request) -> int:
        if not authorized(request.headers.get("Authorization"), self._credentials):
            raise Refused(401)
        return asked_limit(request.query)

    def _take(self, request: web.Request, limit: int) -> list[Item]:
        return self.queue.take(limit, bulk_id=request.query.get("bulkId"), message_id=request.query.get("messageId"))

    def _body(self, request: web.Request, items: Sequence[Item], fault: Fault | None) -> tuple[bytes, bool]:
        body = results_body(items)
        wanted = self._compress and "gzip" in request.headers.get("Accept-Encoding", "")
        if wanted or (fault is not None and fault.what is What.TRUNCATED_GZIP):
            return gzip.compress(body, compresslevel=1), True
        return body, False

    async def _fail(self, transmission: Transmission, fault: Fault, body: bytes, *, compressed: bool) -> None:
        headers = _headers(compressed=compressed)
        cut_bytes = max(1, min(int(len(body) * fault.cut), len(body) - 1))
        match fault.what:
            case What.DELAY:
                await asyncio.sleep(fault.seconds)
                await transmission.send(body, headers=headers)
            case What.HANG:
                await transmission.hang(self._stopping)
                transmission.close()
            case What.STATUS | What.HTML | What.ANSWER:
                status, content_type, content = _instead(fault)
                await transmission.send(content, status=status, headers=_instead_headers(fault, content_type))
            case What.TRUNCATED_GZIP:
                await transmission.send(body[:cut_bytes], headers=headers)
            case What.RESET_IN_BODY | What.CLOSE_IN_BODY:
                await transmission.send(body, headers=headers, cut_bytes=cut_bytes)
                await transmission.wait_until_sent()
                _end(transmission, fault)
            case What.RESET_BEFORE | What.CLOSE_BEFORE:
                _end(transmission, fault)


def _end(transmission: Transmission, fault: Fault) -> None:
    if fault.what in (What.RESET_IN_BODY, What.RESET_BEFORE):
        transmission.reset()
    else:
        transmission.close()


def _headers(*, compressed: bool) -> dict[str, str]:
    return {**JSON, "Content-Encoding": "gzip"} if compressed else JSON


def _instead(fault: Fault) -> tuple[int, str, bytes]:
    """Status, content type and body of an answer that is not reports."""
    match fault.what:
        case What.HTML:
            return 200, "text/html", PAGE
        case What.ANSWER:
            return fault.status, fault.content_type, fault.body.encode()
        case _:
            return fault.status, JSON["Content-Type"], error_body(fault.status)


def _instead_headers(fault: Fault, content_type: str) -> dict[str, str]:
    optional = {"Retry-After": fault.retry_after, "Location": fault.location}
    return {"Content-Type": content_type, **{name: value for name, value in optional.items() if value is not None}}


def _whole(items: Sequence[Item], body: bytes, transmission: Transmission, *, compressed: bool) -> int:
    if not items or transmission.sent_bytes >= len(body):
        return len(items) if transmission.sent_bytes else 0
    sent = body[: transmission.sent_bytes]
    readable = len(zlib.decompressobj(31).decompress(sent)) if compressed else len(sent)
    return whole_reports(items, readable)
