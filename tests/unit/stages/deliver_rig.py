"""One deliverer on a memory journal, run as in production: by a Stage, with attempts between its steps."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from relay.config import CallbackConfig
from relay.domain.pausing import Pause
from relay.domain.report import Stream
from relay.observe import Health, Telemetry
from relay.ports import Lease
from relay.stages.deliver import Deliver, Gate
from relay.stages.stage import Stage
from tests.unit.stages.deliver_journal import MemoryJournal, ToldSender

STREAM = Stream("acme", "sms")
START_MS = 1_700_000_000_000


async def until(condition: Callable[[], bool], seconds: float = 30.0) -> None:
    """Wait for a condition; it is looked at every other millisecond."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - any condition, also of what knows no events
            await asyncio.sleep(0.002)


async def settled(stable: Callable[[], object], rounds: int = 30) -> None:
    """Let everything that can happen happen: until `stable` has had the same value for a while."""
    value, same = stable(), 0
    while same < rounds:
        await asyncio.sleep(0.002)
        now = stable()
        value, same = now, same + 1 if now == value else 0


class Rig:
    def __init__(
        self,
        journal: MemoryJournal,
        sender: ToldSender,
        *,
        stream: Stream = STREAM,
        gate: Gate | None = None,
        pause: Pause | None = None,
        monotonic: Callable[[], float] = time.monotonic,
        **keys: Any,
    ) -> None:
        self.now_ms = START_MS
        self.journal = journal
        self.sender = sender
        self.health = Health()
        self.telemetry = Telemetry()
        self.config = CallbackConfig(name="billing", url="http://localhost/", **keys)
        self.gate = gate or Gate(
            self.config, self.health, self.telemetry, pause=pause, monotonic=monotonic, uniform=lambda: 1.0
        )
        self.deliver = Deliver(
            config=self.config,
            stream=stream,
            lease=Lease(f"callback/billing/{stream}", "test", 1),
            journal=journal,
            sender=sender,
            gate=self.gate,
            telemetry=self.telemetry,
            now_ms=lambda: self.now_ms,
            uniform=lambda: 1.0,
        )

    @asynccontextmanager
    async def running(self, grace_seconds: float = 0.0) -> AsyncIterator[None]:
        stage = Stage("deliver", self.deliver.step, self.health)
        self.deliver.wake = stage.wake.set
        task = asyncio.create_task(stage.run())
        try:
            yield
        finally:
            stage.stop()
            await task
            await self.deliver.close(grace_seconds)

    def pass_seconds(self, seconds: float) -> None:
        self.now_ms += round(seconds * 1000)
        self.deliver.wake()

    def attempts(self, outcome: str) -> float:
        labels = {"callback": "billing", "outcome": outcome}
        return self.telemetry.registry.get_sample_value("relay_callback_attempts_total", labels) or 0.0
