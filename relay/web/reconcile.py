"""`/api/v1/reconcile`: a comparison with the logs that somebody asks for; its progress, and what is missing."""

import re
from collections.abc import Mapping
from typing import Any, Protocol

import orjson
from aiohttp import web

from relay.domain.comparison import ComparisonRequest, ComparisonRun, MissingReport, StreamComparison
from relay.ports import ComparisonRefused
from relay.web.problem import problem
from relay.web.query import WrongQuery, whole
from relay.web.status import rfc3339

PATH = "/api/v1/reconcile"
MOST_SINCE_SECONDS = 48 * 3600.0
MOST_PAGE = 1000
DURATION = re.compile(r"(\d{1,9}(?:\.\d{1,3})?)([smhd])", re.ASCII)
UNIT_SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
KEYS = frozenset({"since", "dry_run", "include_earlier", "source", "kind"})


class Comparisons(Protocol):
    """Who runs them; one at a time."""

    def start(self, request: ComparisonRequest) -> ComparisonRun: ...
    def last(self) -> ComparisonRun | None: ...
    def missing(self, after: int, limit: int) -> list[MissingReport]: ...
    async def cancel(self) -> None: ...


class ReconcileRoutes:
    """The handlers. A run that is not the last one is gone."""

    def __init__(self, comparisons: Comparisons) -> None:
        self._comparisons = comparisons

    def add_to(self, application: web.Application) -> None:
        one = PATH + "/{id}"
        application.router.add_post(PATH, self._start)
        application.router.add_get(PATH, self._last)
        application.router.add_get(one, self._show)
        application.router.add_delete(one, self._cancel)
        application.router.add_get(one + "/missing", self._missing)

    async def _start(self, request: web.Request) -> web.Response:
        try:
            run = self._comparisons.start(asked(await request.read()))
        except WrongQuery as error:
            return problem(400, str(error))
        except ComparisonRefused as refused:
            return problem(404 if refused.unknown else 400 if refused.wrong else 409, str(refused))
        return _json(_run(run), status=202, headers={"Location": f"{PATH}/{run.id}"})

    async def _last(self, _request: web.Request) -> web.Response:
        run = self._comparisons.last()
        return _json({"run": None if run is None else _run(run)})

    async def _show(self, request: web.Request) -> web.Response:
        run = self._find(request)
        return _none(request) if run is None else _json(_run(run))

    async def _cancel(self, request: web.Request) -> web.Response:
        if self._find(request) is None:
            return _none(request)
        await self._comparisons.cancel()
        return await self._show(request)

    async def _missing(self, request: web.Request) -> web.Response:
        if self._find(request) is None:
            return _none(request)
        try:
            after = whole(request.query, "after", 0, 0, 10**9)
            limit = whole(request.query, "limit", 100, 1, MOST_PAGE)
        except WrongQuery as error:
            return problem(400, str(error))
        found = self._comparisons.missing(after, limit)
        following = after + len(found) if len(found) == limit else None
        return _json({"missing": [_missing(one) for one in found], "next": following})

    def _find(self, request: web.Request) -> ComparisonRun | None:
        run = self._comparisons.last()
        return run if run is not None and run.id == request.match_info["id"] else None


def asked(body: bytes) -> ComparisonRequest:
    """`{"since": "24h", "dry_run": false, "include_earlier": false, "source": null, "kind": null}`; all but `since`
    may be left out. Raises WrongQuery."""
    try:
        given = orjson.loads(body)
    except orjson.JSONDecodeError:
        given = None
    if not isinstance(given, dict):
        raise WrongQuery('send a JSON object, for example {"since": "24h"}')
    unknown = sorted(set(given) - KEYS)
    if unknown:
        raise WrongQuery(f"unknown: {', '.join(unknown)}; there is {', '.join(sorted(KEYS))}")
    return ComparisonRequest(
        since_seconds=duration_seconds(given.get("since")),
        dry_run=_flag(given, "dry_run"),
        include_earlier=_flag(given, "include_earlier"),
        source=_name(given, "source"),
        kind=_name(given, "kind"),
    )


def duration_seconds(text: Any) -> float:
    """`90m`, `24h`, `2d`. Raises WrongQuery, also for more than the logs hold."""
    match = DURATION.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        raise WrongQuery("since must be a number with s, m, h or d, for example 24h")
    seconds = float(match[1]) * UNIT_SECONDS[match[2]]
    if not 0 < seconds <= MOST_SINCE_SECONDS:
        raise WrongQuery("since must be more than nothing and at most 48h: the logs hold no more")
    return seconds


def _flag(given: Mapping[str, Any], name: str) -> bool:
    value = given.get(name, False)
    if not isinstance(value, bool):
        raise WrongQuery(f"{name} must be true or false")
    return value


def _name(given: Mapping[str, Any], name: str) -> str | None:
    value = given.get(name)
    if value is not None and not isinstance(value, str):
        raise WrongQuery(f"{name} must be a name")
    return value


def _run(run: ComparisonRun) -> dict[str, Any]:
    request = run.request
    return {
        "id": run.id,
        "state": run.state.value,
        "dry_run": request.dry_run,
        "include_earlier": request.include_earlier,
        "started_at": rfc3339(run.started_at_ms),
        "ended_at": rfc3339(run.ended_at_ms),
        "missing_listed": run.missing_kept,
        "streams": [_stream(stream) for stream in run.streams],
    }


def _stream(compared: StreamComparison) -> dict[str, Any]:
    return {
        "source": compared.stream.source,
        "kind": compared.stream.kind,
        "state": compared.state.value,
        "since": rfc3339(compared.since_ms),
        "until": rfc3339(compared.until_ms),
        "share_compared": _share(compared),
        "calls": compared.calls,
        "calls_left": compared.calls_left,
        "rows": compared.rows,
        "missing": compared.missing,
        "appended": compared.appended,
        "holes": compared.holes,
        "error": compared.error or None,
    }


def _share(compared: StreamComparison) -> float:
    if compared.since_ms is None or compared.until_ms is None or compared.compared_from_ms is None:
        return 0.0
    whole_ms = compared.until_ms - compared.since_ms + 1
    return 1.0 if whole_ms <= 0 else round((compared.until_ms + 1 - compared.compared_from_ms) / whole_ms, 4)


def _missing(one: MissingReport) -> dict[str, Any]:
    return {
        "source": one.stream.source,
        "kind": one.stream.kind,
        "message_id": one.message_id,
        "outcome": one.outcome,
        "sent_at": rfc3339(one.sent_at_ms),
        "done_at": rfc3339(one.done_at_ms),
        "place": one.place.value,
        "appended": one.appended,
    }


def _none(request: web.Request) -> web.Response:
    return problem(404, f"there is no comparison {request.match_info['id'][:40]}; only the last one is kept")


def _json(body: object, *, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    return web.Response(
        body=orjson.dumps(body),
        status=status,
        content_type="application/json",
        headers={"Cache-Control": "no-store", **(headers or {})},
    )
