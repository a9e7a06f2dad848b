"""`/api/v1/replays`: what is sent to a callback again from the journal; begun, watched, paused, ended."""

from collections.abc import Callable, Mapping
from typing import Any

import orjson
import structlog
from aiohttp import web

from relay.config.callback import STATUS_GROUPS
from relay.domain.replay import ReplayCount, ReplayRequest, ReplayRun, ReplaySpan, ReplayState
from relay.domain.report import Stream
from relay.ports import ReplayJournal, ReplayOpen, ReplayTarget
from relay.web.answering import MOST_ID, ONE, answering, as_json, id_in
from relay.web.problem import problem
from relay.web.query import WrongQuery, moment_ms, whole
from relay.web.status import rfc3339

log = structlog.get_logger(__name__)

PATH = "/api/v1/replays"
MOST_LIMIT = 100
KEYS = frozenset({"callback", "since", "until", "source", "kind", "status_groups", "dry_run"})


class ReplayRoutes:
    """The handlers. `target_of` gives a callback by its name, None if there is none now; `wake` whoever replays."""

    def __init__(
        self,
        journal: ReplayJournal,
        *,
        target_of: Callable[[str], ReplayTarget | None],
        wake: Callable[[], None],
        now_ms: Callable[[], int],
    ) -> None:
        self._journal = journal
        self._target_of = target_of
        self._wake = wake
        self._now_ms = now_ms

    def add_to(self, application: web.Application) -> None:
        application.router.add_post(PATH, answering(self._start))
        application.router.add_get(PATH, answering(self._list))
        application.router.add_get(PATH + ONE, answering(self._show))
        application.router.add_post(PATH + ONE + "/pause", answering(self._pause))
        application.router.add_post(PATH + ONE + "/resume", answering(self._resume))
        application.router.add_delete(PATH + ONE, answering(self._cancel))

    async def _start(self, request: web.Request) -> web.Response:
        asked, dry_run = replay_asked(await request.read(), self._now_ms())
        target = self._target_of(asked.callback)
        if target is None:
            return problem(404, f"there is no callback {asked.callback} in the configuration")
        history = {"history_from": rfc3339(await self._journal.replay_history_from_ms(asked))}
        if dry_run:
            counts = await self._journal.count_replay(asked, target.wanted)
            return as_json(_estimate(asked, counts) | history) if counts else _follows_nothing(asked)
        try:
            run = await self._journal.start_replay(asked, self._now_ms())
        except ReplayOpen as open_:
            id_ = open_.replay_id
            return problem(409, f"replay {id_} of {asked.callback} has not ended: resume it, or cancel it first")
        if run is None:
            return _follows_nothing(asked)
        log.info("replay begins", replay=run.id, callback=asked.callback, entries=_entries(run))
        self._wake()
        return as_json(_run(run) | history, status=202, headers={"Location": f"{PATH}/{run.id}"})

    async def _list(self, request: web.Request) -> web.Response:
        limit = whole(request.query, "limit", MOST_LIMIT, 1, MOST_LIMIT)
        before_id = whole(request.query, "before", 0, 1, MOST_ID) or None
        found = await self._journal.list_replays(before_id=before_id, limit=limit)
        return as_json({"replays": [_run(run) for run in found], "next": found[-1].id if len(found) == limit else None})

    async def _show(self, request: web.Request) -> web.Response:
        run = await self._journal.find_replay(id_in(request))
        return _none(request) if run is None else as_json(_run(run))

    async def _pause(self, request: web.Request) -> web.Response:
        return await self._set_state(request, ReplayState.PAUSED)

    async def _resume(self, request: web.Request) -> web.Response:
        return await self._set_state(request, ReplayState.RUNNING)

    async def _cancel(self, request: web.Request) -> web.Response:
        return await self._set_state(request, ReplayState.CANCELLED)

    async def _set_state(self, request: web.Request, state: ReplayState) -> web.Response:
        run = await self._journal.set_replay_state(id_in(request), state, self._now_ms())
        if run is None:
            return _none(request)
        if run.state is not state:
            return problem(409, f"replay {run.id} is {run.state.name.lower()}")
        log.info("replay changed", state=state.name.lower(), replay=run.id, callback=run.request.callback)
        self._wake()
        return as_json(_run(run))


