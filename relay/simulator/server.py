"""The simulator as a server: in a test's own loop (`Simulator`), or until it is cancelled (`serve`)."""

import asyncio
import time
from collections.abc import Iterable
from types import TracebackType
from typing import Any, Self

import structlog
from aiohttp import web

from relay.simulator.control import Control, report_item, state
from relay.simulator.endpoint import ReportsEndpoint
from relay.simulator.faults import Faults
from relay.simulator.files import FilesEndpoint
from relay.simulator.generations import as_sms_3, as_sms_3_log, as_voice_1
from relay.simulator.ledger import Ledger
from relay.simulator.log_rows import LogRows
from relay.simulator.logs import Allowance, LogsEndpoint
from relay.simulator.options import SimulatorOptions, TrafficOptions
from relay.simulator.queue import ReportQueue
from relay.simulator.traffic import Traffic

log = structlog.get_logger(__name__)

REPORTS_PATHS = {"sms": "/sms/1/reports", "voice": "/tts/3/reports", "email": "/email/1/reports"}
LOGS_PATHS = {"sms": "/sms/1/logs", "voice": "/tts/3/logs", "email": "/email/1/logs"}
USUAL_KINDS = ("sms", "voice")
NO_TRAFFIC = TrafficOptions()
MOST_GIVEN_BYTES = 64 << 20
"""Reports that a test gives in one request."""
SHUTDOWN_SECONDS = 1.0


class Simulator:
    """One simulated account.

    ``async with Simulator(SimulatorOptions(...)) as simulator: ... simulator.base_url``. It can be stopped and started
    again on the same port with its queues as they were, like an API that was away.
    """

    def __init__(self, options: SimulatorOptions) -> None:
        self.options = options
        self.faults = Faults(options.faults, options.seed)
        self.ledger = Ledger(options.ledger)
        self._port = options.port
        self._stopping = asyncio.Event()
        self._runner: web.AppRunner | None = None
        started_at_ms = _now_ms()
        allowance = Allowance(options.logs.per_minute)
        self.files = FilesEndpoint(faults=self.faults, credentials=options.credentials, stopping=self._stopping)
        self._endpoints: dict[str, ReportsEndpoint] = {}
        self._logs: dict[str, LogsEndpoint] = {}
        for kind in REPORTS_PATHS:
            given = options.traffic.get(kind, NO_TRAFFIC)
            traffic = Traffic(kind, given, seed=options.seed, started_at_ms=started_at_ms)
            self._endpoints[kind] = self._reports_endpoint(kind, traffic)
            self._logs[kind] = self._logs_endpoint(kind, traffic, allowance)

    @property
    def base_url(self) -> str:
        return f"http://{self.options.host}:{self._port}"

    def enqueue(self, kind: str, reports: Iterable[Any]) -> None:
        """Add reports (objects, or text to be sent as it is) before what is generated."""
        items = [report_item(report) for report in reports]
        self._endpoints[kind].queue.put(items)
        self._logs[kind].rows.add(items)

    def state(self) -> dict[str, Any]:
        """As `GET /simulator/state` answers."""
        return state(self._endpoints, self._logs, self.faults)

    @property
    def drained(self) -> bool:
        """Nothing waits in any queue, and nothing more will come."""
        return all(endpoint.queue.drained for endpoint in self._endpoints.values())

    async def start(self) -> None:
        """Listen. Raises OSError if the port is taken."""
        self._stopping.clear()
        app = web.Application(client_max_size=MOST_GIVEN_BYTES)
        app.add_routes([web.get(REPORTS_PATHS[kind], endpoint.get) for kind, endpoint in self._endpoints.items()])
        app.add_routes([web.get(LOGS_PATHS[kind], endpoint.get) for kind, endpoint in self._logs.items()])
        app.add_routes(
            [
                web.get("/sms/3/reports", self._endpoints["sms"].shaped(as_sms_3)),
                web.get("/voice/1/reports", self._endpoints["voice"].shaped(as_voice_1)),
                web.get("/sms/3/logs", self._logs["sms"].shaped(as_sms_3_log)),
                web.get("/tts/3/files/{message_id}/{to}", self.files.get),
            ]
        )
        app.add_routes(Control(self._endpoints, self._logs, self.faults).routes())
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=SHUTDOWN_SECONDS)
        await runner.setup()
        site = web.TCPSite(runner, self.options.host, self._port, reuse_address=True)
        await site.start()
        self._port = runner.addresses[0][1]
        self._runner = runner

    async def stop(self) -> None:
        """Stop listening and end what hangs; the ledger stays open for another start."""
        self._stopping.set()
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()

    async def close(self) -> None:
        """Stop for good."""
        await self.stop()
        self.ledger.close()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        await self.close()

    def _reports_endpoint(self, kind: str, traffic: Traffic) -> ReportsEndpoint:
        return ReportsEndpoint(
            kind,
            ReportQueue(traffic, _now_ms),
            faults=self.faults,
            ledger=self.ledger,
            credentials=self.options.credentials,
            compress=self.options.compress,
            now_ms=_now_ms,
            stopping=self._stopping,
        )

    def _logs_endpoint(self, kind: str, traffic: Traffic, allowance: Allowance) -> LogsEndpoint:
        return LogsEndpoint(
            LogRows(kind, traffic, _now_ms),
            options=self.options.logs,
            allowance=allowance,
            faults=self.faults,
            credentials=self.options.credentials,
            compress=self.options.compress,
            now_ms=_now_ms,
            stopping=self._stopping,
        )


async def serve(options: SimulatorOptions) -> None:
    """Run until cancelled; says where it listens."""
    async with Simulator(options) as simulator:
        log.info("simulator listens", url=simulator.base_url, seed=options.seed)
        await asyncio.Event().wait()


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
