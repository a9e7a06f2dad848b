"""What tests of the callback's HTTP client share."""

import json
import time
from collections.abc import Callable

from relay.domain.report import Entry, EntryType, Origin, Stream
from relay.sinks.callback import HttpCallback

SECRET = "whsec_bmV3IHNlY3JldCBvZiB0d2VudHktZm91cg=="
OLD_SECRET = "whsec_b2xkIHNlY3JldCBvZiB0d2VudHktZm91cg=="
STREAM = Stream("acme", "voice")

Connect = Callable[..., HttpCallback]
"""`connect(url of the receiver unless given, **keys of the configuration)`."""


def entry(message_id: str = "m-1", *, seq: int = 1, revision: int = 1, type_: EntryType = EntryType.REPORT) -> Entry:
    value = json.dumps({"messageId": message_id, "status": {"groupId": 3}}, separators=(",", ":")).encode()
    return Entry(seq, type_, message_id, revision, Origin.POLL, 1_700_000_000_123, 3, value)


def now_ms() -> int:
    return int(time.time() * 1000)
