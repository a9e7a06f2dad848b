"""What follows from one try at a callback, as a table."""

import pytest

from relay.domain.delivery import (
    AttemptOutcome,
    Dead,
    Decision,
    Delivered,
    Retry,
    Try,
    attempt_outcome,
    decide,
    failure_reason,
)
from relay.domain.retry import RetryPolicy

POLICY = RetryPolicy(initial_seconds=5, max_seconds=36_000, max_age_seconds=259_200)
CREATED_MS = 1_000_000_000_000
DAYS_3_MS = 259_200_000


def after(
    status: int | None,
    *,
    error: str = "",
    retry_after_seconds: float | None = None,
    attempts: int = 1,
    age_ms: int = 0,
    drawn: float = 0.5,
) -> Decision:
    ended = Try(
        status=status,
        error=error,
        retry_after_seconds=retry_after_seconds,
        attempts=attempts,
        created_at_ms=CREATED_MS,
        now_ms=CREATED_MS + age_ms,
    )
    return decide(ended, POLICY, lambda: drawn)


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_two_hundreds_alone_succeed(status: int) -> None:
    assert after(status) == Delivered()
    assert after(status, age_ms=DAYS_3_MS * 2) == Delivered()


@pytest.mark.parametrize(
    "status", [100, 199, 300, 301, 304, 307, 400, 401, 403, 404, 408, 410, 413, 422, 500, 501, 599]
)
def test_everything_else_is_tried_again(status: int) -> None:
    assert after(status) == Retry(CREATED_MS + 2_500, f"HTTP {status}")


def test_no_answer_is_tried_again_with_its_error() -> None:
    assert after(None, error="connection refused") == Retry(CREATED_MS + 2_500, "connection refused")
    assert after(None) == Retry(CREATED_MS + 2_500, "no answer")


@pytest.mark.parametrize(
    ("attempts", "drawn", "wait_ms"),
    [
        (1, 0.0, 0),
        (1, 0.999, 4_995),
        (2, 0.5, 5_000),
        (5, 0.5, 40_000),
        (12, 0.5, 5_120_000),
        (40, 0.5, 18_000_000),
    ],
)
def test_the_schedule_doubles_with_full_jitter(attempts: int, drawn: float, wait_ms: int) -> None:
    assert after(500, attempts=attempts, drawn=drawn) == Retry(CREATED_MS + wait_ms, "HTTP 500")


@pytest.mark.parametrize(
    ("status", "retry_after_seconds", "wait_ms"),
    [
        (429, None, 60_000),
        (429, 10.0, 60_000),
        (429, 120.0, 120_000),
        (429, 31_536_000.0, 36_000_000),
        (503, 0.0, 2_500),
        (503, 90.0, 90_000),
        (503, 31_536_000.0, 36_000_000),
    ],
)
def test_an_overloaded_callback_is_given_the_time_it_asks_for(
    status: int, retry_after_seconds: float | None, wait_ms: int
) -> None:
    decision = after(status, retry_after_seconds=retry_after_seconds)
    assert decision == Retry(CREATED_MS + wait_ms, f"HTTP {status}")


def test_retry_after_is_honoured_with_any_failure() -> None:
    assert after(500, retry_after_seconds=30.0) == Retry(CREATED_MS + 30_000, "HTTP 500")


def test_the_last_try_is_made_at_the_age_limit() -> None:
    assert after(500, attempts=40, age_ms=DAYS_3_MS - 1_000) == Retry(CREATED_MS + DAYS_3_MS, "HTTP 500")


@pytest.mark.parametrize("age_ms", [DAYS_3_MS, DAYS_3_MS + 1, DAYS_3_MS * 10])
def test_past_the_age_limit_it_is_dead(age_ms: int) -> None:
    assert after(500, age_ms=age_ms) == Dead("not delivered within 259200 s; last try: HTTP 500")


def test_a_wait_asked_for_beyond_the_age_limit_ends_there() -> None:
    decision = after(503, age_ms=DAYS_3_MS - 10_000, retry_after_seconds=36_000.0)
    assert decision == Retry(CREATED_MS + DAYS_3_MS, "HTTP 503")


def test_a_callback_that_must_be_left_alone_beyond_the_age_limit_is_given_up() -> None:
    assert after(429, age_ms=DAYS_3_MS - 59_000) == Dead("not delivered within 259200 s; last try: HTTP 429")
    assert isinstance(after(429, age_ms=DAYS_3_MS - 60_000), Retry)


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        (None, AttemptOutcome.NO_ANSWER),
        (200, AttemptOutcome.DELIVERED),
        (302, AttemptOutcome.REDIRECT),
        (404, AttemptOutcome.CLIENT_ERROR),
        (410, AttemptOutcome.GONE),
        (429, AttemptOutcome.RATE_LIMITED),
        (500, AttemptOutcome.SERVER_ERROR),
        (503, AttemptOutcome.SERVER_ERROR),
    ],
)
def test_tries_are_counted_by_outcome(status: int | None, outcome: AttemptOutcome) -> None:
    assert attempt_outcome(status) is outcome


def test_a_failure_names_status_and_error() -> None:
    assert failure_reason(302, "redirect not followed") == "HTTP 302: redirect not followed"
