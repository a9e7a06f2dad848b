"""The same reports and log rows as newer generations of the API write them."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import orjson

from relay.simulator.traffic import Item

Shape = Callable[[Mapping[str, Any]], dict[str, Any]]

SMS_3_NAMES = {"from": "sender", "smsCount": "messageCount"}
SMS_3_LOG_NAMES = {**SMS_3_NAMES, "to": "destination", "mccmnc": "mccMnc"}
PLATFORM = ("applicationId", "entityId")
VOICE_CALL = ("startTime", "answerTime", "endTime", "duration", "fileDuration", "dtmfCodes")
FEATURE = "Voice-message"


def as_sms_3(report: Mapping[str, Any]) -> dict[str, Any]:
    """`/sms/3/reports`: other names, and the platform apart."""
    shaped = {SMS_3_NAMES.get(name, name): value for name, value in report.items()}
    return _nested(shaped, "platform", PLATFORM)


def as_sms_3_log(row: Mapping[str, Any]) -> dict[str, Any]:
    """`/sms/3/logs`: other names, and the text in the content."""
    shaped = {SMS_3_LOG_NAMES.get(name, name): value for name, value in row.items()}
    return _nested(_nested(shaped, "platform", PLATFORM), "content", ("text",))


def as_voice_1(report: Mapping[str, Any]) -> dict[str, Any]:
    """`/voice/1/reports`: what is told of the call lies apart, and nothing says when it was done."""
    shaped = _nested({name: value for name, value in report.items() if name != "doneAt"}, "voiceCall", VOICE_CALL)
    if "voiceCall" in shaped:
        shaped["voiceCall"] = {"feature": FEATURE, **shaped["voiceCall"]}
    return shaped


def reshaped(items: Sequence[Item], shape: Shape | None) -> Sequence[Item]:
    """The items with their bodies in another shape."""
    return items if shape is None else [item._replace(body=in_shape(item.body, shape)) for item in items]


def in_shape(body: bytes, shape: Shape) -> bytes:
    """What is no object stays as it is."""
    try:
        report = orjson.loads(body)
    except orjson.JSONDecodeError:
        return body
    return orjson.dumps(shape(report)) if isinstance(report, dict) else body


def _nested(report: dict[str, Any], name: str, members: Sequence[str]) -> dict[str, Any]:
    inner = {member: report.pop(member) for member in members if member in report}
    return {**report, name: inner} if inner else report
