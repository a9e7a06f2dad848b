"""`/api/v1/quarantine`: what was no report, or was refused; looked at, retried, dropped.

The bytes come from outside and are never shown as what they claim to be: base64 in JSON, or a download.
"""

import asyncio
import base64
from collections.abc import Callable, Mapping
from typing import Any

import orjson
import structlog
from aiohttp import web

from relay.domain.decode_again import decode_again
from relay.domain.history import Quarantined, QuarantineFilter, Retried
from relay.domain.report import Decoded, Stream
from relay.observe import Telemetry
from relay.observe.redact import mask
from relay.ports import JournalError, JournalFatal, QuarantineJournal
from relay.web.problem import problem
from relay.web.query import WrongQuery, flag, text, whole
from relay.web.status import rfc3339

log = structlog.get_logger(__name__)

PATH = "/api/v1/quarantine"
PREVIEW_BYTES = 4096
DEFAULT_LIMIT = 100
MOST_LIMIT = 1000
MOST_ID = 2**63 - 1
"""What SQLite can compare; ids are smaller."""


class QuarantineRoutes:
    """The handlers. `base_urls` resolve relative addresses in what is retried, by stream."""

    def __init__(
        self,
        journal: QuarantineJournal,
        *,
        base_urls: Mapping[Stream, str],
        telemetry: Telemetry,
        now_ms: Callable[[], int],
        wake_subscribers: Callable[[Stream], None],
    ) -> None:
        self._journal = journal
        self._base_urls = base_urls
        self._telemetry = telemetry
        self._now_ms = now_ms
        self._wake_subscribers = wake_subscribers
        self._one_at_a_time = asyncio.Lock()
        """What is retried is in memory whole."""

    def add_to(self, application: web.Application) -> None:
        one = PATH + r"/{id:\d{1,19}}"
        application.router.add_get(PATH, _answering(self._list))
        application.router.add_get(one, _answering(self._show))
        application.router.add_delete(one, _answering(self._drop))
        application.router.add_get(one + "/bytes", _answering(self._bytes))
        application.router.add_post(one + "/retry", _answering(self._retry))

    async def _list(self, request: web.Request) -> web.Response:
        query = request.query
        wanted = QuarantineFilter(
            source=text(query, "source"),
            kind=text(query, "kind"),
            reason=text(query, "reason") or "",
            with_done=flag(query, "done"),
        )
        limit = whole(query, "limit", DEFAULT_LIMIT, 1, MOST_LIMIT)
        after_id = whole(query, "after", 0, 0, MOST_ID)
        found = await self._journal.list_quarantine(wanted, after_id=after_id, limit=limit)
        following = found[-1].id if len(found) == limit else None
        return _json({"entries": [_entry(one) for one in found], "next": following})

    async def _show(self, request: web.Request) -> web.Response:
        id_ = _id(request)
        most = whole(request.query, "bytes", PREVIEW_BYTES, 0, PREVIEW_BYTES * 16)
        found = await self._journal.find_quarantined(id_)
        raw = await self._journal.quarantined_bytes(id_)
        if found is None or raw is None:
            return _none(id_)
        return _json({**_entry(found), "bytes": base64.b64encode(raw[:most]).decode()})

    async def _bytes(self, request: web.Request) -> web.Response:
        id_ = _id(request)
        raw = await self._journal.quarantined_bytes(id_)
        if raw is None:
            return _none(id_)
        headers = {
            "Content-Disposition": f'attachment; filename="quarantine-{id_}.bin"',
            "Content-Security-Policy": "sandbox; default-src 'none'",
            "X-Content-Type-Options": "nosniff",
            "Cache-Control": "no-store",
        }
        return web.Response(body=raw, content_type="application/octet-stream", headers=headers)

    async def _retry(self, request: web.Request) -> web.Response:
        id_ = _id(request)
        async with self._one_at_a_time:
            found = await self._journal.find_quarantined(id_)
            if found is None:
                return _none(id_)
            decoded = await self._decoded(found)
            retried = await self._journal.retry_quarantined(id_, decoded, self._now_ms())
        if retried is None:
            return problem(409, f"quarantine entry {id_} is done: it was retried and has become reports")
        self._tell(found, retried)
        new, duplicates, revisions, quarantined = retried.recorded
        counts = {"new": new, "duplicates": duplicates, "revisions": revisions, "quarantined": quarantined}
        return _json(
            {
                "id": id_,
                "done": not retried.reason,
                **counts,
                "sent_again": retried.sent_again,
                "reason": retried.reason or None,
            }
        )

    async def _decoded(self, found: Quarantined) -> Decoded:
        """What its bytes hold now; nothing is decoded of a record that was refused."""
        raw = None if found.message_id else await self._journal.quarantined_bytes(found.id)
        if raw is None:
            return Decoded([], complete=False)
        base_url = self._base_urls.get(found.stream, "")
        return await asyncio.to_thread(decode_again, raw, kind=found.stream.kind, base_url=base_url)

    def _tell(self, found: Quarantined, retried: Retried) -> None:
        log.info(
            "quarantine entry retried",
            id=found.id,
            stream=str(found.stream),
            reason=retried.reason,
            sent_again=retried.sent_again,
            **retried.recorded._asdict(),
        )
        self._telemetry.fetch_unpacked(found.stream, found.origin, retried.recorded)
        self._wake_subscribers(found.stream)

    async def _drop(self, request: web.Request) -> web.Response:
        id_ = _id(request)
        if not await self._journal.drop_quarantined(id_):
            return _none(id_)
        log.info("quarantine entry dropped", id=id_)
        return _json({"id": id_, "dropped": True})


Handler = Callable[[web.Request], Any]


def _answering(handler: Handler) -> Handler:
    async def answer(request: web.Request) -> web.Response:
        try:
            response: web.Response = await handler(request)
        except WrongQuery as error:
            return problem(400, str(error))
        except (JournalError, JournalFatal) as error:
            log.warning("quarantine cannot be asked", error=str(error))
            return problem(503, mask(f"not now: {error}"), {"Retry-After": "5"})
        return response

    return answer


def _id(request: web.Request) -> int:
    return min(int(request.match_info["id"]), MOST_ID)


def _none(id_: int) -> web.Response:
    return problem(404, f"there is no quarantine entry {id_}; it was dropped, or expired after 30 days")


def _entry(found: Quarantined) -> dict[str, Any]:
    return {
        "id": found.id,
        "source": found.stream.source,
        "kind": found.stream.kind,
        "seq": found.seq,
        "reason": found.reason,
        "received_at": rfc3339(found.received_at_ms),
        "origin": found.origin.value,
        "fetch": found.fetch_id,
        "size": found.size_bytes,
        "refused_message_id": found.message_id or None,
        "done_at": rfc3339(found.done_at_ms),
    }


def _json(body: object) -> web.Response:
    headers = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
    return web.Response(body=orjson.dumps(body), content_type="application/json", headers=headers)
