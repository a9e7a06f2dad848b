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
from aiohttp.http import RawResponseMessage

from relay.sinks.addresses import refusal
from relay.sinks.resolver import IsolatedResolver

KEEPALIVE_SECONDS = 4.0
"""Idle connections are closed before servers do (5 s is a common default): a POST that meets a closing one fails."""

MAX_ANSWER_BYTES = 64 * 1024
"""At most so much of an answer is read; whoever sends more loses the connection."""

MAX_WIRE_BYTES = 512 * 1024
"""So much may come for one POST, with all that is around the body: extensions of chunks have no end by themselves."""

MAX_INFORMATIONAL = 16
"""Answers below 200 before the one that counts; a server sends one or two."""

_PIECE_BYTES = 8 * 1024

AddressInfo = tuple[int | socket.AddressFamily, int | socket.SocketKind, int, str, tuple[Any, ...]]


class AddressRefused(OSError):
    """The callback, or what its name resolves to, is where nothing may be posted to. Names the address and the cure."""


class AnswerTooLarge(aiohttp.ClientPayloadError):
    """More came for one POST than MAX_WIRE_BYTES or MAX_INFORMATIONAL allow."""


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
    return BoundedHandler(loop)


class BoundedHandler(ResponseHandler):
    """Bounds what is read between one `begin_answer` and the next."""

    _left_bytes = MAX_WIRE_BYTES
    _left_informational = MAX_INFORMATIONAL
    _has_status = False

    def begin_answer(self) -> None:
        """What comes from now on is the answer to one POST."""
        self._left_bytes = MAX_WIRE_BYTES
        self._left_informational = MAX_INFORMATIONAL
        self._has_status = False
        self.set_response_params(read_until_eof=True, auto_decompress=False, read_bufsize=MAX_ANSWER_BYTES)

    def give_up(self, error: Exception) -> None:
        """Whoever waits for the answer, or reads it, gets `error`; nobody else does."""
        if self._payload is not None:
            self._payload.set_exception(error)
        self.set_exception(error)

    def data_received(self, data: bytes) -> None:
        self._left_bytes -= len(data)
        if self._left_bytes < 0:
            self._refuse_more()
        elif self._has_status or len(data) <= _PIECE_BYTES:
            super().data_received(data)
        else:
            self._feel_its_way(data)

    def feed_data(self, data: tuple[RawResponseMessage, aiohttp.StreamReader], size: int = 0) -> None:
        """Called with the head of each answer."""
        if data[0].code >= 200:
            self._has_status = True
        else:
            self._left_informational -= 1
        super().feed_data(data, size)
        if self._left_informational < 0:
            self._refuse_more()

    def _feel_its_way(self, data: bytes) -> None:
        """Piece by piece: thousands of informational answers, all parsed at once, would stop everything else."""
        for start in range(0, len(data), _PIECE_BYTES):
            if self._exception is None:
                super().data_received(data[start : start + _PIECE_BYTES])

    def _refuse_more(self) -> None:
        self.give_up(AnswerTooLarge(f"more than {MAX_WIRE_BYTES >> 10} KiB or {MAX_INFORMATIONAL} heads came"))
        if self.transport is not None:
            self.transport.abort()
