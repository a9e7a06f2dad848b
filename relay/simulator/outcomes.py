"""Status and error codes that reports carry, as the API documents them, with how often they occur."""

from typing import Any, NamedTuple

PENDING = 1


class Outcome(NamedTuple):
    """How a message ended."""

    weight: int
    status: dict[str, Any]
    error: dict[str, Any]

    @property
    def final(self) -> bool:
        return bool(self.status["groupId"] != PENDING)

    @property
    def label(self) -> str:
        """`{status.id}:{error.id}`, as the ledger writes it."""
        return f"{self.status['id']}:{self.error['id']}"


STATUS_GROUPS = {PENDING: "PENDING", 2: "UNDELIVERABLE", 3: "DELIVERED", 4: "EXPIRED", 5: "REJECTED"}
ERROR_GROUPS = {0: "OK", 1: "HANDSET_ERRORS", 2: "USER_ERRORS", 3: "OPERATOR_ERRORS"}


def _status(group: int, code: int, name: str, description: str) -> dict[str, Any]:
    return {
        "groupId": group,
        "groupName": STATUS_GROUPS[group],
        "id": code,
        "name": name,
        "description": description,
    }


def _error(group: int, code: int, name: str, description: str, *, permanent: bool) -> dict[str, Any]:
    return {
        "groupId": group,
        "groupName": ERROR_GROUPS[group],
        "id": code,
        "name": name,
        "description": description,
        "permanent": permanent,
    }


NO_ERROR = _error(0, 0, "NO_ERROR", "No Error", permanent=False)
TO_HANDSET = _status(3, 5, "DELIVERED_TO_HANDSET", "Message delivered to handset")
TO_OPERATOR = _status(3, 2, "DELIVERED_TO_OPERATOR", "Message delivered to operator")
ENROUTE = _status(1, 7, "PENDING_ENROUTE", "Message sent to next instance")
NOT_DELIVERED = _status(2, 9, "UNDELIVERABLE_NOT_DELIVERED", "Message sent not delivered")
REJECTED_OPERATOR = _status(2, 4, "UNDELIVERABLE_REJECTED_OPERATOR", "Message rejected by operator")
EXPIRED = _status(4, 15, "EXPIRED_EXPIRED", "Message expired")
REJECTED_NETWORK = _status(5, 6, "REJECTED_NETWORK", "Network is forbidden")
NOT_ENOUGH_CREDITS = _status(5, 12, "REJECTED_NOT_ENOUGH_CREDITS", "Not enough credits")

SMS_OUTCOMES = (
    Outcome(70, TO_HANDSET, NO_ERROR),
    Outcome(8, TO_OPERATOR, NO_ERROR),
    Outcome(6, NOT_DELIVERED, _error(1, 27, "EC_ABSENT_SUBSCRIBER", "Absent Subscriber", permanent=False)),
    Outcome(4, NOT_DELIVERED, _error(1, 1, "EC_UNKNOWN_SUBSCRIBER", "Unknown Subscriber", permanent=True)),
    Outcome(3, EXPIRED, _error(1, 31, "EC_SUBSCRIBER_BUSY_FOR_MT_SMS", "Subscriber Busy For Mt SMS", permanent=False)),
    Outcome(2, REJECTED_OPERATOR, _error(1, 13, "EC_CALL_BARRED", "Call Barred", permanent=False)),
    Outcome(2, REJECTED_NETWORK, NO_ERROR),
    Outcome(1, NOT_ENOUGH_CREDITS, NO_ERROR),
    Outcome(4, ENROUTE, NO_ERROR),
)

VOICE_OUTCOMES = (
    Outcome(60, TO_HANDSET, _error(0, 5000, "VOICE_ANSWERED", "Call answered by human", permanent=True)),
    Outcome(10, TO_HANDSET, _error(0, 5001, "VOICE_ANSWERED_MACHINE", "Call answered by machine", permanent=True)),
    Outcome(
        14,
        NOT_DELIVERED,
        _error(3, 5003, "EC_VOICE_NO_ANSWER", "User was notified, but did not answer call", permanent=True),
    ),
    Outcome(8, NOT_DELIVERED, _error(3, 5002, "EC_VOICE_USER_BUSY", "User was busy during call", permanent=True)),
    Outcome(3, NOT_DELIVERED, _error(1, 5603, "EC_DECLINE", "Call declined", permanent=False)),
    Outcome(
        2,
        EXPIRED,
        _error(
            1, 5480, "EC_VOICE_ERROR_TEMPORARILY_NOT_AVAILABLE", "User was temporarily not available", permanent=False
        ),
    ),
    Outcome(3, ENROUTE, NO_ERROR),
)
