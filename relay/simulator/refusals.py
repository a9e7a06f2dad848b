"""Who may read and what they may ask, and the API's own error answers."""

import base64
import binascii
from collections.abc import Mapping
from typing import Any

import orjson

from relay.simulator.options import Credentials

DEFAULT_LIMIT = 50
MAX_LIMIT = 1000
TEXTS = {
    400: ("BAD_REQUEST", "Bad request"),
    401: ("UNAUTHORIZED", "Invalid login details"),
    403: ("FORBIDDEN", "Unauthorized access"),
    429: ("TOO_MANY_REQUESTS", "Too many requests"),
    503: ("SERVICE_UNAVAILABLE", "Service unavailable"),
}


class Refused(Exception):
    """The request gets an error answer instead of reports."""

    def __init__(self, status: int, text: str | None = None, *, retry_after: str | None = None) -> None:
        super().__init__(text or status)
        self.status = status
        self.text = text
        self.retry_after = retry_after


def error_body(status: int, text: str | None = None) -> bytes:
    """`{"requestError":{"serviceException":{"messageId":…,"text":…}}}`"""
    message_id, usual_text = TEXTS.get(status, ("GENERAL_ERROR", "Internal server error"))
    exception: dict[str, Any] = {"messageId": message_id, "text": text or usual_text}
    return orjson.dumps({"requestError": {"serviceException": exception}})


def authorized(header: str | None, credentials: Credentials) -> bool:
    """Basic, `App`, `Bearer` and `IBSSO`, the scheme in any case."""
    scheme, _, value = (header or "").partition(" ")
    match scheme.lower():
        case "basic":
            return _decoded(value) == f"{credentials.username}:{credentials.password}"
        case "app":
            return value == credentials.api_key
        case "bearer" | "ibsso":
            return value == credentials.token
        case _:
            return False


def asked_limit(query: Mapping[str, str]) -> int:
    """The `limit` parameter, DEFAULT_LIMIT without one. Raises Refused (400) unless it is 1 to MAX_LIMIT."""
    given = query.get("limit")
    if given is None:
        return DEFAULT_LIMIT
    if not (given.isascii() and given.isdigit() and 1 <= int(given[:6]) <= MAX_LIMIT):
        raise Refused(400, f"limit must be between 1 and {MAX_LIMIT}")
    return int(given)


def _decoded(value: str) -> str | None:
    try:
        return base64.b64decode(value, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return None
