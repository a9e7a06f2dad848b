"""A receiver of reports as somebody writes it who has read Infobip's documents only, and is strict about them.

It imports nothing of the relay and ignores what it does not know, as Infobip asks receivers to; but each documented
field must be there as documented. Timestamps are read by the documented pattern, ``yyyy-MM-dd'T'HH:mm:ss.SSSZ``, whose
``Z`` is an offset without a colon for Java's SimpleDateFormat and DateTimeFormatter, and for Infobip's own clients.
"""

import json
import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

_TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}[+-]\d{4}", re.ASCII)


@dataclass(frozen=True)
class Status:
    group_id: int
    group_name: str
    id: int
    name: str
    description: str


@dataclass(frozen=True)
class Error(Status):
    permanent: bool


@dataclass(frozen=True)
class Report:
    """What the SMS and voice reports of the documents have in common, and what each has of its own."""

    bulk_id: str
    message_id: str
    to: str
    sent_at: datetime
    done_at: datetime
    currency: str
    price: float
    status: Status
    error: Error
    sms_count: int | None = None
    duration: int | None = None
    mcc_mnc: str | None = None
    callback_data: str | None = None
    dtmf_codes: str | None = None
    start_time: datetime | None = None
    file_duration: float | None = None

    @property
    def took(self) -> timedelta:
        return self.done_at - self.sent_at


class Refused(Exception):
    """Answered with 400: the body is not what the documents say."""


def reports_of(content_type: str, body: bytes) -> list[Report]:
    """The reports of one push. Raises Refused."""
    try:
        if content_type.split(";", maxsplit=1)[0] != "application/json":
            raise ValueError(content_type)
        document = json.loads(body)
        if list(document) != ["results"]:
            raise ValueError(f"not results alone: {list(document)}")
        return [_report(result) for result in document["results"]]
    except (ValueError, KeyError, TypeError) as error:
        raise Refused(repr(error)) from error


def _report(result: dict[str, Any]) -> Report:
    price = result["price"]
    return Report(
        bulk_id=_as(str, result["bulkId"]),
        message_id=_as(str, result["messageId"]),
        to=_as(str, result["to"]),
        sent_at=_timestamp(result["sentAt"]),
        done_at=_timestamp(result["doneAt"]),
        currency=_as(str, price["currency"]),
        price=_as((int, float), price["pricePerMessage"] if "pricePerMessage" in price else price["pricePerSecond"]),
        status=Status(**_code(result["status"])),
        error=Error(**_code(result["error"]), permanent=_as(bool, result["error"]["permanent"])),
        sms_count=_optional(int, result, "smsCount"),
        duration=_optional(int, result, "duration"),
        mcc_mnc=_optional(str, result, "mccMnc"),
        callback_data=_optional(str, result, "callbackData"),
        dtmf_codes=_optional(str, result, "dtmfCodes"),
        start_time=_timestamp(result["startTime"]) if "startTime" in result else None,
        file_duration=_optional((int, float), result, "fileDuration"),
    )


def _code(code: dict[str, Any]) -> dict[str, Any]:
    return {
        "group_id": _as(int, code["groupId"]),
        "group_name": _as(str, code["groupName"]),
        "id": _as(int, code["id"]),
        "name": _as(str, code["name"]),
        "description": _as(str, code["description"]),
    }


def _optional(type_: type | tuple[type, ...], result: dict[str, Any], key: str) -> Any:
    return _as(type_, result[key]) if key in result else None


def _as(type_: type | tuple[type, ...], value: Any) -> Any:
    if not isinstance(value, type_):
        raise TypeError(f"{value!r} is no {type_}")
    return value


def _timestamp(text: str) -> datetime:
    if not _TIMESTAMP.fullmatch(text):
        raise ValueError(f'Unparseable date: "{text}"')
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%f%z")
