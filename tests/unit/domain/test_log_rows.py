"""Rows of the logs: when they were done, and which of them are lost reports."""

import pytest

from relay.domain.comparison import Place, RunState, StreamComparison, overall, place_of
from relay.domain.decode import decode_body
from relay.domain.gaps import Window
from relay.domain.log_rows import FoundRow, LogRow, choose, log_rows
from relay.domain.report import Report, Stream

WINDOWS = (Window(1, 1000, 2000, 1900, 1000), Window(2, 1800, 3000, 2900, 1800))
BODY = b"""{"results":[
 {"messageId":"a","sentAt":"2015-02-23T17:40:31.773+0100","doneAt":"2015-02-23T17:40:31.787+0100","status":{"id":5}},
 {"messageId":"b","sentAt":"2015-02-23T16:40:31Z"},
 {"messageId":"c","doneAt":"soon"},
 {"no":"id"}]}"""


def report(message_id: str, *, final: bool = True) -> Report:
    return Report(message_id, "5:0", 3, final, b"{}")


def row(message_id: str, done_ms: int | None, *, final: bool = True) -> LogRow:
    return LogRow(report(message_id, final=final), 0, done_ms)


def test_rows_say_when_they_were_sent_and_done() -> None:
    decoded = decode_body(BODY, kind="voice", base_url="https://x.example", complete=True)
    assert [(one.report.message_id, one.sent_ms, one.done_ms) for one in log_rows(decoded.entries)] == [
        ("a", 1424709631773, 1424709631787),
        ("b", 1424709631000, 1424709631000),
        ("c", None, None),
    ]


def test_only_final_rows_of_a_window_count() -> None:
    rows = [
        row("in", 1500),
        row("pending", 1500, final=False),
        row("when?", None),
        row("after", 3001),
        row("two", 2500),
    ]
    chosen = choose(rows, WINDOWS, earlier=range(700, 900))
    assert chosen.found == [FoundRow(report("in"), 1), FoundRow(report("two"), 2)]
    assert chosen.earlier == []


def test_rows_from_before_the_first_poll_are_kept_apart() -> None:
    rows = [row("before", 899), row("then", 900), row("waiting", 899, final=False), row("long before", 699)]
    assert choose(rows, WINDOWS, earlier=range(700, 900)).earlier == [report("before")]
    assert choose(rows, WINDOWS, earlier=range(0)).earlier == []


@pytest.mark.parametrize(
    ("done", "first_poll", "place"),
    [
        (1500, 900, (Place.GAP, 1)),
        (950, 900, (Place.ELSEWHERE, None)),
        (899, 900, (Place.EARLIER, None)),
        (950, None, (Place.EARLIER, None)),
    ],
)
def test_where_a_missing_report_stands(done: int, first_poll: int | None, place: tuple[Place, int | None]) -> None:
    assert place_of(done, WINDOWS, first_poll) == place


@pytest.mark.parametrize(
    ("states", "state"),
    [
        ([RunState.DONE, RunState.DONE], RunState.DONE),
        ([RunState.DONE, RunState.INCOMPLETE], RunState.INCOMPLETE),
        ([RunState.FAILED, RunState.INCOMPLETE, RunState.DONE], RunState.FAILED),
    ],
)
def test_a_run_is_as_good_as_the_worst_of_its_streams(states: list[RunState], state: RunState) -> None:
    assert overall([StreamComparison(Stream("acme", "sms"), one) for one in states]) is state
