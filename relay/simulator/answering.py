"""Answering one request with a body, or with what a fault makes of it."""

import asyncio
import gzip
from collections.abc import Mapping

from aiohttp import web

from relay.simulator.faults import Fault, What
from relay.simulator.refusals import Refused, error_body
from relay.simulator.transmission import Transmission

JSON = {"Content-Type": "application/json;charset=UTF-8"}
WAVE = {"Content-Type": "audio/wav"}
PAGE = b"<!DOCTYPE html><html><head><title>Scheduled maintenance</title></head><body>Back soon.</body></html>"


def refusal(refused: Refused) -> web.Response:
    """The API's own error answer."""
    headers = JSON if refused.retry_after is None else {**JSON, "Retry-After": refused.retry_after}
    return web.Response(body=error_body(refused.status, refused.text), status=refused.status, headers=headers)


def encoded(body: bytes, request: web.Request, fault: Fault | None, *, compress: bool) -> tuple[bytes, bool]:
    """The body as it travels, and whether it is gzip."""
    wanted = compress and "gzip" in request.headers.get("Accept-Encoding", "")
    if wanted or (fault is not None and fault.what is What.TRUNCATED_GZIP):
        return gzip.compress(body, compresslevel=1), True
    return body, False


async def answer(
    transmission: Transmission,
    fault: Fault | None,
    body: bytes,
    *,
    compressed: bool,
    stopping: asyncio.Event,
    headers: Mapping[str, str] = JSON,
) -> None:
    """Send the body, or what the fault leaves of it; `stopping` ends what hangs."""
    sent = {**headers, "Content-Encoding": "gzip"} if compressed else dict(headers)
    if fault is None:
        await transmission.send(body, headers=sent)
    else:
        await _fail(transmission, fault, body, sent, stopping)


async def _fail(
    transmission: Transmission, fault: Fault, body: bytes, headers: dict[str, str], stopping: asyncio.Event
) -> None:
    cut_bytes = max(1, min(int(len(body) * fault.cut), len(body) - 1))
    match fault.what:
        case What.DELAY:
            await asyncio.sleep(fault.seconds)
            await transmission.send(body, headers=headers)
        case What.DRIP:
            await transmission.send(body, headers=headers, seconds=fault.seconds)
        case What.HANG:
            await transmission.hang(stopping)
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
