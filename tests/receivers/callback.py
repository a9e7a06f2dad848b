"""A callback receiver for tests: a real HTTP server with programmable behaviour and a ledger.

It imports nothing of the relay, so that what it says does not depend on what is tested. In process:

    async with CallbackReceiver() as receiver:
        receiver.script.extend([Behaviour(status=500), Behaviour()])
        ...
        assert [one.status for one in receiver.received] == [500, 200]

or as a process: ``python -m tests.receivers.callback --port 9000 --ledger ledger.jsonl --statuses 500,200``. The ledger
has one JSON object per line for each POST that was read whole: `at`, `webhook_id`, `ce_id`, `sha256` of the body,
`message_ids`, `status` (null when none was answered).
"""

import argparse
import asyncio
import hashlib
import json
import os
import ssl
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple, Self

from aiohttp import web

DRIP_SECONDS = 0.02
PIECE = b"x" * 16384
MOST_BODY_BYTES = 64 << 20


@dataclass(frozen=True, kw_only=True)
class Behaviour:
    """How one POST is treated after its body was read.

    `hang`: no answer until the receiver stops or `released` is set. `drip`: the answer's body comes byte by byte,
    without end. `endless`: as fast as it goes, without end. `close`: the connection is closed without an answer.
    """

    status: int = 200
    mode: Literal["answer", "hang", "drip", "endless", "close"] = "answer"
    delay_seconds: float = 0.0
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


class Received(NamedTuple):
    """One POST as it came and how it was answered."""

    at: float
    headers: Mapping[str, str]
    body: bytes
    message_ids: tuple[str, ...]
    status: int | None
    target: str
    """Path and query as they were on the wire."""

    @property
    def webhook_id(self) -> str:
        return self.headers["webhook-id"]


OK = Behaviour()
Rule = Callable[[Mapping[str, str], bytes], Behaviour | None]


