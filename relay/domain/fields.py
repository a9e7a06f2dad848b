"""The fields that Infobip documents, with their types, and how a received value becomes one of that type.

A kind that is not SMS or voice has the fields that all reports share; whatever else it carries is passed on as it came.
"""

import re
from collections.abc import Callable
from enum import Enum, auto
from functools import partial
from typing import Any, Final, NamedTuple

from relay.domain.timestamps import rfc3339, rfc3339_from_epoch_ms
from relay.domain.values import INTEGER_TEXT, ExactNumber, Unconvertible, number


class FieldType(Enum):
    """What a documented field holds; `GROUP` is a nested object with documented fields of its own."""

    TEXT = auto()
    TIMESTAMP = auto()
    INTEGER = auto()
    NUMBER = auto()
    FLAG = auto()
    URL = auto()
    GROUP = auto()


_SHARED: Final = {
    "bulkId": FieldType.TEXT,
    "to": FieldType.TEXT,
    "sentAt": FieldType.TIMESTAMP,
    "doneAt": FieldType.TIMESTAMP,
    "mccMnc": FieldType.TEXT,
    "price": FieldType.GROUP,
    "status": FieldType.GROUP,
    "error": FieldType.GROUP,
}
_DOCUMENTED: Final = {
    **_SHARED,
    "from": FieldType.TEXT,
    "text": FieldType.TEXT,
    "smsCount": FieldType.INTEGER,
    "callbackData": FieldType.TEXT,
    "startTime": FieldType.TIMESTAMP,
    "answerTime": FieldType.TIMESTAMP,
    "endTime": FieldType.TIMESTAMP,
    "duration": FieldType.INTEGER,
    "fileDuration": FieldType.NUMBER,
    "dtmfCodes": FieldType.TEXT,
    "recordedAudioFileUrl": FieldType.URL,
    "scenarioId": FieldType.TEXT,
    "scenarioName": FieldType.TEXT,
    "applicationId": FieldType.TEXT,
    "entityId": FieldType.TEXT,
    "campaignReferenceId": FieldType.TEXT,
}
_CODE: Final = {
    "groupId": FieldType.INTEGER,
    "groupName": FieldType.TEXT,
    "id": FieldType.INTEGER,
    "name": FieldType.TEXT,
    "description": FieldType.TEXT,
    "action": FieldType.TEXT,
}
GROUPS: Final = {
    "price": {
        "pricePerMessage": FieldType.NUMBER,
        "pricePerSecond": FieldType.NUMBER,
        "currency": FieldType.TEXT,
    },
    "status": _CODE,
    "error": {**_CODE, "permanent": FieldType.FLAG},
}
"""The documented fields of each nested object."""

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
_ORIGIN = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*:)//[^/?#]+")


def documented_fields(kind: str) -> dict[str, FieldType]:
    """The documented fields of a kind's reports, without `messageId`. SMS and voice share a table: either may turn
    up in the other's logs."""
    return _DOCUMENTED if has_generations(kind) else _SHARED


def has_generations(kind: str) -> bool:
    """Whether several generations of the API have reports of this kind, and what they call things is known."""
    return kind in {"sms", "voice"}


class Base(NamedTuple):
    """A base URL taken apart: ``https:``, ``https://host:port``, and the path that everything is served under."""

    scheme: str
    origin: str
    prefix: str


def base_of(base_url: str) -> Base | None:
    """None if it is no absolute URL."""
    origin = _ORIGIN.match(base_url)
    if origin is None:
        return None
    path = base_url[origin.end() :].partition("?")[0].partition("#")[0]
    return Base(origin[1], origin[0], path.rstrip("/"))


def converter(field: FieldType, base: Base | None) -> Callable[[Any], Any]:
    """What makes a value what its field is documented to hold. It raises `Unconvertible`, or `Inexact` if a float may
    have lost digits."""
    if field is FieldType.URL:
        return partial(absolute_url, base=base)
    return _CONVERTERS[field]


def absolute_url(value: Any, base: Base | None) -> str:
    """A relative address resolved against the source's own.

    The API writes paths as it knows them, without the prefix under which a white label serves it: that prefix is put
    before, unless the path has it already.
    """
    if not isinstance(value, str) or not value or not value.isprintable() or " " in value or "\\" in value:
        raise Unconvertible
    if value[0] != "/" and _SCHEME.match(value):
        return value
    if base is None:
        raise Unconvertible
    if value.startswith("//"):
        return base.scheme + value
    path = value if value[0] == "/" else f"/{value}"
    served = not base.prefix or path == base.prefix or path.startswith(f"{base.prefix}/")
    return base.origin + (path if served else base.prefix + path)


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if isinstance(value, ExactNumber) and INTEGER_TEXT.fullmatch(value.text):
        return value.text
    raise Unconvertible


def _timestamp(value: Any) -> str:
    moment = None
    if isinstance(value, str):
        moment = rfc3339(value)
    elif isinstance(value, (int, float)) and not isinstance(value, bool) and value == int(value):
        moment = rfc3339_from_epoch_ms(int(value))
    if moment is None:
        raise Unconvertible
    return moment


def _integer(value: Any) -> int:
    if isinstance(value, str):
        value = number(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, float) and value.is_integer() and abs(value) < 2.0**53:
        return int(value)
    raise Unconvertible


def _flag(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    spelled = value.strip().lower() if isinstance(value, str) else str(value) if isinstance(value, int) else ""
    if spelled in {"true", "1"}:
        return True
    if spelled in {"false", "0"}:
        return False
    raise Unconvertible


_CONVERTERS: Final[dict[FieldType, Callable[[Any], Any]]] = {
    FieldType.TEXT: _text,
    FieldType.TIMESTAMP: _timestamp,
    FieldType.INTEGER: _integer,
    FieldType.NUMBER: number,
    FieldType.FLAG: _flag,
}
