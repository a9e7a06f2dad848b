"""unpack: a fetch becomes entries of its stream, in one transaction; one bad entry never stops its neighbours."""

import asyncio
import multiprocessing
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial

import structlog

from relay.domain.decode import decode_body, decode_unusual, decode_usual, is_markup
from relay.domain.figures import Recorded
from relay.domain.report import Decoded, GapCause, Origin, Stream
from relay.observe import Telemetry
from relay.observe.failpoints import Point, reach
from relay.ports import ClaimedFetch, JournalError, JournalFatal, UnpackJournal

log = structlog.get_logger(__name__)

MAX_ATTEMPTS = 3
IDLE_SECONDS = 5.0
THREAD_ABOVE_BYTES = 1 << 20
UNUSUAL_THREAD_ABOVE_BYTES = 64 << 10
"""A body of this size may hold two thousand entries, each of which takes ten times as long as a usual one."""
ISOLATED_TIMEOUT_SECONDS = 120.0


class Unpack:
    """The unpacker of one stream; one fetch at a time, oldest first, so that revisions stay in order.

    A fetch that fails three times is quarantined whole. Claims are counted durably, but a count that grew because the
    process was killed beside an innocent fetch proves nothing: past three claims the body is decoded in a process of
    its own, and only if that fails too is the fetch given up.
    """

    def __init__(
        self,
        stream: Stream,
        journal: UnpackJournal,
        telemetry: Telemetry,
        now_ms: Callable[[], int],
        wake_subscribers: Callable[[], None],
    ) -> None:
        self._stream = stream
        self._journal = journal
        self._telemetry = telemetry
        self._now_ms = now_ms
        self._wake_subscribers = wake_subscribers
        self._claimed: ClaimedFetch | None = None
        self._failures = 0

    async def step(self) -> float:
        # A fetch claimed before a failed transaction is kept in hand: a full disk must not count as its fault.
        if self._claimed is None:
            self._claimed = await self._journal.claim_fetch(self._stream, self._now_ms())
            self._failures = 0
        if self._claimed is None:
            return IDLE_SECONDS
        reach(Point.UNPACK_CLAIMED)
        recorded = await self._unpack(self._claimed)
        reach(Point.UNPACK_RECORDED)
        self._telemetry.fetch_unpacked(self._stream, self._claimed.fetch.origin, recorded)
        self._claimed = None
        self._wake_subscribers()
        return 0

    async def _unpack(self, claimed: ClaimedFetch) -> Recorded:
        try:
            decoded = await self._decode(claimed)
            gap = _content_gap(claimed, decoded)
            if gap is not None:
                log.warning("response is not a collection of reports", stream=str(self._stream), reason=decoded.reason)
            return await self._journal.record_reports(claimed, decoded, gap)
        except (JournalError, JournalFatal):
            raise
        except Exception as error:
            self._failures += 1
            if max(self._failures, claimed.claims) < MAX_ATTEMPTS:
                raise
            reason = f"could not be unpacked: {type(error).__name__}: {error}"
            log.exception("fetch quarantined whole", stream=str(self._stream), fetch=claimed.id)
            return await self._journal.quarantine_fetch(claimed, reason)

    async def _decode(self, claimed: ClaimedFetch) -> Decoded:
        if claimed.claims > MAX_ATTEMPTS:
            return await asyncio.wait_for(_decode_isolated(claimed), ISOLATED_TIMEOUT_SECONDS)
        fetch, kind = claimed.fetch, claimed.stream.kind
        body, base_url, complete = fetch.body, fetch.base_url, fetch.complete
        if len(body) > THREAD_ABOVE_BYTES:
            return await asyncio.to_thread(_decode, claimed)
        decoded = decode_usual(body, kind=kind, base_url=base_url, complete=complete)
        if decoded is not None:
            return decoded
        rest = partial(decode_unusual, body, kind=kind, base_url=base_url, complete=complete)
        in_thread = len(body) > UNUSUAL_THREAD_ABOVE_BYTES or is_markup(body)
        return await asyncio.to_thread(rest) if in_thread else rest()


def _decode(claimed: ClaimedFetch) -> Decoded:
    fetch = claimed.fetch
    return decode_body(fetch.body, kind=claimed.stream.kind, base_url=fetch.base_url, complete=fetch.complete)


async def _decode_isolated(claimed: ClaimedFetch) -> Decoded:
    """Decode in a new process: whatever it does, only that process dies of it (`BrokenProcessPool`)."""
    pool = ProcessPoolExecutor(max_workers=1, mp_context=multiprocessing.get_context("spawn"))
    try:
        return await asyncio.get_running_loop().run_in_executor(pool, _decode, claimed)
    finally:
        for process in (pool._processes or {}).values():  # noqa: SLF001 - the pool offers no kill before 3.14
            process.kill()
        pool.shutdown(wait=False, cancel_futures=True)


def _content_gap(claimed: ClaimedFetch, decoded: Decoded) -> GapCause | None:
    """A gap that only the content shows; what the transport showed was opened when the fetch was appended."""
    if decoded.complete or not claimed.fetch.complete or claimed.fetch.origin is not Origin.POLL:
        return None
    return GapCause.NOT_REPORTS
