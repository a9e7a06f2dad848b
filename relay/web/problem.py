"""Errors as problem+json (RFC 9457)."""

from collections.abc import Awaitable, Callable
from http import HTTPStatus

import orjson
import structlog
from aiohttp import web

log = structlog.get_logger(__name__)

CONTENT_TYPE = "application/problem+json"
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def problem(status: int, detail: str, headers: dict[str, str] | None = None) -> web.Response:
    """A response that says what is wrong and what to do."""
    body = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": detail}
    return web.Response(status=status, body=orjson.dumps(body), content_type=CONTENT_TYPE, headers=headers)


@web.middleware
async def errors_as_problems(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Every error in JSON; an unexpected one is logged and tells the caller nothing."""
    try:
        return await handler(request)
    except web.HTTPNotFound:
        return problem(404, "there is nothing at this path; see / for what there is")
    except web.HTTPMethodNotAllowed as error:
        allowed = ", ".join(sorted(error.allowed_methods))
        return problem(405, f"use {allowed}", {"Allow": allowed})
    except web.HTTPRequestEntityTooLarge:
        return problem(413, "the body is too large")
    except web.HTTPException as error:
        if error.status < 400:
            raise
        return problem(error.status, error.reason)
    except Exception:  # a bug here must not reach the caller, nor end anything
        log.exception("request failed", method=request.method, path=request.path)
        return problem(500, "an unexpected error; the log says more")
