"""The logs client: reads that may be repeated, and are, at the pace that the configuration allows."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

import structlog
from aiolimiter import AsyncLimiter
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, stop_after_attempt

from relay.domain.decode import decode_body
from relay.domain.report import Decoded
from relay.domain.retry import equal_jitter_seconds, honoured_seconds, parse_retry_after
from relay.ports import LogQuery, LogsRefused, LogsUnavailable
from relay.sources.account import Account
from relay.sources.exchange import Outcome
from relay.sources.infobip import wall_clock_ms

log = structlog.get_logger(__name__)

ATTEMPTS = 4
RETRY_AFTER_CAP_SECONDS = 3600.0
LONGEST_WAIT_SECONDS = 60.0
"""Within one call; whoever asks to wait longer ends the call, and it is made again later."""
FIRST_WAIT_SECONDS = 0.5
THREAD_ABOVE_BYTES = 1 << 16
EMPTY = Decoded([], complete=True)


class InfobipLogs:
    """Reads the logs endpoints of one account. Implements ports.LogSource.

    All requests of the source share one allowance. They are spread evenly over the minute: a burst is what the API
    answers with 429.
    """

    def __init__(
        self,
        account: Account,
        *,
        requests_per_minute: int,
        now_ms: Callable[[], int] = wall_clock_ms,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._account = account
        self._limiter = AsyncLimiter(1, 60 / requests_per_minute)
        self._now_ms = now_ms
        self._sleep = sleep

    async def fetch_logs(self, kind: str, query: LogQuery) -> Decoded:
        """The rows of one whole answer, as reports. May be cancelled at any time.

        :raises LogsUnavailable: no whole answer came although asked several times, or the API asks to wait for long.
        :raises LogsRefused: the API does not answer such a request.
        :raises KeyError: the kind is not configured.
        """
        retrying = AsyncRetrying(
            stop=stop_after_attempt(ATTEMPTS),
            wait=_wait_seconds,
            retry=retry_if_exception(_may_succeed_soon),
            before_sleep=lambda state: _tell(kind, state),
            sleep=self._sleep,
            reraise=True,
        )
        return await retrying(self._ask, kind, query)

    async def _ask(self, kind: str, query: LogQuery) -> Decoded:
        endpoint = self._account.endpoints[kind]
        path = endpoint.known_logs_path
        if path is None:
            raise LogsRefused(f"kind {kind} has no logs_path", 404)
        await self._limiter.acquire()
        outcome = await self._account.get(endpoint, path, parameters(query))
        self._check(outcome)
        if outcome.status == 204:
            return EMPTY
        decoded = await self._decode(kind, outcome.body)
        if not decoded.complete:
            raise LogsUnavailable(f"the answer is no collection of logs: {decoded.reason}")
        return decoded

    def _check(self, outcome: Outcome) -> None:
        """Raise unless a whole answer came."""
        status = outcome.status
        if status in {200, 204} and outcome.complete:
            return
        if status is None or status in {200, 204}:
            raise LogsUnavailable(outcome.error or "the answer is not whole")
        if status in {408, 429} or status >= 500:
            asked = parse_retry_after(outcome.retry_after, now_ms=self._now_ms())
            honoured = honoured_seconds(asked, cap_seconds=RETRY_AFTER_CAP_SECONDS)
            raise LogsUnavailable(f"the logs endpoint answered {status}", honoured)
        raise LogsRefused(f"the logs endpoint answered {status}", status)

    async def _decode(self, kind: str, body: bytes) -> Decoded:
        def decode() -> Decoded:
            return decode_body(body, kind=kind, base_url=self._account.base_url, complete=True)

        return await asyncio.to_thread(decode) if len(body) > THREAD_ABOVE_BYTES else decode()


def parameters(query: LogQuery) -> dict[str, str]:
    """The query string's parts, not yet encoded: that is done once, by the client session."""
    given = {
        "from": query.sender,
        "to": query.to,
        "bulkId": ",".join(query.bulk_ids) or None,
        "messageId": query.message_id,
        "generalStatus": query.general_status,
        "sentSince": timestamp(query.sent_since_ms),
        "sentUntil": timestamp(query.sent_until_ms),
        "limit": query.limit,
        "mcc": query.mcc,
        "mnc": query.mnc,
    }
    return {name: str(value) for name, value in given.items() if value is not None}


def timestamp(at_ms: int | None) -> str | None:
    """`2015-02-22T16:42:05.390+00:00`"""
    if at_ms is None:
        return None
    return f"{datetime.fromtimestamp(at_ms // 1000, UTC):%Y-%m-%dT%H:%M:%S}.{at_ms % 1000:03d}+00:00"


def _may_succeed_soon(error: BaseException) -> bool:
    if not isinstance(error, LogsUnavailable) or isinstance(error, LogsRefused):
        return False
    return (error.retry_after_seconds or 0) <= LONGEST_WAIT_SECONDS


def _wait_seconds(state: RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome is not None else None
    if isinstance(error, LogsUnavailable) and error.retry_after_seconds is not None:
        return error.retry_after_seconds
    return equal_jitter_seconds(
        state.attempt_number,
        initial_seconds=FIRST_WAIT_SECONDS,
        max_seconds=LONGEST_WAIT_SECONDS,
        random=random.random,
    )


def _tell(kind: str, state: RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome is not None else None
    log.info("logs are asked for again", kind=kind, attempt=state.attempt_number, reason=str(error))
