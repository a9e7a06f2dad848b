"""What follows from one HTTP try at a callback: delivered, tried again later, or given up.

Only a 2xx is a success. Everything else is tried again on the schedule until the delivery is too old: an endpoint
that was deployed wrongly for an hour must lose nothing.
"""

from enum import StrEnum
from typing import NamedTuple

from relay.domain.retry import Random, RetryPolicy, full_jitter_seconds, honoured_seconds

AFTER_RATE_LIMIT_SECONDS = 60.0
"""The least wait after a 429, whatever the schedule or its Retry-After say."""


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
    slow_down: bool = False
    """The callback is overloaded (429, 502, 503, 504): its other deliveries should wait until `at_ms` as well."""
    pause: bool = False
    """The callback is gone (410): it should be paused at once, with its backlog kept."""


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

    The last try is made when the delivery reaches `policy.max_age_seconds`. A delivery whose server asks to wait
    beyond that is given up now.
    """
    if is_success(ended.status):
        return Delivered()
    reason = failure_reason(ended.status, ended.error)
    deadline_ms = ended.created_at_ms + round(policy.max_age_seconds * 1000)
    asked_ms = ended.now_ms + round(_asked_seconds(ended, policy) * 1000)
    if ended.now_ms >= deadline_ms or asked_ms > deadline_ms:
        return Dead(f"not delivered within {policy.max_age_seconds:g} s; last try: {reason}")
    scheduled_ms = ended.now_ms + round(_scheduled_seconds(ended.attempts, policy, random) * 1000)
    return Retry(
        at_ms=max(asked_ms, min(scheduled_ms, deadline_ms)),
        reason=reason,
        slow_down=ended.status in {429, 502, 503, 504},
        pause=ended.status == 410,
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
    """The least wait that the answer demands."""
    asked = honoured_seconds(ended.retry_after_seconds, cap_seconds=policy.max_seconds) or 0.0
    return max(asked, AFTER_RATE_LIMIT_SECONDS) if ended.status == 429 else asked


def _scheduled_seconds(attempts: int, policy: RetryPolicy, random: Random) -> float:
    return full_jitter_seconds(
        attempts, initial_seconds=policy.initial_seconds, max_seconds=policy.max_seconds, random=random
    )


_NAMED = {410: AttemptOutcome.GONE, 429: AttemptOutcome.RATE_LIMITED}
