"""Which messageIds are usable: what identifies a report becomes a Kafka key, a header and a part of addresses."""

import re
from typing import Any

from relay.domain.values import INTEGER_TEXT, ExactNumber, Source

LONGEST_MESSAGE_ID = 256

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


class Unusable(Exception):
    """The entry has no usable messageId."""


def usable_message_id(value: Any) -> str:
    """The messageId as text; an integer as its decimal digits. Raises `Unusable` with the reason."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if isinstance(value, ExactNumber) and INTEGER_TEXT.fullmatch(value.text):
        value = value.text
    if not isinstance(value, str):
        raise Unusable(_NOT_TEXT.get(type(value), "messageId is neither a string nor an integer"))
    if not 0 < len(value) <= LONGEST_MESSAGE_ID:
        raise Unusable(f"messageId is longer than {LONGEST_MESSAGE_ID} characters" if value else "messageId is empty")
    if _CONTROL.search(value):
        raise Unusable("messageId holds control characters")
    return value


_NOT_TEXT = {type(None): "no messageId", Source: "messageId is not valid text"}
