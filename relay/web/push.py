"""Infobip's own push as a second way in: `POST /push/{source}/{kind}`.

Invariant: 200 is answered only when the body is on the disk. Whatever else is answered makes Infobip push again, so a
body that may hold reports is never refused for what it is, only for a while. A push tells nothing about the one-time
queue: it neither ends a poll, nor counts as one, nor opens a gap.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import NamedTuple

import structlog
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from relay.config import JournalConfig, Secret
from relay.domain.body import BodyBuffer, BodyTooLarge
from relay.domain.decode import estimate_entries
from relay.domain.push import refusal
from relay.domain.report import Origin, Stream
from relay.domain.room import NoRoom, no_room
from relay.ports import Fetch, JournalError, JournalFatal, PushJournal
from relay.web.authorization import basic_password, bearer, matches
from relay.web.problem import problem

log = structlog.get_logger(__name__)

PATH = "/push/{source}/{kind}"
RETRY_AFTER_SECONDS = 30
ROOM_CHECK_SECONDS = 1.0
MOST_LOGGED_CHARACTERS = 64
CHALLENGE = 'Basic realm="relay push", Bearer realm="relay push"'
LATER = {"Retry-After": str(RETRY_AFTER_SECONDS)}


class PushEndpoint(NamedTuple):
    """Where pushes of one stream come in, and what they must present."""

    stream: Stream
    token: Secret
    base_url: str
    """Against which a relative recordedAudioFileUrl is resolved."""
    max_body_bytes: int
    """Of one body, also decompressed; and of all that are in hand at a time."""
    timeout_seconds: float
    """For one body to come in."""


class _Refused(Exception):
    """This push is not taken: how it is answered, and why."""

    def __init__(self, status: HTTPStatus, reason: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(reason)
        self.status = status
        self.headers = headers


class Push:
    """Takes pushes until `stop`."""

    def __init__(
        self,
        endpoints: Iterable[PushEndpoint],
        *,
        journal: PushJournal,
        limits: JournalConfig,
        now_ms: Callable[[], int],
        wake_unpack: Callable[[Stream], None],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._endpoints = {endpoint.stream: endpoint for endpoint in endpoints}
        self._journal = journal
        self._limits = limits
        self._now_ms = now_ms
        self._wake_unpack = wake_unpack
        self._monotonic = monotonic
        self._in_hand_bytes: Counter[Stream] = Counter()
        self._room: dict[Stream, tuple[float, NoRoom | None]] = {}
        self._stopping = False

    def stop(self) -> None:
        """From now on pushes are answered 503; what is being committed is committed."""
        self._stopping = True

    def add_to(self, application: web.Application) -> None:
        application.router.add_post(PATH, self.receive)

    async def receive(self, request: web.Request) -> web.Response:
        """The handler of PATH."""
        stream = Stream(request.match_info["source"], request.match_info["kind"])
        try:
            await self._receive(stream, request)
        except _Refused as refused:
            _log_refused(stream, refused, request)
            return problem(refused.status, str(refused), refused.headers)
        self._wake_unpack(stream)
        return web.json_response({"status": "ok"})

    async def _receive(self, stream: Stream, request: web.Request) -> None:
        requested_at_ms = self._now_ms()
        endpoint = self._endpoints.get(stream)
        if endpoint is None:
            raise _Refused(HTTPStatus.NOT_FOUND, f"no push is enabled for {stream}")
        if not matches(bearer(request) or basic_password(request), endpoint.token):
            how = "present push.token: Authorization: Bearer, or as the password of Basic"
            raise _Refused(HTTPStatus.UNAUTHORIZED, how, {"WWW-Authenticate": CHALLENGE})
        await self._check_room(stream)
        with self._in_hand(stream) as grown_to:
            body = await _read(request, endpoint, grown_to)
            await self._commit(endpoint, request, body, requested_at_ms)

    async def _check_room(self, stream: Stream) -> None:
        self._check_open()
        checked_at, lacking = self._room.get(stream, (float("-inf"), None))
        if self._monotonic() - checked_at >= ROOM_CHECK_SECONDS:
            lacking = await self._ask_room(stream)
            self._room[stream] = (self._monotonic(), lacking)
        if lacking is not None:
            raise _Refused(HTTPStatus.SERVICE_UNAVAILABLE, lacking.message, LATER)

    async def _ask_room(self, stream: Stream) -> NoRoom | None:
        try:
            pressure = await self._journal.pressure(stream)
        except (JournalError, JournalFatal) as error:
            raise _unwritable() from error
        return no_room(
            unpublished=pressure.unpublished,
            free_bytes=pressure.free_bytes,
            max_unpublished=self._limits.max_unpublished,
            min_free_bytes=self._limits.min_free_bytes,
        )

    def _check_open(self) -> None:
        if self._stopping:
            raise _Refused(HTTPStatus.SERVICE_UNAVAILABLE, "relay is being stopped", LATER)

    @contextmanager
    def _in_hand(self, stream: Stream) -> Iterator[Callable[[int], None]]:
        """Keeps count of the bytes that pushes of a stream hold in memory; alone, one may be as large as allowed."""
        held = 0

        def grown_to(size_bytes: int) -> None:
            nonlocal held
            self._in_hand_bytes[stream] += size_bytes - held
            held = size_bytes
            if held < self._in_hand_bytes[stream] > self._endpoints[stream].max_body_bytes:
                raise _Refused(HTTPStatus.SERVICE_UNAVAILABLE, "too much is being pushed at a time", LATER)

        try:
            yield grown_to
        finally:
            self._in_hand_bytes[stream] -= held

    async def _commit(self, endpoint: PushEndpoint, request: web.Request, body: bytes, requested_at_ms: int) -> None:
        self._check_open()
        fetch = Fetch(
            origin=Origin.PUSH,
            requested_at_ms=requested_at_ms,
            received_at_ms=self._now_ms(),
            status=200,
            content_type=_printable(request.headers.get("Content-Type", "")),
            body=body,
            complete=True,
            entries_estimate=estimate_entries(body),
            base_url=endpoint.base_url,
        )
        try:
            await self._journal.append_fetch(None, endpoint.stream, fetch, None)
        except (JournalError, JournalFatal) as error:
            raise _unwritable() from error


async def _read(request: web.Request, endpoint: PushEndpoint, grown_to: Callable[[int], None]) -> bytes:
    """The whole body, its content coding removed, unless it obviously holds no reports.

    `grown_to` is told of every step.
    """
    if (request.content_length or 0) > endpoint.max_body_bytes:
        raise _too_large()
    body = BodyBuffer(request.headers.get("Content-Encoding", ""), endpoint.max_body_bytes)
    try:
        async with asyncio.timeout(endpoint.timeout_seconds):
            while piece := await request.content.readany():
                body.feed(piece)
                grown_to(body.size_bytes)
        body.finish()
    except BodyTooLarge:
        raise _too_large() from None
    except TimeoutError:
        raise _Refused(HTTPStatus.REQUEST_TIMEOUT, "the body did not come in time (timeout_seconds)") from None
    except (HttpProcessingError, web.RequestPayloadError, OSError) as error:
        raise _Refused(HTTPStatus.BAD_REQUEST, "the body did not come whole") from error
    reason = body.problem if body.damaged else refusal(body.content())
    if reason:
        raise _Refused(HTTPStatus.BAD_REQUEST, body.problem or reason)
    return body.content()


def _printable(header: str) -> str:
    """A header's value fit to be stored: bytes that are not ASCII come from aiohttp as lone surrogates."""
    return header[:200].encode("ascii", "replace").decode()


def _too_large() -> _Refused:
    return _Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "the body is larger than poll.max_body_bytes allows")


def _unwritable() -> _Refused:
    return _Refused(HTTPStatus.SERVICE_UNAVAILABLE, "the journal cannot be written", LATER)


def _log_refused(stream: Stream, refused: _Refused, request: web.Request) -> None:
    """One line; what the caller made up in it is cut."""
    log.warning(
        "push refused",
        source=stream.source[:MOST_LOGGED_CHARACTERS],
        kind=stream.kind[:MOST_LOGGED_CHARACTERS],
        status=refused.status.value,
        reason=str(refused),
        error="" if refused.__cause__ is None else str(refused.__cause__),
        peer=request.remote,
    )
