"""The connections of one callback: made by aiohttp's connector, kept alive here from one POST to the next.

The connector's own pool makes an object for each loan, keeps sets of who has what and asks for keys and limits; that is
most of what a POST over a connection that is already there would cost. So only connecting (names, several addresses,
TLS, the limit) is the connector's, and what was lent once is kept while it is of use.
"""

import asyncio
import ssl
from collections import deque
from typing import cast

import aiohttp
from aiohttp.connector import Connection
from yarl import URL

from relay.sinks.connector import KEEPALIVE_SECONDS, BoundedHandler, GuardedConnector

_NO_LIMITS = aiohttp.ClientTimeout()
"""The deadline of the whole exchange is kept by whoever asks, not by the connector."""


class Line:
    """One connection, for one exchange at a time."""

    __slots__ = ("_connection", "handler", "rests_since")

    def __init__(self, connection: Connection, handler: BoundedHandler) -> None:
        self._connection = connection
        self.handler = handler
        self.rests_since = 0.0

    @property
    def usable(self) -> bool:
        """Whether it is open and nothing is left over on it: a stray answer must not be taken for that of the next."""
        return self.handler.is_connected() and not self.handler.should_close

    def hand_on(self) -> None:
        """To whoever waits for the connector."""
        self._connection.release()

    def close(self) -> None:
        self._connection.close()

    def drop(self) -> None:
        """Close without waiting for a peer that does not read to take what is still to be sent."""
        self.handler.abort()
        self._connection.close()


class Connections:
    """At most `connections` to one URL."""

    def __init__(self, url: URL, *, connections: int, allow_private: bool, tls: ssl.SSLContext | None) -> None:
        self._url = url
        self._connections = connections
        self._allow_private = allow_private
        self._tls = tls
        self._connector: GuardedConnector | None = None
        self._destination: aiohttp.ClientRequest | None = None
        self._resting: deque[Line] = deque()
        """Those that rest longest come first."""
        self._timer: asyncio.TimerHandle | None = None
        self._taking = 0
        self._name_failed = False

    def take_rested(self, at: float) -> Line | None:
        """The one that was used last, so that those too many grow old; `at` by the event loop's clock."""
        while self._resting:
            line = self._resting.pop()
            if line.usable and at - line.rests_since <= KEEPALIVE_SECONDS:
                return line
            line.close()
        return None

    async def take(self) -> Line:
        """A new one; where there are as many as may be, one that somebody gives back.

        Raises what aiohttp and the system raise (aiohttp.ClientError, OSError).
        """
        connector, destination = self._connector, self._destination
        if connector is None or destination is None:
            connector, destination = self._open()
        while True:
            connection = await self._connect(connector, destination)
            if (handler := connection.protocol) is not None:
                line = Line(connection, cast("BoundedHandler", handler))  # as the connector makes them
                if line.usable:
                    return line
            connection.close()

    def give_back(self, line: Line, at: float) -> None:
        """It is as it was before."""
        if self._taking or self._connector is None:
            line.hand_on()
            return
        line.rests_since = at
        self._resting.append(line)
        if self._timer is None:
            self._set_timer(KEEPALIVE_SECONDS)

    async def close(self) -> None:
        """Close all; idempotent."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        while self._resting:
            self._resting.pop().close()
        connector, self._connector = self._connector, None
        if connector is not None:
            await connector.close()

    async def _connect(self, connector: GuardedConnector, destination: aiohttp.ClientRequest) -> Connection:
        """Where the name led to when that failed is forgotten, as it may lead elsewhere by now; but not under somebody
        who is just being told: aiohttp does not expect that."""
        self._taking += 1
        try:
            return await connector.connect(destination, [], _NO_LIMITS)
        except (aiohttp.ClientError, OSError):
            self._name_failed = True
            raise
        finally:
            self._taking -= 1
            if self._name_failed and not self._taking:
                connector.clear_dns_cache()
                self._name_failed = False

    def _open(self) -> tuple[GuardedConnector, aiohttp.ClientRequest]:
        self._connector = GuardedConnector(connections=self._connections, allow_private=self._allow_private)
        # The connector wants a request to know where to and how; this one is never sent.
        self._destination = aiohttp.ClientRequest(
            "POST", self._url, loop=asyncio.get_running_loop(), ssl=True if self._tls is None else self._tls
        )
        return self._connector, self._destination

    def _set_timer(self, seconds: float) -> None:
        self._timer = asyncio.get_running_loop().call_later(seconds, self._close_old)

    def _close_old(self) -> None:
        """Close those that have rested for so long; again when the next has."""
        self._timer = None
        resting, now = self._resting, asyncio.get_running_loop().time()
        while resting and (not resting[0].usable or now - resting[0].rests_since >= KEEPALIVE_SECONDS):
            resting.popleft().close()
        if resting:
            self._set_timer(resting[0].rests_since + KEEPALIVE_SECONDS - now)
