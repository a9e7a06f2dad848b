"""When all that is journaled has come out."""

import pytest

from relay.domain.figures import CallbackFigures, JournalFigures, StreamFigures
from relay.domain.report import Stream

EMPTY = StreamFigures(0, 0, None, 3, 1, 2, None, 9, 9)


def figures(stream: StreamFigures, backlog: int = 0) -> JournalFigures:
    streams = {Stream("acme", "sms"): EMPTY, Stream("acme", "voice"): stream}
    return JournalFigures(streams, {"billing": CallbackFigures(backlog, None, 7)}, 0, 0, writable=True)


@pytest.mark.parametrize(
    ("stream", "backlog", "callbacks", "drained"),
    [
        (EMPTY, 0, True, True),
        (EMPTY._replace(fetches_pending=1), 0, False, False),
        (EMPTY._replace(unpublished=1), 0, False, False),
        (EMPTY, 1, False, True),
        (EMPTY, 1, True, False),
    ],
)
def test_drained(stream: StreamFigures, backlog: int, callbacks: bool, drained: bool) -> None:
    assert figures(stream, backlog).drained(callbacks=callbacks) is drained
