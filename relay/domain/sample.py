"""A report that never was: what `relay callbacks test` sends, to be told from a real one by its messageId."""

import orjson

from relay.domain.envelope import rfc3339_ms
from relay.domain.report import Entry, EntryType, Origin

PREFIX = "relay-test-"
DELIVERED_GROUP = 3


def sample_entry(kind: str, name: str, at_ms: int) -> Entry:
    """A delivered message or an answered call, as if polled at `at_ms`; its messageId is `name` after PREFIX."""
    message_id = PREFIX + name
    at = rfc3339_ms(at_ms).replace("Z", "+00:00")
    report = {
        "bulkId": PREFIX + "bulk",
        "messageId": message_id,
        "to": "10000000000",
        "sentAt": at,
        "doneAt": at,
        **_OF_KIND.get(kind, {}),
        "callbackData": "a test by `relay callbacks test`, of no message",
        "status": {
            "id": 5,
            "groupId": DELIVERED_GROUP,
            "groupName": "DELIVERED",
            "name": "DELIVERED_TO_HANDSET",
            "description": "Message delivered to handset",
        },
        "error": {
            "id": 0,
            "groupId": 0,
            "groupName": "OK",
            "name": "NO_ERROR",
            "description": "No Error",
            "permanent": False,
        },
    }
    value = orjson.dumps(report)
    return Entry(0, EntryType.REPORT, message_id, 1, Origin.POLL, at_ms, DELIVERED_GROUP, value)


_OF_KIND = {
    "sms": {"smsCount": 1, "mccMnc": "00101", "price": {"pricePerMessage": 0.0, "currency": "EUR"}},
    "voice": {"duration": 10, "mccMnc": "00101", "dtmfCodes": "1", "price": {"pricePerSecond": 0.0, "currency": "EUR"}},
}
"""Mobile country code 001 is for tests."""
