"""The Infobip client: one destructive read, answered with all that came."""

import time
from collections.abc import Callable

from relay.config import SourceConfig
from relay.domain.retry import parse_retry_after
from relay.ports import Answer
from relay.sources.account import Account


def wall_clock_ms() -> int:
    return time.time_ns() // 1_000_000


class InfobipSource:
    """Reads the one-time endpoints of one account. Implements ports.ReportSource."""

    def __init__(self, source: SourceConfig, now_ms: Callable[[], int] = wall_clock_ms) -> None:
        self.account = Account(source)
        """Its connections, for what else is asked of the same account."""
        self._now_ms = now_ms

    async def fetch_reports(self, kind: str, *, limit: int | None) -> Answer:
        """One GET; never repeated. Every end of it is an Answer; only a kind that is not configured raises KeyError.

        The deadline ends the exchange and keeps what came by then. Whoever calls must not cancel a read in flight: what
        it would have brought is gone from the queue.
        """
        endpoint = self.account.endpoints[kind]
        requested_at_ms, started = self._now_ms(), time.monotonic()
        params = {} if limit is None else {"limit": str(limit)}
        outcome = await self.account.get(endpoint, endpoint.reports_path, params)
        received_at_ms = self._now_ms()
        return Answer(
            sent=outcome.sent,
            status=outcome.status,
            content_type=outcome.content_type,
            body=outcome.body,
            complete=outcome.complete,
            error=outcome.error,
            retry_after_seconds=parse_retry_after(outcome.retry_after, now_ms=received_at_ms),
            requested_at_ms=requested_at_ms,
            received_at_ms=received_at_ms,
            duration_seconds=time.monotonic() - started,
            failure=outcome.failure,
        )

    async def close(self) -> None:
        """Let go of connections; may be called twice."""
        await self.account.close()
