"""A journal, a source and clocks for intake, written by hand: each keeps what it was told, each can be made to fail."""

import asyncio
from collections.abc import Callable
from typing import Any

from relay.config import JournalConfig, PollConfig
from relay.domain.report import GapCause, Stream
from relay.observe import Health
from relay.ports import Answer, Fetch, Lease, Pressure, StreamState
from relay.stages.intake import Intake

STREAM = Stream("acme", "sms")
LEASE = Lease("stream/acme/sms", "relay-0", 1)
HOUR = 3600.0
HOUR_MS = 3_600_000
NOW_MS = 1_700_000_000_000
MAX_UNPUBLISHED = 10_000
MIN_FREE_BYTES = 1000
EASY = Pressure(unpublished=0, free_bytes=10**9)


def reports(count: int) -> bytes:
    return b'{"results":[' + b",".join(b'{"messageId":"m-%d"}' % n for n in range(count)) + b"]}"


def answered(
    body: bytes = b'{"results":[]}',
    *,
    status: int | None = 200,
    sent: bool = True,
    complete: bool = True,
    failure: GapCause | None = None,
    retry_after_seconds: float | None = None,
) -> Answer:
    return Answer(
        sent=sent,
        status=status,
        content_type="application/json",
        body=body,
        complete=complete,
        error="",
        retry_after_seconds=retry_after_seconds,
        requested_at_ms=NOW_MS,
        received_at_ms=NOW_MS + 250,
        duration_seconds=0.25,
        failure=failure,
    )


class FakeJournal:
    """`events` in order; `errors[method]` are raised by its next calls, one each."""

    def __init__(self, events: list[str]) -> None:
        self.events = events
        self.errors: dict[str, list[BaseException]] = {}
        self.state = StreamState(NOW_MS, NOW_MS, None, 0)
        self.pressure_now = EASY
        self.fetches: list[tuple[Fetch, GapCause | None]] = []
        self.ended: list[tuple[GapCause | None, bool]] = []

    def _called(self, method: str) -> None:
        self.events.append(method)
        if self.errors.get(method):
            raise self.errors[method].pop(0)

    async def open_stream(self, lease: Lease, stream: Stream, at_ms: int) -> StreamState:
        assert (lease, stream) == (LEASE, STREAM)
        self._called("open_stream")
        return self.state

    async def mark_poll(self, lease: Lease, stream: Stream, at_ms: int) -> None:
        assert (lease, stream) == (LEASE, STREAM)
        self._called("mark_poll")

    async def append_fetch(self, lease: Lease, stream: Stream, fetch: Fetch, gap: GapCause | None) -> int:
        assert (lease, stream) == (LEASE, STREAM)
        self._called("append_fetch")
        self.fetches.append((fetch, gap))
        return len(self.fetches)

    async def end_poll(self, lease: Lease, stream: Stream, at_ms: int, gap: GapCause | None, *, success: bool) -> None:
        self._called("end_poll")
        self.ended.append((gap, success))

    async def note_unread(self, lease: Lease, stream: Stream, at_ms: int) -> None:
        self._called("note_unread")

    async def pressure(self, stream: Stream) -> Pressure:
        if self.errors.get("pressure"):
            raise self.errors["pressure"].pop(0)
        return self.pressure_now


class FakeSource:
    """Gives `answers` in turn, then empty collections. With `gate` an answer waits until it is set."""

    def __init__(self, events: list[str]) -> None:
        self.events = events
        self.answers: list[Answer | Exception] = []
        self.limits: list[int | None] = []
        self.gate: asyncio.Event | None = None
        self.asked = asyncio.Event()

    async def fetch_reports(self, kind: str, *, limit: int | None) -> Answer:
        assert kind == "sms"
        self.events.append("get")
        self.limits.append(limit)
        self.asked.set()
        if self.gate is not None:
            await self.gate.wait()
        answer = self.answers.pop(0) if self.answers else answered()
        if isinstance(answer, Exception):
            raise answer
        return answer


class FakeTelemetry:
    """Keeps every call as (name, arguments)."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, tuple[Any, ...]]] = []

    def __getattr__(self, name: str) -> Callable[..., None]:
        def keep(*arguments: Any, **named: Any) -> None:
            self.calls.append((name, (*arguments, *named.values())))

        return keep

    def of(self, name: str) -> list[tuple[Any, ...]]:
        return [arguments for called, arguments in self.calls if called == name]


class Bench:
    """An intake among fakes. Time stands still unless `pass_seconds` is called."""

    def __init__(self, **poll: Any) -> None:
        self.events: list[str] = []
        self.journal = FakeJournal(self.events)
        self.source = FakeSource(self.events)
        self.telemetry = FakeTelemetry()
        self.health = Health()
        self.wall_ms = NOW_MS
        self.monotonic = 50_000.0
        keys = {"limit": 1000, "interval_seconds": 0.5, "max_interval_seconds": 5, **poll}
        self.intake = Intake(
            STREAM,
            LEASE,
            journal=self.journal,
            source=self.source,
            base_url="https://api.example",
            poll=PollConfig.model_validate(keys),
            limits=JournalConfig(
                url="sqlite:////unused/relay.db", max_unpublished=MAX_UNPUBLISHED, min_free_bytes=MIN_FREE_BYTES
            ),
            telemetry=self.telemetry,
            health=self.health,
            now_ms=lambda: self.wall_ms,
            wake_unpack=lambda: self.events.append("wake"),
            monotonic=lambda: self.monotonic,
            chance=lambda: 0.0,
        )

    def pass_seconds(self, seconds: float) -> None:
        self.monotonic += seconds
        self.wall_ms += int(seconds * 1000)

    async def poll(self, *answers: Answer | Exception) -> float:
        """Let the wait pass, and step once for each answer; the last wait."""
        self.source.answers.extend(answers)
        wait_seconds = 0.0
        for _ in answers:
            wait_seconds = await self.intake.step()
            self.pass_seconds(wait_seconds)
        return wait_seconds
