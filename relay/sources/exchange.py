"""One GET on a client session, from connecting to the last byte that came. It never raises and never repeats."""

from typing import NamedTuple

import aiohttp
from aiohttp.client_middlewares import ClientHandlerType

from relay.domain.body import BodyBuffer, BodyTooLarge
from relay.domain.report import GapCause
from relay.observe.failpoints import Point, reach
from relay.observe.plain_words import plain_words_of_http

READ_BUFFER_BYTES = 1 << 20
"""Large enough that aiohttp does not pause the socket between two of our reads."""


class ConnectionBroken(aiohttp.ClientError):
    """The connection broke after the request may have been sent."""


async def never_repeat(request: aiohttp.ClientRequest, handler: ClientHandlerType) -> aiohttp.ClientResponse:
    """Client middleware: makes the errors that aiohttp answers with a second GET into one that it passes on.

    aiohttp repeats an idempotent request once, silently, whenever the connection breaks before the status line
    (ServerDisconnectedError, ClientOSError), on new connections as on kept-alive ones. The repeat's answer would hide
    that the first one, already taken from the queue, is lost. Failing to connect (ClientConnectorError) it does not
    repeat, and that stays as it is.
    """
    try:
        return await handler(request)
    except aiohttp.ClientConnectorError:
        raise
    except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError) as error:
        raise ConnectionBroken(described(error)) from error


class Outcome(NamedTuple):
    """What one exchange brought. `failure` is what broke, if something did."""

    sent: bool = False
    status: int | None = None
    content_type: str = ""
    retry_after: str | None = None
    body: bytes = b""
    complete: bool = False
    error: str = ""
    failure: GapCause | None = None


class Exchange:
    """One request and its answer; passed to the session's tracing, which notes when a connection is in hand."""

    def __init__(self, session: aiohttp.ClientSession, max_body_bytes: int) -> None:
        self.sent = False
        """A connection was there: from then on the request may have left."""
        self._session = session
        self._max_body_bytes = max_body_bytes
        self._response: aiohttp.ClientResponse | None = None
        self._body: BodyBuffer | None = None
        self._ended = False
        self._error = ""
        self._failure: GapCause | None = None

    async def get(
        self, url: str, *, params: dict[str, str], headers: dict[str, str], proxy: str | None, timeout_seconds: float
    ) -> Outcome:
        timeout = aiohttp.ClientTimeout(total=timeout_seconds)
        try:
            self._response = await self._session.get(
                url,
                params=params,
                headers=headers,
                proxy=proxy,
                timeout=timeout,
                allow_redirects=False,
                trace_request_ctx=self,
            )
            await self._read(self._response)
        except BodyTooLarge as error:
            self._broke(GapCause.TOO_LARGE, error)
        except TimeoutError as error:
            self._broke(GapCause.TIMEOUT, error)
        except aiohttp.ClientPayloadError as error:
            self._broke(GapCause.TRUNCATED, error)
        except (aiohttp.ClientError, OSError, ValueError) as error:
            self._broke(GapCause.CONNECTION, error)
        return self._outcome()

    async def _read(self, response: aiohttp.ClientResponse) -> None:
        # Nothing but the next piece is awaited from here on: what the peer sent before a reset is only kept if it is
        # taken out of the buffer before aiohttp learns of the reset.
        self._body = body = BodyBuffer(response.headers.get("Content-Encoding", ""), self._max_body_bytes)
        while piece := await response.content.readany():
            body.feed(piece)
            reach(Point.INTAKE_READING)
        self._ended = True

    def _broke(self, failure: GapCause, error: Exception) -> None:
        self._error = described(error)
        self._failure = failure
        if self._response is not None:
            self._response.close()  # never back to the pool: the rest of this answer must not meet the next request

    def _outcome(self) -> Outcome:
        response, body = self._response, self._body
        if response is None or body is None:
            return Outcome(sent=self.sent, error=self._error, failure=self._failure if self.sent else None)
        body.finish()
        if body.damaged and self._failure is None:
            self._failure = GapCause.TRUNCATED
        return Outcome(
            sent=True,
            status=response.status,
            content_type=printable(response.headers.get("Content-Type", "")),
            retry_after=response.headers.get("Retry-After"),
            body=body.content(),
            complete=self._ended and not body.damaged,
            error=self._error or body.problem,
            failure=self._failure,
        )


def tracing() -> aiohttp.TraceConfig:
    """Tells an Exchange, given as `trace_request_ctx`, that a connection is in hand. Suspends nothing."""
    config = aiohttp.TraceConfig()
    config.on_connection_create_end.append(_connected)
    config.on_connection_reuseconn.append(_connected)
    return config


async def _connected(_session: aiohttp.ClientSession, context: object, _params: object) -> None:
    exchange = getattr(context, "trace_request_ctx", None)
    if isinstance(exchange, Exchange):
        exchange.sent = True


def printable(header: str) -> str:
    """A header's value fit to be stored: bytes that are not ASCII come from aiohttp as lone surrogates."""
    return header[:200].encode("ascii", "replace").decode()


def described(error: BaseException) -> str:
    """One line for the log; aiohttp's messages name hosts and reasons, never headers."""
    if isinstance(error, aiohttp.ClientConnectorError):
        return f"cannot connect to {error.host}:{error.port}: {plain_words_of_http(error.os_error)}"
    text = " ".join(str(error).split())[:300]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
