"""What a poll's answer means (its label, whether it opened a gap, whether it was a success) and when to poll next.

A poll is a destructive read: unless a complete answer shows that nothing was lost, a gap is opened. Whether a complete
200 holds a `results` collection is settled by decoding it (`unpacked_gap`); `judge` only looks whether it seems to.
"""

import re
from enum import StrEnum
from typing import NamedTuple, Protocol

from relay.domain.report import GapCause
from relay.domain.retry import Random, equal_jitter_seconds, honoured_seconds

FULL_ANSWER_ENTRIES = 50
"""The API's default limit: as many entries, or as many as were asked for, and there may be more."""
RETRY_AFTER_CAP_SECONDS = 3600.0
UNREAD_GAP_AFTER_SECONDS = 47 * 3600.0
"""Without a successful poll for so long, the queue may have expired reports."""
POLL_REGARDLESS_AFTER_SECONDS = 46 * 3600.0
ALERT_AFTER_SECONDS = 24 * 3600.0

_BACKOFF_INITIAL_SECONDS = 1.0
_BACKOFF_MAX_SECONDS = 60.0
_REFUSED_INITIAL_SECONDS = 30.0
_REFUSED_MAX_SECONDS = 600.0
_LOOKS_LIKE_REPORTS = re.compile(rb'"results"\s*:|<(?:[\w.-]+:)?results?[\s/>]')
_LOOK_BYTES = 65536


class PollOutcome(StrEnum):
    """How a poll ended, as counted in `polls_total`."""

    OK = "ok"
    EMPTY = "empty"
    NOT_REPORTS = "not_reports"
    RATE_LIMITED = "rate_limited"
    BAD_REQUEST = "bad_request"
    UNAUTHORIZED = "unauthorized"
    FORBIDDEN = "forbidden"
    REDIRECT = "redirect"
    CLIENT_ERROR = "client_error"
    SERVER_ERROR = "server_error"
    TIMEOUT = "timeout"
    CONNECTION = "connection"
    TRUNCATED = "truncated"
    TOO_LARGE = "too_large"
    UNREACHABLE = "unreachable"


class Ended(Protocol):
    """What is looked at in an answer (`relay.ports.Answer` has it all)."""

    @property
    def sent(self) -> bool: ...
    @property
    def status(self) -> int | None: ...
    @property
    def body(self) -> bytes: ...
    @property
    def complete(self) -> bool: ...
    @property
    def failure(self) -> GapCause | None: ...
    @property
    def retry_after_seconds(self) -> float | None: ...


class Verdict(NamedTuple):
    """`keep_body`: append the body as a fetch. `gap`: open it with the poll's end; None does not yet mean that there
    is none when the body is kept: unpack decides. `retry_after_seconds` is already capped."""

    outcome: PollOutcome
    gap: GapCause | None
    success: bool
    keep_body: bool
    retry_after_seconds: float | None = None


class PollPolicy(NamedTuple):
    """The `poll` section of an endpoint, as far as the pace goes."""

    limit: int
    interval_seconds: float
    max_interval_seconds: float


class Pace(NamedTuple):
    """Where the poller of one stream stands. A new one starts with `Pace()`."""

    idle_polls: int = 0
    failures: int = 0
    without_limit: bool = False
    """The endpoint refused `limit` (400): ask without it."""


class NextPoll(NamedTuple):
    """The pace to go on with, and how long to wait; 0 means again at once."""

    pace: Pace
    wait_seconds: float


def judge(answer: Ended) -> Verdict:
    """The verdict on one destructive read, however it ended."""
    if not answer.sent:
        return Verdict(PollOutcome.UNREACHABLE, None, success=False, keep_body=False)
    if answer.status is None or (answer.status == 200 and not answer.complete):
        cause = answer.failure or (GapCause.CONNECTION if answer.status is None else GapCause.TRUNCATED)
        return Verdict(_BROKEN.get(cause, PollOutcome.CONNECTION), cause, success=False, keep_body=bool(answer.body))
    if answer.status == 200:
        return _judge_complete(answer.body)
    if answer.status == 204:
        return Verdict(PollOutcome.EMPTY, None, success=True, keep_body=bool(answer.body))
    return _judge_status(answer, answer.status)


def unpacked_gap(*, fetch_complete: bool, results_read: bool) -> GapCause | None:
    """The gap that unpacking opens: a complete answer turned out to hold no whole `results` collection.

    The gap of an incomplete answer was opened when it was journaled.
    """
    return GapCause.NOT_REPORTS if fetch_complete and not results_read else None


