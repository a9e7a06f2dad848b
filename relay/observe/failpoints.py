"""Named points at which a test kills this very process: for tests of what survives a kill, and for nothing else.

RELAY_FAILPOINT=publish.committed@3 arms one point (several are separated by commas): at its third hit the process ends
with SIGKILL, as if the machine had died there. Without the variable every point is a call of a function that does
nothing, chosen once when this module is loaded.
"""

import os
import signal
from collections.abc import Callable, Mapping
from enum import StrEnum
from itertools import count

VARIABLE = "RELAY_FAILPOINT"


class Point(StrEnum):
    """Where the process can be made to die. In the order of the flow."""

    INTAKE_MARKED = "intake.marked"
    """The mark is durable, the request has not been sent."""
    INTAKE_READING = "intake.reading"
    """The first piece of a body has come."""
    INTAKE_RECEIVED = "intake.received"
    """The answer is in hand and nowhere else."""
    INTAKE_COMMITTED = "intake.committed"
    """The answer is durable, nobody has been told."""
    JOURNAL_COMMITTING = "journal.committing"
    """A transaction of any stage is written, COMMIT has not been said."""
    JOURNAL_COMMITTED = "journal.committed"
    """COMMIT is done, whoever waits for it has not heard."""
    UNPACK_CLAIMED = "unpack.claimed"
    """A fetch is claimed, not decoded."""
    UNPACK_RECORDING = "unpack.recording"
    """Inside the transaction: the entries are written, COMMIT has not been said."""
    UNPACK_RECORDED = "unpack.recorded"
    """The entries are durable, subscribers have not been woken."""
    PUBLISH_SENDING = "publish.sending"
    """In the middle of a Kafka transaction: the broker has taken some records."""
    PUBLISH_SENT = "publish.sent"
    """All records of the transaction are with the broker, the cursor is not."""
    PUBLISH_ENDING = "publish.ending"
    """Records and cursor are with the broker, the commit has not been asked for."""
    PUBLISH_ENDED = "publish.ended"
    """The broker has committed, nobody here has looked at its answer."""
    PUBLISH_COMMITTED = "publish.committed"
    """The commit is known, the journal's copy of the cursor has not been written."""
    DELIVER_POSTED = "deliver.posted"
    """A callback has answered, the attempt has not been recorded."""
    DELIVER_RECORDED = "deliver.recorded"
    """Attempts and cursor are durable, what follows of them has not happened."""
    REPLAY_FED = "replay.fed"
    """A part of a replay is among the deliveries, with how far it came; nobody has been told."""
    RECONCILE_EXAMINED = "reconcile.examined"
    """The logs have answered, nothing of it is durable."""
    RECONCILE_RECORDED = "reconcile.recorded"
    """What the logs brought is durable, and how far they were walked."""
    RECONCILE_ENDED = "reconcile.ended"
    """Gaps have ended in the journal, nobody has been told."""


class BadFailPoint(ValueError):
    """The variable names no point; the message says which there are."""


def armed(environ: Mapping[str, str] = os.environ) -> dict[Point, int]:
    """The points at which this process will die, and at which hit of each.

    :raises BadFailPoint: the variable cannot be understood.
    """
    wanted = environ.get(VARIABLE, "")
    return dict(_parsed(part.strip()) for part in wanted.split(",")) if wanted else {}


def _parsed(part: str) -> tuple[Point, int]:
    name, _, hit = part.partition("@")
    if name not in set(Point) or not ((hit.isdecimal() and int(hit)) or not hit):
        raise BadFailPoint(f"{VARIABLE}: {part!r} is not POINT or POINT@HIT; points are {', '.join(Point)}")
    return Point(name), int(hit or 1)


def _nothing(_point: Point) -> None:
    """No point is armed."""


def _chosen() -> Callable[[Point], None]:
    try:
        wanted = armed()
    except BadFailPoint:  # told by whoever starts the process
        return _nothing
    if not wanted:
        return _nothing
    hits = {point: count(1) for point in wanted}

    def die_if_meant(point: Point) -> None:
        if point in hits and next(hits[point]) == wanted[point]:
            os.kill(os.getpid(), signal.SIGKILL)

    return die_if_meant


reach: Callable[[Point], None] = _chosen()
"""Say that the process has come to a point."""
