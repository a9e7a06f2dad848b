"""Sequences of reports of one messageId, and what each is taken for."""

import pytest

from relay.domain.dedup import Known, decide
from relay.domain.report import EntryType, Origin, Report

PENDING, DELIVERED, EXPIRED, FAILED = ("26:0", False), ("5:0", True), ("15:0", True), ("9:1", True)
POLL, PUSH, LOGS = Origin.POLL, Origin.PUSH, Origin.LOGS
REPORT, COMPLETION, REVISION = EntryType.REPORT, EntryType.COMPLETION, EntryType.REVISION


def fate(known: Known | None, outcome: tuple[str, bool], origin: Origin) -> tuple[Known | None, str]:
    text, final = outcome
    decision = decide(known, Report("m", text, 3, final, b"{}"), origin)
    if decision is None:
        return known, "duplicate"
    assert decision.known.revision == decision.revision
    return decision.known, f"{decision.type.name} {decision.revision}"


SEQUENCES = {
    "the first is the event": [(DELIVERED, POLL, "REPORT 1")],
    "the first may be pending": [(PENDING, POLL, "REPORT 1")],
    "the first may come from the logs": [(DELIVERED, LOGS, "REPORT 1")],
    "the same again": [(DELIVERED, POLL, "REPORT 1"), (DELIVERED, POLL, "duplicate"), (DELIVERED, PUSH, "duplicate")],
    "poll and push are equally full": [(DELIVERED, PUSH, "REPORT 1"), (DELIVERED, POLL, "duplicate")],
    "final after pending": [(PENDING, POLL, "REPORT 1"), (DELIVERED, POLL, "COMPLETION 2")],
    "final after final": [(DELIVERED, POLL, "REPORT 1"), (EXPIRED, POLL, "REVISION 2")],
    "pending after final": [(DELIVERED, POLL, "REPORT 1"), (PENDING, POLL, "REVISION 2")],
    "pending after another pending": [
        (PENDING, POLL, "REPORT 1"),
        (("7:0", False), POLL, "REVISION 2"),
        (DELIVERED, POLL, "COMPLETION 3"),
        (FAILED, POLL, "REVISION 4"),
    ],
    "a late pending does not make a later final the first": [
        (DELIVERED, POLL, "REPORT 1"),
        (PENDING, POLL, "REVISION 2"),
        (EXPIRED, POLL, "REVISION 3"),
        (PENDING, POLL, "duplicate"),
        (EXPIRED, PUSH, "duplicate"),
        (DELIVERED, POLL, "duplicate"),
    ],
    "fuller after a row from the logs, same outcome": [
        (DELIVERED, LOGS, "REPORT 1"),
        (DELIVERED, POLL, "COMPLETION 2"),
        (DELIVERED, POLL, "duplicate"),
        (DELIVERED, LOGS, "duplicate"),
    ],
    "fuller after a row from the logs, by push": [(DELIVERED, LOGS, "REPORT 1"), (DELIVERED, PUSH, "COMPLETION 2")],
    "fuller after a row from the logs, other outcome": [
        (DELIVERED, LOGS, "REPORT 1"),
        (EXPIRED, POLL, "COMPLETION 2"),
        (FAILED, POLL, "REVISION 3"),
        (DELIVERED, POLL, "COMPLETION 4"),
        (DELIVERED, POLL, "duplicate"),
    ],
    "the same row from the logs again": [(DELIVERED, LOGS, "REPORT 1"), (DELIVERED, LOGS, "duplicate")],
    "a row from the logs after the poll": [(DELIVERED, POLL, "REPORT 1"), (DELIVERED, LOGS, "duplicate")],
    "another outcome from the logs after the poll": [
        (DELIVERED, POLL, "REPORT 1"),
        (EXPIRED, LOGS, "REVISION 2"),
        (EXPIRED, POLL, "COMPLETION 3"),
    ],
    "the logs tell the final outcome": [
        (PENDING, POLL, "REPORT 1"),
        (DELIVERED, LOGS, "COMPLETION 2"),
        (DELIVERED, POLL, "COMPLETION 3"),
    ],
}


@pytest.mark.parametrize("name", SEQUENCES)
def test_sequence(name: str) -> None:
    known: Known | None = None
    for outcome, origin, expected in SEQUENCES[name]:
        known, actual = fate(known, outcome, origin)
        assert actual == expected


def test_an_outcome_is_not_taken_for_one_that_contains_it() -> None:
    known, _ = fate(None, ("15:0", True), POLL)
    assert fate(known, ("5:0", True), POLL)[1] == "REVISION 2"
    known, _ = fate(None, ("5:0", True), POLL)
    assert fate(known, ("5:00", True), POLL)[1] == "REVISION 2"


def test_what_is_kept_of_an_id_is_small_and_bounded() -> None:
    known, _ = fate(None, DELIVERED, POLL)
    assert known == Known("!5:0", 1)
    for number in range(1000):
        known, _ = fate(known, (f"{number + 100}:0", True), POLL)
    assert known is not None
    assert known.revision == 1001
    assert len(known.outcomes) < 32 * 8
    assert fate(known, ("1099:0", True), POLL)[1] == "duplicate"
