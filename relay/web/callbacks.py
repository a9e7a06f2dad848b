"""`/api/v1/callbacks`: how each callback stands; pause it, resume it, send it a sample."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Protocol

import orjson
import structlog
from aiohttp import web

from relay.domain.delivery import is_success
from relay.domain.figures import CallbackFigures
from relay.domain.pausing import GateState, Standing
from relay.domain.report import Stream
from relay.observe.redact import mask
from relay.ports import FiguresJournal, JournalError, JournalFatal, SampleSent
from relay.web.problem import problem
from relay.web.query import WrongQuery
from relay.web.reading import FiguresReader
from relay.web.status import rfc3339

log = structlog.get_logger(__name__)

PATH = "/api/v1/callbacks"
MOST_REASON_CHARACTERS = 200
SHOWN_ANSWER_BYTES = 1024
NOTHING = CallbackFigures(0, None, 0)


class Control(Protocol):
    """One callback."""

    @property
    def url(self) -> str: ...
    @property
    def streams(self) -> Sequence[Stream]: ...
    @property
    def standing(self) -> Standing: ...
    async def pause(self, reason: str) -> bool: ...
    async def resume(self) -> bool: ...
    async def test(self, stream: Stream) -> SampleSent: ...


class CallbackRoutes:
    """The handlers. `controls` by name; whoever owns it may change what is in it at any time."""

    def __init__(self, controls: Mapping[str, Control], *, journal: FiguresJournal, now_ms: Callable[[], int]) -> None:
        self._controls = controls
        self._reader = FiguresReader(journal, now_ms)
        self._now_ms = now_ms

    def add_to(self, application: web.Application) -> None:
        one = PATH + "/{name}"
        application.router.add_get(PATH, self._list)
        application.router.add_get(one, _answering(self._show))
        application.router.add_post(one + "/pause", _answering(self._pause))
        application.router.add_post(one + "/resume", _answering(self._resume))
        application.router.add_post(one + "/test", _answering(self._test))

    async def _list(self, _request: web.Request) -> web.Response:
        controls = sorted(self._controls.items())
        return _json({"callbacks": [await self._shown(name, control) for name, control in controls]})

    async def _show(self, request: web.Request) -> web.Response:
        return _json(await self._shown(*self._find(request)))

    async def _pause(self, request: web.Request) -> web.Response:
        name, control = self._find(request)
        reason = _word(await _object(request, "reason"), "reason", MOST_REASON_CHARACTERS) or ""
        was_paused = await control.pause(reason)
        return _json({**await self._shown(name, control), "was_paused": was_paused})

    async def _resume(self, request: web.Request) -> web.Response:
        name, control = self._find(request)
        resumed = await control.resume()
        return _json({**await self._shown(name, control), "resumed": resumed})

    async def _test(self, request: web.Request) -> web.Response:
        name, control = self._find(request)
        kind = _word(await _object(request, "kind"), "kind", MOST_REASON_CHARACTERS)
        stream = next((one for one in control.streams if kind in {None, one.kind}), None)
        if stream is None:
            return problem(409, f"callback {name} follows no stream" + (f" of kind {kind}" if kind else ""))
        return _json(_sent(name, stream, await control.test(stream)))

    def _find(self, request: web.Request) -> tuple[str, Control]:
        name = request.match_info["name"]
        control = self._controls.get(name)
        if control is None:
            raise _Unknown(name)
        return name, control

    async def _shown(self, name: str, control: Control) -> dict[str, Any]:
        """Without figures, if the journal has none now: how the callback stands is known all the same."""
        figures = (await self._reader.read()).figures
        known = None if figures is None else figures.callbacks.get(name, NOTHING)
        return {
            "name": name,
            "url": control.url,
            **_standing(control.standing, self._now_ms()),
            "backlog": None if known is None else known.backlog,
            "oldest_backlog_at": None if known is None else rfc3339(known.oldest_backlog_at_ms),
            "dead_letters": None if known is None else known.dead_letters,
        }


class _Unknown(Exception):
    """There is no such callback."""


Handler = Callable[[web.Request], Awaitable[web.Response]]


def _answering(handler: Handler) -> Handler:
    async def answer(request: web.Request) -> web.Response:
        try:
            return await handler(request)
        except _Unknown as error:
            return problem(404, f"there is no callback {error} in the configuration")
        except WrongQuery as error:
            return problem(400, str(error))
        except (JournalError, JournalFatal) as error:
            log.warning("callback's pause cannot be kept", error=str(error))
            detail = f"it is in force, but a restart may undo it, the journal does not take it: {error}"
            return problem(503, mask(detail), {"Retry-After": "5"})

    return answer


async def _object(request: web.Request, key: str) -> dict[str, Any]:
    """The JSON object in the body, if there is one; only `key` may be in it."""
    body = await request.read()
    if not body:
        return {}
    try:
        given = orjson.loads(body)
    except orjson.JSONDecodeError:
        given = None
    if not isinstance(given, dict) or set(given) - {key}:
        raise WrongQuery(f'send nothing, or a JSON object with "{key}"')
    return given


def _word(given: Mapping[str, Any], key: str, most: int) -> str | None:
    value = given.get(key)
    if value is None:
        return None
    if not isinstance(value, str) or len(value) > most:
        raise WrongQuery(f"{key} must be a text of at most {most} characters")
    return value


def _standing(standing: Standing, now_ms: int) -> dict[str, Any]:
    since_ms = None
    if standing.pause is not None:
        since_ms = standing.pause.at_ms
    elif standing.state is GateState.HALF_OPEN and standing.failing_seconds is not None:
        since_ms = now_ms - round(standing.failing_seconds * 1000)
    return {
        "state": standing.state.value,
        "paused_by": standing.pause.by.value if standing.pause else None,
        "reason": mask(standing.reason) if standing.failures or standing.pause else None,
        "since": rfc3339(since_ms),
        "failures_in_a_row": standing.failures,
        "in_flight": standing.in_flight,
    }


def _sent(name: str, stream: Stream, sent: SampleSent) -> dict[str, Any]:
    result = sent.result
    return {
        "callback": name,
        "source": stream.source,
        "kind": stream.kind,
        "message_id": sent.message_id,
        "webhook_id": sent.webhook_id,
        "delivered": is_success(result.status),
        "status": result.status,
        "error": result.error or None,
        "seconds": round(result.duration_seconds, 3),
        "answer": result.answer[:SHOWN_ANSWER_BYTES].decode(errors="replace"),
    }


def _json(body: object) -> web.Response:
    headers = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
    return web.Response(body=orjson.dumps(body), content_type="application/json", headers=headers)