def looks_like_reports(body: bytes) -> bool:
    """A `results` collection seems to begin in it; a cheap look, no proof."""
    return _LOOKS_LIKE_REPORTS.search(body, 0, _LOOK_BYTES) is not None


def limit_to_ask(pace: Pace, policy: PollPolicy) -> int | None:
    """The `limit` parameter of the next poll; None: leave it out."""
    return None if pace.without_limit else policy.limit


def next_poll(pace: Pace, verdict: Verdict, entries: int, policy: PollPolicy, random: Random) -> NextPoll:
    """When to poll again after `verdict`, which brought about `entries` reports.

    A full answer: at once. Others: `interval_seconds`, doubling to `max_interval_seconds` while nothing comes.
    Failures: Retry-After if there is one, else backoff with jitter, a long one if we are refused. A 400: once without
    `limit`, at once, then like a 401; the next probe asks with `limit` again.
    """
    if verdict.success:
        return _after_success(pace, entries, policy)
    failures = pace.failures + 1
    if verdict.outcome is PollOutcome.BAD_REQUEST and not pace.without_limit:
        return NextPoll(pace._replace(failures=failures, without_limit=True), 0.0)
    keeps_without = pace.without_limit and verdict.outcome is not PollOutcome.BAD_REQUEST
    wait_seconds = max(_failure_wait(verdict, failures, random), policy.interval_seconds)
    return NextPoll(Pace(0, failures, keeps_without), wait_seconds)


def _judge_complete(body: bytes) -> Verdict:
    if looks_like_reports(body):
        return Verdict(PollOutcome.OK, None, success=True, keep_body=True)
    gap = None if body else GapCause.NOT_REPORTS
    return Verdict(PollOutcome.NOT_REPORTS, gap, success=False, keep_body=bool(body))


def _judge_status(answer: Ended, status: int) -> Verdict:
    """Any other status. Its body is kept only if it seems to hold reports all the same."""
    outcome = _status_outcome(status)
    gap = None if outcome in _NOTHING_READ else GapCause.HTTP_STATUS
    asked = answer.retry_after_seconds if status in {429, 503} else None
    return Verdict(
        outcome,
        gap,
        success=False,
        keep_body=looks_like_reports(answer.body),
        retry_after_seconds=honoured_seconds(asked, cap_seconds=RETRY_AFTER_CAP_SECONDS),
    )


def _status_outcome(status: int) -> PollOutcome:
    named = _STATUSES.get(status)
    if named is not None:
        return named
    if status >= 500:
        return PollOutcome.SERVER_ERROR
    if status >= 400:
        return PollOutcome.CLIENT_ERROR
    return PollOutcome.REDIRECT if status >= 300 else PollOutcome.NOT_REPORTS


def _after_success(pace: Pace, entries: int, policy: PollPolicy) -> NextPoll:
    if entries >= min(FULL_ANSWER_ENTRIES, policy.limit):
        return NextPoll(Pace(without_limit=pace.without_limit), 0.0)
    if entries:
        return NextPoll(Pace(without_limit=pace.without_limit), policy.interval_seconds)
    wait_seconds = min(policy.interval_seconds * 2.0 ** min(pace.idle_polls, 32), policy.max_interval_seconds)
    return NextPoll(Pace(pace.idle_polls + 1, 0, pace.without_limit), wait_seconds)


def _failure_wait(verdict: Verdict, failures: int, random: Random) -> float:
    if verdict.retry_after_seconds is not None:
        return verdict.retry_after_seconds
    refused = verdict.outcome in _REFUSED
    return equal_jitter_seconds(
        failures,
        initial_seconds=_REFUSED_INITIAL_SECONDS if refused else _BACKOFF_INITIAL_SECONDS,
        max_seconds=_REFUSED_MAX_SECONDS if refused else _BACKOFF_MAX_SECONDS,
        random=random,
    )


_STATUSES = {
    400: PollOutcome.BAD_REQUEST,
    401: PollOutcome.UNAUTHORIZED,
    403: PollOutcome.FORBIDDEN,
    429: PollOutcome.RATE_LIMITED,
}
_REFUSED = frozenset({PollOutcome.BAD_REQUEST, PollOutcome.UNAUTHORIZED, PollOutcome.FORBIDDEN})
_NOTHING_READ = _REFUSED | {PollOutcome.RATE_LIMITED}
"""The API refused before it read the queue: no gap."""
_BROKEN = {
    GapCause.TIMEOUT: PollOutcome.TIMEOUT,
    GapCause.CONNECTION: PollOutcome.CONNECTION,
    GapCause.TRUNCATED: PollOutcome.TRUNCATED,
    GapCause.TOO_LARGE: PollOutcome.TOO_LARGE,
}
