"""Asking for one span of the logs at a time, and learning how much an answer can hold."""

from typing import NamedTuple

import structlog

from relay.domain.log_rows import LogRow, log_rows
from relay.domain.log_spans import BOUNDS_MS, Compared, Hole, Page, Span, SpanVerdict, Split, judge_span, next_span
from relay.domain.report import Decoded, Rejected, Stream
from relay.ports import LogQuery, LogSource, LogsRefused

log = structlog.get_logger(__name__)

BAD_REQUEST = 400


class Examined(NamedTuple):
    """One answer: the rows of a span, and what they say about it."""

    span: Span
    rows: list[LogRow]
    verdict: SpanVerdict


class LogWalker:
    """Walks through a stream's logs downwards. It keeps how wide the next span should be, nothing else."""

    def __init__(self, stream: Stream, logs: LogSource) -> None:
        self._stream = stream
        self._logs = logs
        self._page = Page()
        self._width_ms: int | None = None

    @property
    def width_ms(self) -> int | None:
        """Of the next span; None: all that is left."""
        return self._width_ms

    async def examine(self, position_ms: int, floor_ms: int) -> Examined:
        """The rows below `position_ms`. If the verdict is Split, ask again. Raises LogsUnavailable."""
        span = next_span(position_ms, floor_ms, self._width_ms)
        decoded = await self._fetch(span)
        rows = log_rows(decoded.entries)
        self._tell_rejected(decoded)
        sent_ms = [row.sent_ms for row in rows] + [None] * (len(decoded.entries) - len(rows))
        self._page = self._page.seen(len(sent_ms))
        verdict = judge_span(span, sent_ms, self._page)
        match verdict:
            case Split(width_ms) | Compared(width_ms):
                self._width_ms = width_ms
            case Hole():
                log.warning("a millisecond of the logs holds more rows than can be had", **self._named(span))
        return Examined(span, rows, verdict)

    async def _fetch(self, span: Span) -> Decoded:
        query = LogQuery(
            sent_since_ms=span.since_ms - BOUNDS_MS, sent_until_ms=span.until_ms + BOUNDS_MS, limit=self._page.limit
        )
        try:
            return await self._logs.fetch_logs(self._stream.kind, query)
        except LogsRefused as refused:
            if refused.status != BAD_REQUEST or query.limit is None:
                raise
        log.info("the logs endpoint refuses the limit; asking without", stream=str(self._stream), limit=query.limit)
        self._page = Page(limit=None)
        return await self._logs.fetch_logs(self._stream.kind, query._replace(limit=None))

    def _tell_rejected(self, decoded: Decoded) -> None:
        reasons = [entry.reason for entry in decoded.entries if isinstance(entry, Rejected)]
        if reasons:
            log.warning("rows of the logs are unusable", stream=str(self._stream), count=len(reasons), first=reasons[0])

    def _named(self, span: Span) -> dict[str, object]:
        return {"stream": str(self._stream), "sent_ms": span.since_ms}