class CallbackReceiver:
    """Behaves by `rule` if that says anything, else by the next of `script`, else by `default`."""

    def __init__(
        self,
        *,
        default: Behaviour = OK,
        port: int = 0,
        host: str = "127.0.0.1",
        ledger: Path | None = None,
        tls: ssl.SSLContext | None = None,
        keep: bool = True,
    ) -> None:
        self.default = default
        self.script: deque[Behaviour] = deque()
        self.rule: Rule | None = None
        self.received: list[Received] = []
        """In the order in which the answers were decided; empty with `keep=False`."""
        self.count = 0
        self.in_flight = 0
        self.most_in_flight = 0
        self.connections: set[object] = set()
        self.bytes_answered = 0
        self.targets: set[str] = set()
        """Path and query of all POSTs."""
        self.released = asyncio.Event()
        self._changed = asyncio.Condition()
        self._host, self._port, self._tls, self._keep = host, port, tls, keep
        self._ledger = os.open(ledger, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644) if ledger else None
        self._runner: web.ServerRunner | None = None

    async def start(self) -> None:
        self._runner = web.ServerRunner(web.Server(self._answer, request_factory=_request), shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, self._host, self._port, ssl_context=self._tls, backlog=1024)
        await site.start()
        self._port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        self.released.set()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None
        if self._ledger is not None:
            os.close(self._ledger)
            self._ledger = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    @property
    def port(self) -> int:
        return self._port

    @property
    def url(self) -> str:
        return f"{'https' if self._tls else 'http'}://{'localhost' if self._tls else self._host}:{self._port}/hook"

    @property
    def message_ids(self) -> list[str]:
        """Of all POSTs, in order, as often as they came."""
        return [message_id for one in self.received for message_id in one.message_ids]

    @property
    def accepted_ids(self) -> list[str]:
        """Of the POSTs that were answered with 2xx."""
        return [
            message_id
            for one in self.received
            if one.status is not None and 200 <= one.status < 300
            for message_id in one.message_ids
        ]

    async def until(self, condition: Callable[[], bool], seconds: float = 10.0) -> None:
        """Wait until `condition` holds; it is looked at after each POST and each end of one."""
        async with asyncio.timeout(seconds), self._changed:
            await self._changed.wait_for(condition)

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        body = await request.read()
        self.connections.add(request.transport)
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            return await self._behave(request, body)
        finally:
            self.in_flight -= 1
            if self._keep:
                await self._tell()

    async def _behave(self, request: web.BaseRequest, body: bytes) -> web.StreamResponse:
        behaviour = self._next(request.headers, body)
        if behaviour.delay_seconds:
            await asyncio.sleep(behaviour.delay_seconds)
        status = None if behaviour.mode in {"hang", "close"} else behaviour.status
        self._record(request, body, status)
        if self._keep:
            await self._tell()
        match behaviour.mode:
            case "hang":
                await self.released.wait()
            case "close":
                assert request.transport is not None
                request.transport.close()
            case "drip" | "endless":
                return await self._stream(request, behaviour)
            case "answer":
                self.bytes_answered += len(behaviour.body)
        return web.Response(status=behaviour.status, headers=dict(behaviour.headers), body=behaviour.body)

    async def _stream(self, request: web.BaseRequest, behaviour: Behaviour) -> web.StreamResponse:
        response = web.StreamResponse(status=behaviour.status, headers=dict(behaviour.headers))
        await response.prepare(request)
        while not self.released.is_set():
            piece = b"x" if behaviour.mode == "drip" else PIECE
            await response.write(piece)
            self.bytes_answered += len(piece)
            await asyncio.sleep(DRIP_SECONDS if behaviour.mode == "drip" else 0)
        return response

    def _next(self, headers: Mapping[str, str], body: bytes) -> Behaviour:
        ruled = self.rule(headers, body) if self.rule else None
        if ruled is not None:
            return ruled
        return self.script.popleft() if self.script else self.default

    def _record(self, request: web.BaseRequest, body: bytes, status: int | None) -> None:
        self.count += 1
        self.targets.add(request.raw_path)
        headers = request.headers
        now = time.time()
        if not self._keep and self._ledger is None:
            return
        ids = tuple(_message_ids(body))
        if self._keep:
            self.received.append(
                Received(
                    now, {name.lower(): value for name, value in headers.items()}, body, ids, status, request.raw_path
                )
            )
        if self._ledger is not None:
            line = {
                "at": now,
                "webhook_id": headers.get("webhook-id"),
                "ce_id": headers.get("ce-id"),
                "sha256": hashlib.sha256(body).hexdigest(),
                "message_ids": ids,
                "status": status,
            }
            os.write(self._ledger, json.dumps(line).encode() + b"\n")

    async def _tell(self) -> None:
        async with self._changed:
            self._changed.notify_all()


def _request(*arguments: Any) -> web.BaseRequest:
    """aiohttp's own, but for how large a body may be."""
    message, payload, protocol, writer, task = arguments
    return web.BaseRequest(
        message, payload, protocol, writer, task, asyncio.get_running_loop(), client_max_size=MOST_BODY_BYTES
    )


def _message_ids(body: bytes) -> list[str]:
    try:
        document = json.loads(body)
    except ValueError:
        return []
    if isinstance(document, dict) and "results" in document:
        document = document["results"]
    reports = document if isinstance(document, list) else [document]
    return [str(report.get("messageId")) for report in reports if isinstance(report, dict)]


async def _serve(arguments: argparse.Namespace) -> None:
    default = Behaviour(status=arguments.status, mode=arguments.mode, delay_seconds=arguments.delay)
    receiver = CallbackReceiver(default=default, port=arguments.port, ledger=arguments.ledger, keep=False)
    receiver.script.extend(Behaviour(status=int(status)) for status in arguments.statuses.split(",") if status)
    async with receiver:
        print(receiver.url, flush=True)
        await asyncio.Event().wait()


def main() -> None:
    parser = argparse.ArgumentParser(description="A callback receiver with a ledger. Prints its URL when it listens.")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--ledger", type=Path)
    parser.add_argument("--status", type=int, default=200)
    parser.add_argument("--statuses", default="", help="answered first, one each, separated by commas")
    parser.add_argument("--mode", choices=["answer", "hang", "drip", "endless", "close"], default="answer")
    parser.add_argument("--delay", type=float, default=0.0, help="seconds before each answer")
    try:
        asyncio.run(_serve(parser.parse_args()))
    except KeyboardInterrupt:
        return


if __name__ == "__main__":
    main()
