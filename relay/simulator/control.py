"""The simulator's own endpoints: give it reports, give it faults, ask where it stands. No login: it is a tool."""

from collections.abc import Callable, Mapping
from typing import Any

import orjson
from aiohttp import web

from relay.simulator.endpoint import ReportsEndpoint
from relay.simulator.faults import Faults, parse_fault
from relay.simulator.logs import LogsEndpoint
from relay.simulator.traffic import Item


class Control:
    """`POST /simulator/reports`, `GET|POST|DELETE /simulator/faults`, `GET /simulator/state`."""

    def __init__(
        self, endpoints: Mapping[str, ReportsEndpoint], logs: Mapping[str, LogsEndpoint], faults: Faults
    ) -> None:
        self._endpoints = endpoints
        self._logs = logs
        self._faults = faults

    def routes(self) -> list[web.RouteDef]:
        return [
            web.post("/simulator/reports", _explaining(self.put_reports)),
            web.get("/simulator/faults", self.list_faults),
            web.post("/simulator/faults", _explaining(self.add_faults)),
            web.delete("/simulator/faults", self.clear_faults),
            web.get("/simulator/state", self.state),
        ]

    async def put_reports(self, request: web.Request) -> web.Response:
        """`{"kind":"sms","reports":[{…},…]}`; a report given as text is sent as it is, valid or not.

        They are in the logs too. With `"logs_only": true` they are there alone: somebody else has read the reports.
        """
        given = orjson.loads(await request.read())
        endpoint = self._endpoints.get(given.get("kind"))
        if endpoint is None:
            raise ValueError(f"kind must be one of {sorted(self._endpoints)}")
        items = [report_item(report) for report in given["reports"]]
        self._logs[endpoint.kind].rows.add(items)
        if given.get("logs_only"):
            return _json({"queued": 0})
        endpoint.queue.put(items)
        return _json({"queued": len(items)})

    async def list_faults(self, _request: web.Request) -> web.Response:
        return _json([fault._asdict() for fault in self._faults.rules])

    async def add_faults(self, request: web.Request) -> web.Response:
        """One rule or a list of them, keys as in `faults.Fault`."""
        given = orjson.loads(await request.read())
        rules = [parse_fault(rule) for rule in (given if isinstance(given, list) else [given])]
        self._faults.add(*rules)
        return _json({"added": len(rules)})

    async def clear_faults(self, _request: web.Request) -> web.Response:
        self._faults.clear()
        return _json({})

    async def state(self, _request: web.Request) -> web.Response:
        return _json(state(self._endpoints, self._logs, self._faults))


def state(endpoints: Mapping[str, ReportsEndpoint], logs: Mapping[str, LogsEndpoint], faults: Faults) -> dict[str, Any]:
    """``{"kinds": {kind: {"waiting", "handed_out", "requests", "drained"}}, "logs": {kind: {"requests", "refused"}},
    "faults_injected": {what: times}}``"""
    kinds = {
        kind: {
            "waiting": endpoint.queue.waiting,
            "handed_out": endpoint.queue.handed_out,
            "requests": endpoint.requests,
            "drained": endpoint.queue.drained,
        }
        for kind, endpoint in endpoints.items()
    }
    asked = {kind: {"requests": endpoint.requests, "refused": endpoint.refused} for kind, endpoint in logs.items()}
    return {"kinds": kinds, "logs": asked, "faults_injected": dict(faults.injected)}


def report_item(report: Any) -> Item:
    """A report given by a test: an object, or text to be sent as it is (then it has no id and no outcome)."""
    if isinstance(report, str):
        return Item("", "", "", report.encode())
    if not isinstance(report, dict):
        raise ValueError("a report is an object, or text to be sent as it is")  # noqa: TRY004 - it is the input's fault
    outcome = f"{_id_of(report.get('status'))}:{_id_of(report.get('error'))}"
    return Item(str(report.get("messageId", "")), str(report.get("bulkId", "")), outcome, orjson.dumps(report))


def _id_of(part: Any) -> Any:
    return part.get("id", "-") if isinstance(part, dict) else "-"


def _explaining(handler: Callable[[web.Request], Any]) -> Callable[[web.Request], Any]:
    """Answers what is wrong with the input with 400."""

    async def handle(request: web.Request) -> web.Response:
        try:
            response: web.Response = await handler(request)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            return _json({"error": f"{type(error).__name__}: {error}"}, status=400)
        return response

    return handle


def _json(value: Any, *, status: int = 200) -> web.Response:
    return web.Response(body=orjson.dumps(value), status=status, content_type="application/json")
