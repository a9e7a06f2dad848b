"""The last guard before a line is written: secrets, phone numbers and message contents do not pass.

What reaches a log line should hold none of them in the first place; this is for the exception text and the foreign
library that nobody thought of.
"""

import base64
import json
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any
from urllib.parse import quote, quote_plus

HIDDEN = "[hidden]"
SECRET = "[secret]"  # noqa: S105 - what stands in a secret's place
SHORTEST_SECRET = 4
"""Shorter ones are not looked for: they would tear holes into every other word."""
MAX_DEPTH = 8
MAX_CHARACTERS = 16_384
"""Of one value; what the API or a callback answered may be of any length."""

CONTENT_KEYS = frozenset(
    {"to", "from", "text", "callbackdata", "callback_data", "sender", "destination", "phone", "msisdn", "content"}
)
"""Fields of a report that say who was told what; under these names nothing is logged, whatever it is."""
SECRET_KEYS = frozenset(
    {"authorization", "proxy-authorization", "password", "token", "secret", "secrets", "api_key", "cookie"}
)

PHONE_NUMBER = re.compile(
    r"""
    (?P<uuid>[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})   # a messageId as they usually are: left alone
    | (?<!\d)(?:\+|%2B)\d[\d ()/.-]{5,20}\d(?!\d)           # +41 79 302 67 27
    | (?<!\w)(?<!\d\.)(?:00)?\d{8,15}(?!\w|\.\d)           # 41793026727, but no part of an id or a fraction
    """,
    re.VERBOSE | re.IGNORECASE,
)


class Redactor:
    """Masks what it is given. `secrets` is asked each time, since a secret may be renewed; old ones stay masked."""

    def __init__(self, secrets: Callable[[], Iterable[str]] = tuple) -> None:
        self._secrets = secrets
        self._known: set[str] = set()
        self._pattern: re.Pattern[str] | None = None

    def event(self, event: Mapping[str, Any]) -> dict[str, Any]:
        """A log event with every value made fit to be shown."""
        self._learn()
        return {self.text(str(key)): self._field(str(key), value, 0) for key, value in event.items()}

    def shown(self, text: str) -> str:
        """One text made fit to be shown."""
        self._learn()
        return self.text(text)

    def text(self, text: str) -> str:
        """As `shown`, by the secrets known since the last event."""
        if self._pattern is not None:
            text = self._pattern.sub(SECRET, text)
        text = PHONE_NUMBER.sub(_masked_number, text)
        return text if len(text) <= MAX_CHARACTERS else f"{text[:MAX_CHARACTERS]}… ({len(text)} characters)"

    def _learn(self) -> None:
        values = {value for value in self._secrets() if len(value) >= SHORTEST_SECRET} - self._known
        if values:
            self._known |= values
            forms = {form for value in self._known for form in _forms(value)}
            longest_first = sorted(forms, key=len, reverse=True)
            self._pattern = re.compile("|".join(map(re.escape, longest_first)))

    def _field(self, key: str, value: Any, depth: int) -> Any:
        name = key.lower()
        if name in CONTENT_KEYS:
            return HIDDEN
        if name in SECRET_KEYS and isinstance(value, str | bytes) and value != "configured":
            return SECRET
        return self._value(value, depth)

    def _value(self, value: Any, depth: int) -> Any:
        match value:
            case None | bool() | int() | float():
                return value
            case bytes() | bytearray() | memoryview():
                return f"<{len(value)} bytes>"
            case Mapping() | list() | tuple() | set() | frozenset():
                return self._collection(value, depth + 1) if depth < MAX_DEPTH else HIDDEN
            case _:
                return self.text(_shown(value))

    def _collection(self, value: Mapping[Any, Any] | Iterable[Any], depth: int) -> Any:
        if isinstance(value, Mapping):
            return {self.text(str(key)): self._field(str(key), item, depth) for key, item in value.items()}
        return [self._value(item, depth) for item in value]


def _forms(value: str) -> set[str]:
    """The ways in which a secret turns up: as it is, in JSON, in a URL, in an Authorization header."""
    encoded = base64.b64encode(value.encode("utf-8", "surrogatepass")).decode("ascii")
    return {value, json.dumps(value)[1:-1], quote(value, safe=""), quote_plus(value), encoded}


def _shown(value: Any) -> str:
    try:
        return str(value)
    except Exception as error:  # noqa: BLE001 - a broken __str__ must not cost the line
        return f"<{type(value).__name__}: {type(error).__name__}>"


def _masked_number(match: re.Match[str]) -> str:
    return match[0] if match["uuid"] else f"***{match[0][-2:]}"


_current = Redactor()


def use(redactor: Redactor) -> None:
    """From now on the whole process masks by this one: the log, and what is shown elsewhere."""
    global _current  # noqa: PLW0603 - as the log itself, there is one for the process
    _current = redactor


def mask_fields(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a report, or of anything else, as they may be shown."""
    return _current.event(fields)


def mask(text: str) -> str:
    """`text` as it may be shown."""
    return _current.shown(text)
