"""What the end of a poll means, and when the next one is due."""

from dataclasses import dataclass

import pytest

from relay.domain.polling import (
    NextPoll,
    Pace,
    PollOutcome,
    PollPolicy,
    Verdict,
    judge,
    limit_to_ask,
    next_poll,
    unpacked_gap,
)
from relay.domain.report import GapCause

REPORTS = b'{"results":[{"messageId":"m1"}]}'
POLICY = PollPolicy(limit=1000, interval_seconds=0.5, max_interval_seconds=5)


@dataclass(frozen=True)
class Answer:
    status: int | None = 200
    body: bytes = REPORTS
    sent: bool = True
    complete: bool = True
    failure: GapCause | None = None
    retry_after_seconds: float | None = None


def verdict(outcome: PollOutcome, gap: GapCause | None = None, *, success: bool = False, keep: bool = False) -> Verdict:
    return Verdict(outcome, gap, success=success, keep_body=keep)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (Answer(), verdict(PollOutcome.OK, success=True, keep=True)),
        (Answer(body=b'{"results":[]}'), verdict(PollOutcome.OK, success=True, keep=True)),
        (Answer(body=b' { "results" : null }'), verdict(PollOutcome.OK, success=True, keep=True)),
        (
            Answer(body=b"<reportResponse><results/></reportResponse>"),
            verdict(PollOutcome.OK, success=True, keep=True),
        ),
        (Answer(status=204, body=b""), verdict(PollOutcome.EMPTY, success=True)),
        (Answer(body=b"<html>502 Bad Gateway</html>"), verdict(PollOutcome.NOT_REPORTS, keep=True)),
        (Answer(body=b"NO_DATA"), verdict(PollOutcome.NOT_REPORTS, keep=True)),
        (Answer(body=b""), verdict(PollOutcome.NOT_REPORTS, GapCause.NOT_REPORTS)),
        (Answer(complete=False), verdict(PollOutcome.TRUNCATED, GapCause.TRUNCATED, keep=True)),
        (
            Answer(complete=False, failure=GapCause.TIMEOUT),
            verdict(PollOutcome.TIMEOUT, GapCause.TIMEOUT, keep=True),
        ),
        (
            Answer(complete=False, failure=GapCause.TOO_LARGE),
            verdict(PollOutcome.TOO_LARGE, GapCause.TOO_LARGE, keep=True),
        ),
        (
            Answer(complete=False, body=b"", failure=GapCause.CONNECTION),
            verdict(PollOutcome.CONNECTION, GapCause.CONNECTION),
        ),
        (
            Answer(status=None, body=b"", complete=False, failure=GapCause.TIMEOUT),
            verdict(PollOutcome.TIMEOUT, GapCause.TIMEOUT),
        ),
        (Answer(status=None, body=b"", complete=False), verdict(PollOutcome.CONNECTION, GapCause.CONNECTION)),
        (Answer(status=None, sent=False, body=b"", complete=False), verdict(PollOutcome.UNREACHABLE)),
        (Answer(status=400, body=b"{}"), verdict(PollOutcome.BAD_REQUEST)),
        (Answer(status=401, body=b'{"requestError":{}}'), verdict(PollOutcome.UNAUTHORIZED)),
        (Answer(status=403, body=b""), verdict(PollOutcome.FORBIDDEN)),
        (Answer(status=404, body=b""), verdict(PollOutcome.CLIENT_ERROR, GapCause.HTTP_STATUS)),
        (Answer(status=429, body=b'{"violations":[]}'), verdict(PollOutcome.RATE_LIMITED)),
        (Answer(status=302, body=b""), verdict(PollOutcome.REDIRECT, GapCause.HTTP_STATUS)),
        (Answer(status=500, body=b"oops"), verdict(PollOutcome.SERVER_ERROR, GapCause.HTTP_STATUS)),
        (Answer(status=500), verdict(PollOutcome.SERVER_ERROR, GapCause.HTTP_STATUS, keep=True)),
        (Answer(status=502, body=b"", complete=False), verdict(PollOutcome.SERVER_ERROR, GapCause.HTTP_STATUS)),
        (Answer(status=203), verdict(PollOutcome.NOT_REPORTS, GapCause.HTTP_STATUS, keep=True)),
    ],
)
def test_verdict(answer: Answer, expected: Verdict) -> None:
    assert judge(answer) == expected