def replay_asked(body: bytes, now_ms: int) -> tuple[ReplayRequest, bool]:
    """`{"callback": "billing", "since": "24h", "until": null, "source": null, "kind": null, "status_groups": null,
    "dry_run": false}`; all but the first two may be left out. Whether only to count, too. Raises WrongQuery."""
    given = _object(body)
    callback = given.get("callback")
    if not isinstance(callback, str) or not callback:
        raise WrongQuery("callback must be the name of a callback")
    since_ms = moment_ms(given.get("since"), "since", now_ms)
    if since_ms is None:
        raise WrongQuery("since must be given: how long ago, 24h for example, or a time with its offset")
    until_ms = moment_ms(given.get("until"), "until", now_ms)
    until_ms = now_ms + 1 if until_ms is None else until_ms
    if until_ms <= since_ms:
        raise WrongQuery("until must be later than since")
    dry_run = given.get("dry_run", False)
    if not isinstance(dry_run, bool):
        raise WrongQuery("dry_run must be true or false")
    groups = _groups(given.get("status_groups"))
    return ReplayRequest(callback, since_ms, until_ms, _name(given, "source"), _name(given, "kind"), groups), dry_run


def _object(body: bytes) -> Mapping[str, Any]:
    try:
        given = orjson.loads(body)
    except orjson.JSONDecodeError:
        given = None
    if not isinstance(given, dict):
        raise WrongQuery('send a JSON object, for example {"callback": "billing", "since": "24h"}')
    unknown = sorted(set(given) - KEYS)
    if unknown:
        raise WrongQuery(f"unknown: {', '.join(unknown)}; there is {', '.join(sorted(KEYS))}")
    return given


def _name(given: Mapping[str, Any], name: str) -> str | None:
    value = given.get(name)
    if value is not None and not isinstance(value, str):
        raise WrongQuery(f"{name} must be a name")
    return value


def _groups(given: object) -> frozenset[int] | None:
    if given is None:
        return None
    if not isinstance(given, list) or not given:
        raise WrongQuery("status_groups must be a list of names or numbers")
    return frozenset(_group(one) for one in given)


def _group(given: object) -> int:
    named = STATUS_GROUPS.get(given.upper()) if isinstance(given, str) else given
    if isinstance(given, str) and given.isascii() and given.isdigit() and len(given) < 10:
        named = int(given)
    if not isinstance(named, int) or isinstance(named, bool) or not 0 <= named < 1 << 31:
        raise WrongQuery(f"a status group must be a number, or one of {', '.join(STATUS_GROUPS)}")
    return named


def _entries(run: ReplayRun) -> int:
    return sum(span.until_seq - span.after_seq for span in run.spans)


def _run(run: ReplayRun) -> dict[str, Any]:
    request = run.request
    reports = sum(span.reports for span in run.spans)
    entries = _entries(run)
    looked_at = sum(min(span.position, span.until_seq) - span.after_seq for span in run.spans)
    return {
        "id": run.id,
        "callback": request.callback,
        "state": run.state.name.lower(),
        "since": rfc3339(request.since_ms),
        "until": rfc3339(request.until_ms),
        "status_groups": None if request.status_groups is None else sorted(request.status_groups),
        "started_at": rfc3339(run.started_at_ms),
        "ended_at": rfc3339(run.ended_at_ms),
        "entries": entries,
        "share_read": 1.0 if run.is_read or not entries else round(looked_at / entries, 4),
        "reports": reports,
        "delivered": max(0, reports - run.pending - run.dead),
        "pending": run.pending,
        "dead": run.dead,
        "waiting": sum(span.waiting for span in run.spans),
        "gone": sum(span.gone for span in run.spans),
        "streams": [_span(span) for span in run.spans],
    }


def _span(span: ReplaySpan) -> dict[str, Any]:
    return {
        "source": span.stream.source,
        "kind": span.stream.kind,
        "after_seq": span.after_seq,
        "until_seq": span.until_seq,
        "position": span.position,
        "reports": span.reports,
        "waiting": span.waiting,
        "gone": span.gone,
    }


def _estimate(request: ReplayRequest, counts: Mapping[Stream, ReplayCount]) -> dict[str, Any]:
    return {
        "dry_run": True,
        "callback": request.callback,
        "since": rfc3339(request.since_ms),
        "until": rfc3339(request.until_ms),
        "reports": sum(count.reports for count in counts.values()),
        "streams": [
            {"source": stream.source, "kind": stream.kind, **count._asdict()} for stream, count in counts.items()
        ],
    }


def _follows_nothing(request: ReplayRequest) -> web.Response:
    return problem(404, f"callback {request.callback} follows no such stream")


def _none(request: web.Request) -> web.Response:
    return problem(404, f"there is no replay {id_in(request)}; those that ended are forgotten after 30 days")
