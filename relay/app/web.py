"""Wires the HTTP service: the application, its routes, the ports that it listens on."""

from collections.abc import Iterator, Mapping, Sequence

from aiohttp import web

from relay.app.ground import Ground, Wakes, now_ms
from relay.config import Config, SourceConfig
from relay.domain.report import Stream
from relay.sinks.recordings import RecordingArchive
from relay.stages.deliver import CallbackControl
from relay.stages.reconcile import ComparisonRuns
from relay.web import (
    CallbackRoutes,
    CursorRoutes,
    HttpService,
    Push,
    PushEndpoint,
    QuarantineRoutes,
    ReconcileRoutes,
    RecordingRoutes,
    Routes,
    api_token,
    make_push_web,
    make_web,
)


class Web:
    """`url` and `push_url` say where it is, once started."""

    def __init__(
        self,
        ground: Ground,
        wakes: Wakes,
        comparisons: ComparisonRuns,
        shelves: dict[str, RecordingArchive],
        controls: Mapping[str, CallbackControl],
        more: Sequence[Routes] = (),
    ) -> None:
        self._ground = ground
        self._wakes = wakes
        self._comparisons = comparisons
        self._shelves = shelves
        self._controls = controls
        self._more = more
        self._push = Push(
            [endpoint for source in ground.config.sources for endpoint in _push_endpoints(source)],
            journal=ground.journal,
            limits=ground.config.journal,
            now_ms=now_ms,
            wake_unpack=wakes.unpack,
        )
        self.url = self.push_url = ""

    async def start(self) -> None:
        """Listen. Raises OSError if a port cannot be had."""
        http = self._ground.config.http
        self.url = self.push_url = await self._serve(self._application(), http.port, "http.port")
        if http.push_port is not None:
            self.push_url = await self._serve(make_push_web(self._push), http.push_port, "http.push_port")

    def stop_pushes(self) -> None:
        """Take in nothing more that is pushed."""
        self._push.stop()

    def _application(self) -> web.Application:
        ground, config = self._ground, self._ground.config
        return make_web(
            instance=config.instance,
            token=api_token(config),
            journal=ground.journal,
            health=ground.health,
            telemetry=ground.telemetry,
            now_ms=now_ms,
            more=[
                self._quarantine(),
                ReconcileRoutes(self._comparisons),
                RecordingRoutes(self._shelves),
                CallbackRoutes(self._controls, journal=ground.journal, now_ms=now_ms),
                CursorRoutes(ground.journal, health=ground.health, now_ms=now_ms),
                *self._more,
                *([self._push] if config.http.push_port is None else []),
            ],
        )

    def _quarantine(self) -> QuarantineRoutes:
        return QuarantineRoutes(
            self._ground.journal,
            base_urls=_base_urls(self._ground.config),
            telemetry=self._ground.telemetry,
            now_ms=now_ms,
            wake_subscribers=self._wakes.followers,
        )

    async def _serve(self, application: web.Application, port: int, port_key: str) -> str:
        """The URL that it is reached at now."""
        host = self._ground.config.http.host
        service = HttpService(application, host=host, port=port, port_key=port_key)
        self._ground.cleanup.push_async_callback(service.stop)
        await service.start()
        return f"http://{'127.0.0.1' if host in {'0.0.0.0', '::'} else host}:{service.port}"  # noqa: S104 - a comparison


def _push_endpoints(source: SourceConfig) -> Iterator[PushEndpoint]:
    if not source.push.enabled or source.push.token is None:
        return
    for endpoint in source.endpoints:
        poll = source.poll_for(endpoint.kind)
        stream = Stream(source.name, endpoint.kind)
        yield PushEndpoint(stream, source.push.token, source.base_url, poll.max_body_bytes, poll.timeout_seconds)


def _base_urls(config: Config) -> dict[Stream, str]:
    sources = config.sources
    return {Stream(source.name, one.kind): source.base_url for source in sources for one in source.endpoints}
