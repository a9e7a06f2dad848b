"""One logs endpoint: repeatable, filtered, the latest rows, the last 48 hours, 429 for those who ask too often."""

import asyncio
import re
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime

from aiohttp import web

from relay.simulator.answering import answer, encoded, refusal
from relay.simulator.faults import LOGS, Faults
from relay.simulator.generations import Shape, in_shape
from relay.simulator.log_rows import LogQuery, LogRows
from relay.simulator.options import Credentials, LogsOptions
from relay.simulator.refusals import Refused, asked_limit, authorized
from relay.simulator.rendering import LOGS_XML, asked_for
from relay.simulator.transmission import Transmission

MINUTE_SECONDS = 60.0
LATEST_MS = 1 << 50
MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:?\d\d)", re.ASCII)


class Allowance:
    """So many requests in any minute; None: no limit. Refused ones do not count."""

    def __init__(self, per_minute: int | None, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._per_minute = per_minute
        self._monotonic = monotonic
        self._taken: deque[float] = deque()

    def take(self) -> None:
        """Raises Refused (429) with how long to wait."""
        if self._per_minute is None:
            return
        now = self._monotonic()
        while self._taken and self._taken[0] <= now - MINUTE_SECONDS:
            self._taken.popleft()
        if len(self._taken) >= self._per_minute:
            wait_seconds = self._taken[0] + MINUTE_SECONDS - now
            raise Refused(429, retry_after=str(int(wait_seconds) + 1))
        self._taken.append(now)


class LogsEndpoint:
    """GET of one kind's logs. Counts its requests, also the refused ones."""

    def __init__(
        self,
        rows: LogRows,
        *,
        options: LogsOptions,
        allowance: Allowance,
        faults: Faults,
        credentials: Credentials,
        compress: bool,
        now_ms: Callable[[], int],
        stopping: asyncio.Event,
    ) -> None:
        self.rows = rows
        self.requests = 0
        self.refused = 0
        self._options = options
        self._allowance = allowance
        self._faults = faults
        self._credentials = credentials
        self._compress = compress
        self._now_ms = now_ms
        self._stopping = stopping

    def shaped(self, shape: Shape) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        """A handler that answers with the same rows in that shape."""

        async def get(request: web.Request) -> web.StreamResponse:
            return await self.get(request, shape)

        return get

    async def get(self, request: web.Request, shape: Shape | None = None) -> web.StreamResponse:
        self.requests += 1
        try:
            query = self._admit(request)
        except Refused as refused:
            self.refused += 1
            return refusal(refused)
        fault = self._faults.draw(LOGS)
        transmission = Transmission(request)
        rows = self.rows.find(query)
        rendering = asked_for(request, LOGS_XML)
        found = [rendering.report(row if shape is None else in_shape(row, shape)) for row in rows]
        body, compressed = encoded(rendering.body(found), request, fault, compress=self._compress)
        headers = {"Content-Type": rendering.content_type}
        await answer(transmission, fault, body, compressed=compressed, stopping=self._stopping, headers=headers)
        return transmission.finished()

    def _admit(self, request: web.Request) -> LogQuery:
        if not authorized(request.headers.get("Authorization"), self._credentials):
            raise Refused(401)
        self._allowance.take()
        oldest_ms = self._now_ms() - int(self._options.retention_seconds * 1000)
        return asked_logs(request.query, oldest_ms=oldest_ms, most=self._options.most)


def asked_logs(query: Mapping[str, str], *, oldest_ms: int, most: int | None) -> LogQuery:
    """Raises Refused (400) for a date that is none, or a bad limit. Newer generations call filters otherwise."""
    limit = asked_limit(query)
    bulk_ids = query.get("bulkId", "")
    return LogQuery(
        since_ms=max(oldest_ms, _asked_ms(query, "sentSince", 0)),
        until_ms=_asked_ms(query, "sentUntil", LATEST_MS),
        limit=limit if most is None else min(limit, most),
        sender=query.get("from", query.get("sender")),
        to=query.get("to", query.get("destination")),
        bulk_ids=frozenset(filter(None, bulk_ids.split(","))),
        message_id=query.get("messageId"),
        general_status=query.get("generalStatus"),
        mcc=query.get("mcc"),
        mnc=query.get("mnc"),
    )


def _asked_ms(query: Mapping[str, str], name: str, default_ms: int) -> int:
    """A date that was encoded twice, or whose plus became a blank, is no date."""
    given = query.get(name)
    if given is None:
        return default_ms
    try:
        moment = datetime.fromisoformat(given) if MOMENT.fullmatch(given) else None
    except ValueError:
        moment = None
    if moment is None:
        raise Refused(400, f"{name} is no date with an offset")
    return round(moment.timestamp() * 1000)
