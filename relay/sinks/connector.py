"""aiohttp's connector with two guards that it has no setting for: where it connects to, and how much it reads.

Addresses are checked where sockets are made for them: behind name look-up, cache and literals alike, so that a name
which resolves to another address from one moment to the next (DNS rebinding) does not get past.
"""

import asyncio
import socket
from functools import partial
from typing import Any

import aiohttp
from aiohttp.client_proto import ResponseHandler

from relay.sinks.addresses import refusal
from relay.sinks.resolver import IsolatedResolver

KEEPALIVE_SECONDS = 4.0
"""Idle connections are closed before servers do (5 s is a common default): a POST that meets a closing one fails."""

MAX_WIRE_BYTES = 512 * 1024
"""So much may come for one POST, with all that is around the body that is read: heads of informational answers and
extensions of chunks have no end by themselves."""

AddressInfo = tuple[int | socket.AddressFamily, int | socket.SocketKind, int, str, tuple[Any, ...]]


class AddressRefused(OSError):
    """The callback, or what its name resolves to, is where nothing may be posted to. Names the address and the cure."""


class AnswerTooLarge(aiohttp.ClientPayloadError):
    """More than MAX_WIRE_BYTES came for one POST."""


class GuardedConnector(aiohttp.TCPConnector):
    """Connections for one callback; `allow_private` as in the configuration."""

    def __init__(self, *, connections: int, allow_private: bool) -> None:
        super().__init__(
            limit=connections,
            resolver=IsolatedResolver(),
            keepalive_timeout=KEEPALIVE_SECONDS,
            socket_factory=partial(_open_socket, allow_private),
        )
        self._factory = partial(_bounded_handler, asyncio.get_running_loop())


def _open_socket(allow_private: bool, info: AddressInfo) -> socket.socket:
    family, type_, protocol, _, (host, *_) = info
    refused = refusal(host, allow_private=allow_private)
    if refused:
        raise AddressRefused(refused)
    return socket.socket(family, type_, protocol)


def _bounded_handler(loop: asyncio.AbstractEventLoop) -> ResponseHandler:
    return _BoundedHandler(loop)


class _BoundedHandler(ResponseHandler):
    """Reads at most MAX_WIRE_BYTES between one `set_response_params`, which begins an answer, and the next."""

    _left_bytes = MAX_WIRE_BYTES

    def set_response_params(self, **keys: Any) -> None:
        self._left_bytes = MAX_WIRE_BYTES
        super().set_response_params(**keys)

    def data_received(self, data: bytes) -> None:
        self._left_bytes -= len(data)
        if self._left_bytes >= 0:
            super().data_received(data)
        elif self.transport is not None:
            self._give_up(self.transport)

    def _give_up(self, transport: asyncio.Transport) -> None:
        error = AnswerTooLarge(f"more than {MAX_WIRE_BYTES >> 10} KiB of it came")
        if self._payload is not None:
            self._payload.set_exception(error)
        self.set_exception(error)
        transport.abort()
