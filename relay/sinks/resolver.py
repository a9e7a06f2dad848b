"""Looks names up for one callback in threads of its own: a name server that hangs holds up nobody else."""

import asyncio
import socket
import threading
from typing import Any

from aiohttp.abc import AbstractResolver, ResolveResult

_NUMERIC = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV
_THREAD_NAME = "callback-dns"


class IsolatedResolver(AbstractResolver):
    """getaddrinfo in a daemon thread for each lookup.

    The event loop's own pool has few threads for the whole process, and stopping waits for them. Here a lookup that
    hangs costs one thread, as aiohttp never asks twice at the same time for the same name, and does not delay the end
    of the process.
    """

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Raises OSError (socket.gaierror) if there is no address."""
        loop = asyncio.get_running_loop()
        found: asyncio.Future[list[Any]] = loop.create_future()
        threading.Thread(
            target=_look_up, args=(loop, found, host, port, family), name=_THREAD_NAME, daemon=True
        ).start()
        return [
            ResolveResult(hostname=host, host=address[0], port=address[1], family=family_, proto=proto, flags=_NUMERIC)
            for family_, _, proto, _, address in await found
            if family_ in {socket.AF_INET, socket.AF_INET6}
        ]

    async def close(self) -> None:
        """Nothing is held."""


def _look_up(
    loop: asyncio.AbstractEventLoop,
    found: "asyncio.Future[list[Any]]",
    host: str,
    port: int,
    family: socket.AddressFamily,
) -> None:
    infos: list[Any] = []
    failure: OSError | None = None
    try:
        infos = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, family=family, flags=socket.AI_ADDRCONFIG)
    except OSError as error:
        failure = error
    except UnicodeError:
        failure = socket.gaierror(socket.EAI_NONAME, "not a host name")
    try:
        loop.call_soon_threadsafe(_settle, found, infos, failure)
    except RuntimeError:  # the loop has been closed meanwhile: nobody waits any more
        return


def _settle(found: "asyncio.Future[list[Any]]", infos: list[Any], failure: OSError | None) -> None:
    if found.cancelled():
        return
    if failure is not None:
        found.set_exception(failure)
    else:
        found.set_result(infos)
