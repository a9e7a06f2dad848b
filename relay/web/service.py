"""Routes, and the server that answers them."""

import errno
import os
from collections.abc import Callable, Iterable
from typing import Protocol

import orjson
import structlog
from aiohttp import web

from relay.config import Secret
from relay.observe import Health, Telemetry
from relay.ports import FiguresJournal
from relay.web.authorization import bearer, matches
from relay.web.page import HEADERS, render_page
from relay.web.problem import Handler, errors_as_problems, problem
from relay.web.reading import FiguresReader
from relay.web.status import condition, full_status, readiness

log = structlog.get_logger(__name__)

MAX_BODY_BYTES = 65_536
SHUTDOWN_SECONDS = 2.0
METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Routes(Protocol):
    """What adds its paths to an application; those below /api are behind the token."""

    def add_to(self, application: web.Application) -> None: ...


class _Routes:
    """The handlers and what they answer from."""

    def __init__(
        self, *, instance: str, token: Secret, health: Health, telemetry: Telemetry, reader: FiguresReader, at_ms: int
    ) -> None:
        self._instance = instance
        self._token = token
        self._health = health
        self._telemetry = telemetry
        self._reader = reader
        self._started_at_ms = at_ms

    async def healthz(self, _request: web.Request) -> web.Response:
        return _json({"status": "ok"})

    async def readyz(self, _request: web.Request) -> web.Response:
        now = condition(self._instance, self._health.degraded, await self._reader.read())
        return _json(readiness(now), status=200 if now.ready else 503)

    async def metrics(self, _request: web.Request) -> web.Response:
        reading = await self._reader.read()
        self._telemetry.figures(reading.figures)
        return web.Response(body=self._telemetry.exposition(), headers={"Content-Type": METRICS_TYPE})

    async def page(self, _request: web.Request) -> web.Response:
        return web.Response(text=render_page(await self._status()), content_type="text/html", headers=HEADERS)

    async def status(self, _request: web.Request) -> web.Response:
        return _json(await self._status())

    async def _status(self) -> dict[str, object]:
        reading = await self._reader.read()
        now = condition(self._instance, self._health.degraded, reading)
        return full_status(now, reading, self._started_at_ms, self._telemetry.last_success_ms)

    @web.middleware
    async def guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Everything below /api needs the token, what does not exist too."""
        if request.path.startswith("/api/") and not self._authorized(request):
            detail = "send Authorization: Bearer with the token of http.token or of the file relay.token"
            return problem(401, detail, {"WWW-Authenticate": 'Bearer realm="relay"'})
        return await handler(request)

    def _authorized(self, request: web.Request) -> bool:
        return matches(bearer(request), self._token)


def make_web(
    *,
    instance: str,
    token: Secret,
    journal: FiguresJournal,
    health: Health,
    telemetry: Telemetry,
    now_ms: Callable[[], int],
    more: Iterable[Routes] = (),
) -> web.Application:
    """The application: /healthz, /readyz, /metrics, the page, /api/v1 behind `token`, and `more`."""
    routes = _Routes(
        instance=instance,
        token=token,
        health=health,
        telemetry=telemetry,
        reader=FiguresReader(journal, now_ms),
        at_ms=now_ms(),
    )
    application = web.Application(middlewares=[errors_as_problems, routes.guard], client_max_size=MAX_BODY_BYTES)
    application.router.add_get("/", routes.page)
    application.router.add_get("/healthz", routes.healthz)
    application.router.add_get("/readyz", routes.readyz)
    application.router.add_get("/metrics", routes.metrics)
    application.router.add_get("/api/v1/status", routes.status)
    for routes_ in more:
        routes_.add_to(application)
    return application


def make_push_web(push: Routes) -> web.Application:
    """/push alone, for a port of its own."""
    application = web.Application(middlewares=[errors_as_problems])
    push.add_to(application)
    return application


class AddressUnusable(OSError):
    """The message names the keys of the configuration that say where to listen, and the cure."""


class HttpService:
    """The listening server. `start` raises AddressUnusable if the address is taken, or not to be had.

    Bodies come as they were sent: whoever reads one removes its content coding, within his own bounds.
    """

    def __init__(self, application: web.Application, *, host: str, port: int, port_key: str = "http.port") -> None:
        """`port_key` is where the configuration has the port."""
        self._runner = web.AppRunner(
            application, access_log=None, shutdown_timeout=SHUTDOWN_SECONDS, auto_decompress=False
        )
        self._host = host
        self._port = port
        self._port_key = port_key

    @property
    def port(self) -> int:
        """The real one, where 0 was asked for; only after `start`."""
        return int(self._runner.addresses[0][1])

    async def start(self) -> None:
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, self._host, self._port).start()
        except OSError as error:
            raise unusable_address(error, self._host, self._port, self._port_key) from error
        log.info("http service listens", host=self._host, port=self.port)

    async def stop(self) -> None:
        """May be called twice, and without `start`."""
        await self._runner.cleanup()


def unusable_address(error: OSError, host: str, port: int, port_key: str) -> AddressUnusable:
    """What listening failed of, with the keys and the cure; `port_key` is where the configuration has the port."""
    # asyncio puts words of its own before the system's; a name that is not found has a number below 0.
    reason = os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror
    if error.errno == errno.EADDRINUSE:
        cure = f"another process (a running relay?) has it; stop it or change {port_key}"
    elif error.errno == errno.EACCES:
        cure = f"ports below 1024 need a privilege; change {port_key}"
    else:
        cure = "correct http.host, it must be an address of this machine"
    return AddressUnusable(f"http.host {host}, {port_key} {port}: cannot listen: {reason}: {cure}")


def _json(body: object, status: int = 200) -> web.Response:
    return web.Response(
        body=orjson.dumps(body),
        status=status,
        content_type="application/json",
        headers={"Cache-Control": "no-store"},
    )
