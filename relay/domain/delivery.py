"""What follows from one HTTP try at a callback: delivered, tried again later, or given up.

Only a 2xx is a success. Everything else is tried again on the schedule until the delivery is too old: an endpoint
that was deployed wrongly for an hour must lose nothing. What an answer means for the callback's other deliveries, a
pause (410) or a slower pace (`SLOW_DOWN`), is for the callback's gate.
"""

from enum import StrEnum
from typing import NamedTuple

from relay.domain.retry import Random, RetryPolicy, full_jitter_seconds, honoured_seconds

AFTER_RATE_LIMIT_SECONDS = 60.0
"""The least wait after a 429, whatever the schedule or its Retry-After say."""

SLOW_DOWN = frozenset({429, 502, 503, 504})
"""Answers of a callback, or of what stands before it, that has too much to do."""


class AttemptOutcome(StrEnum):
    """How a try ended, as counted in `callback_attempts_total`."""

    DELIVERED = "delivered"
    REDIRECT = "redirect"
    CLIENT_ERROR = "client_error"
    GONE = "gone"
    RATE_LIMITED = "rate_limited"
    SERVER_ERROR = "server_error"
    NO_ANSWER = "no_answer"


class Delivered(NamedTuple):
    """The callback has it."""


class Retry(NamedTuple):
    """Try again at `at_ms`."""

    at_ms: int
    reason: str


class Dead(NamedTuple):
    """Given up; it becomes a dead letter."""

    reason: str


Decision = Delivered | Retry | Dead


class Try(NamedTuple):
    """One HTTP try that has ended. `attempts` counts it too; `status` is None when no answer came."""

    status: int | None
    error: str
    retry_after_seconds: float | None
    attempts: int
    created_at_ms: int
    now_ms: int


def decide(ended: Try, policy: RetryPolicy, random: Random) -> Decision:
    """Full jitter on an exponential schedule; Retry-After is honoured up to `policy.max_seconds`.

    The last try is made when the delivery reaches `policy.max_age_seconds`, also if the server asks to wait beyond
    that; only what was refused with a 429 so shortly before that it cannot be left alone is given up now.
    """
    if is_success(ended.status):
        return Delivered()
    reason = failure_reason(ended.status, ended.error)
    deadline_ms = ended.created_at_ms + round(policy.max_age_seconds * 1000)
    least_ms = ended.now_ms + (round(AFTER_RATE_LIMIT_SECONDS * 1000) if ended.status == 429 else 0)
    if ended.now_ms >= deadline_ms or least_ms > deadline_ms:
        return Dead(f"not delivered within {policy.max_age_seconds:g} s; last try: {reason}")
    wait_seconds = max(_asked_seconds(ended, policy), _scheduled_seconds(ended.attempts, policy, random))
    return Retry(
        at_ms=max(least_ms, min(ended.now_ms + round(wait_seconds * 1000), deadline_ms)),
        reason=reason,
    )


def is_success(status: int | None) -> bool:
    """2xx alone: a redirect is not followed and is a failure."""
    return status is not None and 200 <= status <= 299


def failure_reason(status: int | None, error: str) -> str:
    """A short text for the attempt's row and the dead letter."""
    if status is None:
        return error or "no answer"
    return f"HTTP {status}: {error}" if error else f"HTTP {status}"


def attempt_outcome(status: int | None) -> AttemptOutcome:
    """The label under which a try is counted."""
    if status is None:
        return AttemptOutcome.NO_ANSWER
    if is_success(status):
        return AttemptOutcome.DELIVERED
    if status in _NAMED:
        return _NAMED[status]
    if status < 400:
        return AttemptOutcome.REDIRECT
    return AttemptOutcome.CLIENT_ERROR if status < 500 else AttemptOutcome.SERVER_ERROR


def _asked_seconds(ended: Try, policy: RetryPolicy) -> float:
    """The wait that the answer asks for."""
    return honoured_seconds(ended.retry_after_seconds, cap_seconds=policy.max_seconds) or 0.0


def _scheduled_seconds(attempts: int, policy: RetryPolicy, random: Random) -> float:
    return full_jitter_seconds(
        attempts, initial_seconds=policy.initial_seconds, max_seconds=policy.max_seconds, random=random
    )


_NAMED = {410: AttemptOutcome.GONE, 429: AttemptOutcome.RATE_LIMITED}
