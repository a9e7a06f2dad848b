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
    if value is None:
        raise Unusable("no messageId")
    if isinstance(value, Source):
        raise Unusable("messageId is not valid text")
    if not isinstance(value, str):
        raise Unusable("messageId is neither a string nor an integer")
    if not value:
        raise Unusable("messageId is empty")
    if len(value) > LONGEST_MESSAGE_ID:
        raise Unusable(f"messageId is longer than {LONGEST_MESSAGE_ID} characters")
    if _CONTROL.search(value):
        raise Unusable("messageId holds control characters")
    return value
