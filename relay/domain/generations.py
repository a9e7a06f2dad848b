"""Newer generations of the API: their fields renamed and nested anew, taken back to the names of the documents.

``/sms/3`` and ``/voice/1`` tell the same as ``/sms/1`` and ``/tts/3``. Which of them an entry comes from is seen from
its fields: pushed reports and rows of the logs do not say.
"""

from collections.abc import Mapping
from typing import Any, Final

from relay.domain.fields import FieldType, documented_fields

Fields = dict[str, Any]

RENAMED: Final = {"sender": "from", "destination": "to", "messageCount": "smsCount"}
"""Fields that have another name since."""

NESTED: Final[Mapping[str, Mapping[str, Any]]] = {
    "platform": {"applicationId": FieldType.TEXT, "entityId": FieldType.TEXT},
    "content": {"text": FieldType.TEXT},
    "voiceCall": {
        "startTime": FieldType.TIMESTAMP,
        "answerTime": FieldType.TIMESTAMP,
        "endTime": FieldType.TIMESTAMP,
        "duration": FieldType.INTEGER,
        "fileDuration": FieldType.NUMBER,
        "dtmfCodes": FieldType.TEXT,
        "recordedAudioFileUrl": FieldType.URL,
        "ivr": {"scenarioId": FieldType.TEXT, "scenarioName": FieldType.TEXT},
    },
}
"""Fields that lie in an object since; a mapping is an object within the object."""

MARKS: Final = frozenset({*RENAMED, *NESTED})
"""An entry with none of these needs nothing."""


def as_documented(entry: Fields) -> None:
    """Give the fields of `entry` the names and places of the documents; `entry` is changed, what it nests is not.

    A field that is there already stays: another value for it is left where it came.
    """
    for name, documented in RENAMED.items():
        if name in entry and _settled(entry, documented, entry[name]):
            del entry[name]
    for name, members in NESTED.items():
        nested = entry.get(name)
        if isinstance(nested, dict):
            _replace(entry, name, _taken_out(entry, nested, members))


def newer_fields(name: str = "") -> dict[str, FieldType]:
    """What newer generations have for members of an entry, or (`name`) of one of its nested objects."""
    if not name:
        documented = documented_fields("sms")
        return {**{new: documented[old] for new, old in RENAMED.items()}, **_types(NESTED)}
    return _types(NESTED.get(name, {}))


def _taken_out(entry: Fields, nested: Fields, members: Mapping[str, Any]) -> Fields:
    """What is left of `nested` when the documented fields are taken out."""
    left: Fields = {}
    for key, value in nested.items():
        inner = members.get(key)
        if inner is None:
            left[key] = value
        elif isinstance(inner, FieldType):
            if not _settled(entry, key, value):
                left[key] = value
        elif isinstance(value, dict):
            _replace(left, key, _taken_out(entry, value, inner))
        elif value is not None:
            left[key] = value
    return left


def _settled(entry: Fields, name: str, value: Any) -> bool:
    """Whether `entry` says it now: `value` is nothing, was put there, or stood there before."""
    present = entry.get(name)
    if present is None and value is not None:
        entry[name] = present = value
    return value is None or (type(present) is type(value) and present == value)


def _replace(holder: Fields, name: str, left: Fields) -> None:
    if left:
        holder[name] = left
    else:
        holder.pop(name, None)


def _types(members: Mapping[str, Any]) -> dict[str, FieldType]:
    return {name: what if isinstance(what, FieldType) else FieldType.GROUP for name, what in members.items()}
