"""How the operators' API answers: JSON that nobody keeps, and errors as problems."""

from collections.abc import Awaitable, Callable

import orjson
import structlog
from aiohttp import web

from relay.observe.redact import mask
from relay.ports import JournalError, JournalFatal
from relay.web.problem import problem
from relay.web.query import WrongQuery

log = structlog.get_logger(__name__)

MOST_ID = 2**63 - 1
"""What SQLite can compare; ids are smaller."""

ONE = r"/{id:\d{1,19}}"
"""The path of one thing that has an id."""

Handler = Callable[[web.Request], Awaitable[web.Response]]


def answering(handler: Handler) -> Handler:
    """400 for what was asked wrongly, 503 while the journal cannot be asked."""

    async def answer(request: web.Request) -> web.Response:
        try:
            return await handler(request)
        except WrongQuery as error:
            return problem(400, str(error))
        except (JournalError, JournalFatal) as error:
            log.warning("journal cannot be asked", path=request.path, error=str(error))
            return problem(503, mask(f"not now: {error}"), {"Retry-After": "5"})

    return answer


def as_json(body: object, *, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    kept_from = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
    return web.Response(
        body=orjson.dumps(body),
        status=status,
        content_type="application/json",
        headers={**kept_from, **(headers or {})},
    )


def id_in(request: web.Request) -> int:
    """Of the path."""
    return min(int(request.match_info["id"]), MOST_ID)
