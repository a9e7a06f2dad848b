"""The fields that Infobip documents, with their types, and how a received value becomes one of that type.

A kind that is not SMS or voice has the fields that all reports share; whatever else it carries is passed on as it came.
"""

import re
from enum import Enum, auto
from typing import Any, Final

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
_NOT_IN_URLS = re.compile(r"[\x00-\x20\x7f\\]")
_ORIGIN = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*:)//[^/?#]+")


def documented_fields(kind: str) -> dict[str, FieldType]:
    """The documented fields of a kind's reports, without `messageId`. SMS and voice share a table: either may turn
    up in the other's logs."""
    return _DOCUMENTED if kind in {"sms", "voice"} else _SHARED


def converted(field: FieldType, value: Any, base_url: str) -> Any:
    """The value as its field's type wants it. Raises `Unconvertible`, or `Inexact` if a float may have lost digits."""
    match field:
        case FieldType.TEXT:
            return _text(value)
        case FieldType.TIMESTAMP:
            return _timestamp(value)
        case FieldType.INTEGER:
            return _integer(value)
        case FieldType.NUMBER:
            return number(value)
        case FieldType.FLAG:
            return _flag(value)
        case FieldType.URL:
            return absolute_url(value, base_url)
        case FieldType.GROUP:
            raise Unconvertible


def absolute_url(value: Any, base_url: str) -> str:
    """A relative address resolved against the source's own.

    The API writes paths as it knows them, without the prefix under which a white label serves it: that prefix is put
    before, unless the path has it already.
    """
    if not isinstance(value, str) or not value or _NOT_IN_URLS.search(value):
        raise Unconvertible
    if _SCHEME.match(value):
        return value
    origin = _ORIGIN.match(base_url)
    if origin is None:
        raise Unconvertible
    if value.startswith("//"):
        return origin[1] + value
    prefix = base_url[origin.end() :].partition("?")[0].partition("#")[0].rstrip("/")
    path = value if value.startswith("/") else f"/{value}"
    served = path == prefix or path.startswith(f"{prefix}/")
    return origin[0] + (path if served else prefix + path)


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
