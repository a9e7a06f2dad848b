"""One POST to make, and the two lanes in which they wait."""

from collections import deque
from collections.abc import Collection

from relay.domain.delivery import Dead, Decision, Delivered, Retry
from relay.domain.report import Entry
from relay.ports import AttemptRecord, Delivery, PostResult

KEPT_ANSWER_BYTES = 1024
"""So much of an answer is kept in the history."""


class Job:
    """A report, or the members of a batch, to be posted; after the attempt also how it ended.

    `delivery_id` is None for a single report that is not stored: its seq is open in the window until recorded.
    """

    __slots__ = (
        "attempts",
        "created_at_ms",
        "decision",
        "delivery_id",
        "is_retry",
        "members",
        "result",
        "size_bytes",
        "started_at_ms",
    )

    def __init__(
        self,
        members: tuple[Entry, ...],
        *,
        delivery_id: int | None = None,
        attempts: int = 0,
        created_at_ms: int = 0,
        is_retry: bool = False,
    ) -> None:
        self.members = members
        self.delivery_id = delivery_id
        self.is_retry = is_retry
        self.attempts = attempts
        self.created_at_ms = created_at_ms
        self.size_bytes = sum([len(entry.value) for entry in members])
        self.started_at_ms = 0
        self.result: PostResult | None = None
        self.decision: Decision | None = None

    @classmethod
    def of(cls, delivery: Delivery) -> "Job":
        """A stored delivery that is due."""
        return cls(
            delivery.members,
            delivery_id=delivery.id,
            attempts=delivery.attempts,
            created_at_ms=delivery.created_at_ms,
            is_retry=True,
        )

    @property
    def seq(self) -> int:
        return self.members[0].seq

    def stored_as(self, delivery_id: int, at_ms: int) -> None:
        """It is a stored delivery from now on: its outcome is recorded there."""
        self.delivery_id = delivery_id
        if not self.created_at_ms:
            self.created_at_ms = at_ms

    def record(self) -> AttemptRecord:
        """The attempt, which must have ended."""
        result, decision = self.result, self.decision
        assert result is not None  # noqa: S101 - both are set together when the attempt ends
        return AttemptRecord(
            delivery_id=self.delivery_id,
            seqs=tuple([entry.seq for entry in self.members]),
            started_at_ms=self.started_at_ms,
            duration_seconds=result.duration_seconds,
            status=result.status,
            error=result.error,
            answer=result.answer[:KEPT_ANSWER_BYTES],
            delivered=isinstance(decision, Delivered),
            next_attempt_at_ms=decision.at_ms if isinstance(decision, Retry) else None,
            dead_reason=decision.reason if isinstance(decision, Dead) else None,
        )


class Lanes:
    """Jobs that wait for a slot: fresh ones from the stream, and due retries. Neither can starve the other.

    They are taken in turn, and while fresh ones wait, retries hold at most half of the slots: hanging retries leave
    room for what may well be delivered.
    """

    def __init__(self, concurrency: int) -> None:
        self.fresh: deque[Job] = deque()
        self.due: deque[Job] = deque()
        self.fresh_bytes = 0
        self._most_retries = max(1, concurrency // 2)
        self._retries_running = 0
        self._retry_turn = False

    def __bool__(self) -> bool:
        return bool(self.fresh) or self._retry_may_go()

    def add_fresh(self, job: Job) -> None:
        self.fresh.append(job)
        self.fresh_bytes += job.size_bytes

    def put_back(self, seqs: Collection[int]) -> list[Job]:
        """The fresh singles of these seqs wait no more."""
        gone = [job for job in self.fresh if job.delivery_id is None and job.seq in seqs]
        self.fresh = deque(job for job in self.fresh if job.delivery_id is not None or job.seq not in seqs)
        self.fresh_bytes = sum([job.size_bytes for job in self.fresh])
        return gone

    def clear(self) -> list[Job]:
        """Nothing waits any more; what did."""
        waited = [*self.fresh, *self.due]
        self.fresh.clear()
        self.due.clear()
        self.fresh_bytes = 0
        return waited

    def take(self) -> Job:
        """The next job; only if there is one (`bool(lanes)`)."""
        if self._retry_may_go() and (self._retry_turn or not self.fresh):
            self._retry_turn = False
            self._retries_running += 1
            return self.due.popleft()
        self._retry_turn = True
        job = self.fresh.popleft()
        self.fresh_bytes -= job.size_bytes
        return job

    def retry_ended(self) -> None:
        self._retries_running -= 1

    def _retry_may_go(self) -> bool:
        return bool(self.due) and (self._retries_running < self._most_retries or not self.fresh)