@pytest.mark.parametrize(
    ("status", "asked", "honoured"),
    [(429, 7.0, 7.0), (503, 7.0, 7.0), (429, 31_536_000.0, 3600.0), (429, None, None), (500, 7.0, None)],
)
def test_retry_after_counts_with_429_and_503_and_is_capped(
    status: int, asked: float | None, honoured: float | None
) -> None:
    assert judge(Answer(status=status, body=b"", retry_after_seconds=asked)).retry_after_seconds == honoured


@pytest.mark.parametrize(
    ("fetch_complete", "results_read", "gap"),
    [(True, True, None), (True, False, GapCause.NOT_REPORTS), (False, False, None), (False, True, None)],
)
def test_unpacking_opens_a_gap_for_an_answer_without_results(
    fetch_complete: bool, results_read: bool, gap: GapCause | None
) -> None:
    assert unpacked_gap(fetch_complete=fetch_complete, results_read=results_read) is gap


def after(pace: Pace, answer: Answer, *, entries: int = 0, drawn: float = 0.0, policy: PollPolicy = POLICY) -> NextPoll:
    return next_poll(pace, judge(answer), entries, policy, lambda: drawn)


@pytest.mark.parametrize("entries", [50, 51, 1000])
def test_a_full_answer_is_followed_at_once(entries: int) -> None:
    assert after(Pace(idle_polls=4, failures=3), Answer(), entries=entries) == NextPoll(Pace(), 0.0)


def test_an_answer_is_full_at_the_limit_that_was_asked() -> None:
    small = PollPolicy(limit=10, interval_seconds=0.5, max_interval_seconds=5)
    assert after(Pace(), Answer(), entries=10, policy=small) == NextPoll(Pace(), 0.0)
    assert after(Pace(), Answer(), entries=9, policy=small) == NextPoll(Pace(), 0.5)


def test_a_few_reports_are_followed_after_the_interval() -> None:
    assert after(Pace(idle_polls=4), Answer(), entries=49) == NextPoll(Pace(), 0.5)


def test_the_interval_grows_while_nothing_comes() -> None:
    pace, waits = Pace(), []
    for _ in range(6):
        pace, wait_seconds = after(pace, Answer(status=204, body=b""))
        waits.append(wait_seconds)
    assert waits == [0.5, 1.0, 2.0, 4.0, 5.0, 5.0]
    assert after(Pace(idle_polls=10**6), Answer(status=204, body=b"")).wait_seconds == 5.0


def test_failures_back_off_with_jitter() -> None:
    pace, waits = Pace(), []
    for _ in range(8):
        pace, wait_seconds = after(pace, Answer(status=500, body=b""), drawn=0.5)
        waits.append(wait_seconds)
    assert waits == [0.75, 1.5, 3.0, 6.0, 12.0, 24.0, 45.0, 45.0]
    assert after(pace, Answer(), entries=1) == NextPoll(Pace(), 0.5)


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_source_is_probed_slowly(status: int) -> None:
    pace, waits = Pace(), []
    for _ in range(7):
        pace, wait_seconds = after(pace, Answer(status=status, body=b""))
        waits.append(wait_seconds)
    assert waits == [15.0, 30.0, 60.0, 120.0, 240.0, 300.0, 300.0]


def test_retry_after_replaces_the_backoff_but_not_the_interval() -> None:
    limited = Answer(status=429, body=b"", retry_after_seconds=42.0)
    assert after(Pace(failures=5), limited) == NextPoll(Pace(failures=6), 42.0)
    impatient = Answer(status=429, body=b"", retry_after_seconds=0.0)
    assert after(Pace(), impatient) == NextPoll(Pace(failures=1), 0.5)


def test_a_bad_request_is_repeated_once_without_limit_then_treated_as_refused() -> None:
    bad = Answer(status=400, body=b"")
    assert limit_to_ask(Pace(), POLICY) == 1000
    pace, wait_seconds = after(Pace(), bad)
    assert (limit_to_ask(pace, POLICY), wait_seconds) == (None, 0.0)
    pace, wait_seconds = after(pace, bad)
    assert (limit_to_ask(pace, POLICY), wait_seconds) == (1000, 30.0)
    pace, wait_seconds = after(pace, bad)
    assert (limit_to_ask(pace, POLICY), wait_seconds) == (None, 0.0)


def test_what_works_without_limit_is_asked_without_limit() -> None:
    pace = Pace(failures=1, without_limit=True)
    pace, _ = after(pace, Answer(), entries=3)
    assert limit_to_ask(pace, POLICY) is None
    pace, _ = after(pace, Answer(status=500, body=b""))
    assert limit_to_ask(pace, POLICY) is None
    pace, _ = after(pace, Answer(status=204, body=b""))
    assert limit_to_ask(pace, POLICY) is None
