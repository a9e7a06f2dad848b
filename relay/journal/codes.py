"""How words are kept as small numbers. They are in files on disks: a number never changes its meaning."""

from relay.domain.report import EntryType, Origin

ORIGINS = (Origin.POLL, Origin.PUSH, Origin.LOGS)
ORIGIN_CODES = {origin: code for code, origin in enumerate(ORIGINS)}

ENTRY_TYPES = {int(type_): type_ for type_ in EntryType}

PENDING, DEAD = 0, 1
"""States of a delivery."""

DELIVERED, RETRIED, GIVEN_UP = 0, 1, 2
"""Results of an attempt."""

RESULTS = {DELIVERED: "delivered", RETRIED: "retry", GIVEN_UP: "dead"}
"""What people call them."""

KAFKA = "kafka"


def callback_name(callback: str) -> str:
    """The name of a callback's subscription: a callback may be called kafka."""
    return f"callback/{callback}"
