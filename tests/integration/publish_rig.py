"""The publish stage with a real journal and a real broker; reports come in as bodies do, through fetches."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

from relay.domain.report import Decoded, Origin, Rejected, Report
from relay.journal.sqlite import SqliteJournal
from relay.observe import Health, Telemetry
from relay.ports import Fetch, Lease
from relay.sinks.kafka import KafkaSink
from relay.stages.publish import Publish
from tests.integration.kafka_rig import Place

RETRY_SECONDS = 0.1


class Relay:
    """One process's publisher of one stream: a journal, a sink, the stage."""

    def __init__(
        self, journal: SqliteJournal, lease: Lease, place: Place, sink: KafkaSink, health: Health, now_ms: list[int]
    ) -> None:
        self.journal = journal
        self.lease = lease
        self.place = place
        self.sink = sink
        self.health = health
        self.publish = Publish(
            place.stream,
            lease,
            journal,
            sink,
            place.envelope,
            Telemetry(),
            health,
            lambda: now_ms[0],
            lambda: None,
            reports_topic=place.topics.reports,
            transactional=place.config.delivery == "transactional",
        )
        self._now_ms = now_ms

    async def receive(self, names: Sequence[str], *, value: bytes | None = None) -> None:
        """Reports come and are unpacked, as from one body. A name received before is a duplicate."""
        reports: list[Report | Rejected] = [report(name, value) for name in names]
        fetch = Fetch(Origin.POLL, self._now_ms[0], self._now_ms[0], 200, "application/json", b"{}", True, len(names))
        await self.journal.append_fetch(self.lease, self.place.stream, fetch, None)
        claimed = await self.journal.claim_fetch(self.place.stream, self._now_ms[0])
        assert claimed is not None, "the cursor is not confirmed yet"
        await self.journal.record_reports(claimed, Decoded(reports, complete=True), None)

    async def drain(self, *, within_seconds: float = 60) -> None:
        """Step until there is nothing more to publish."""
        await self.step_until(lambda wait_seconds: wait_seconds >= 5 and not self.health.degraded, within_seconds)

    async def step_until(self, reached: Callable[[float], bool], within_seconds: float = 60) -> None:
        deadline = time.monotonic() + within_seconds
        while True:
            self.publish._wait_until = 0.0
            if reached(await self.publish.step()):
                return
            if self.health.degraded:
                await asyncio.sleep(RETRY_SECONDS)
            assert time.monotonic() < deadline, f"not reached in {within_seconds} s: {self.health.degraded}"


@contextlib.asynccontextmanager
async def running(path: Path, place: Place, *, deadline_seconds: float = 15) -> AsyncIterator[Relay]:
    """A relay on the journal in `path`, as after a start; at the end everything is let go, as by a kill."""
    journal = await SqliteJournal.open(path, instance="relay-0")
    place.journal_id = journal.journal_id
    sink = place.sink(deadline_seconds=deadline_seconds)
    lease = await journal.acquire_lease(f"stream/{place.stream}")
    relay = Relay(journal, lease, place, sink, Health(), [time.time_ns() // 1_000_000])
    try:
        yield relay
    finally:
        await relay.publish.close()
        await journal.close()


async def confirmed(relay: Relay) -> Relay:
    """Nothing can be unpacked before the cursor was read once."""
    await relay.drain()
    return relay


def names(first: int, last: int) -> list[str]:
    return [f"m-{number}" for number in range(first, last + 1)]


def report(name: str, value: bytes | None = None) -> Report:
    body = b'{"messageId":"%s","status":{"groupId":3,"id":5},"error":{"groupId":0,"id":0}}' % name.encode()
    return Report(name, "5:0", 3, True, value or body)
