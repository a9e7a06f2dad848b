"""Deliverers on the real journal, wired as in the application: what tests with real receivers share."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import apsw

from relay.config import CallbackConfig
from relay.domain.report import Decoded, Origin, Report, Stream
from relay.journal.sqlite import SqliteJournal
from relay.observe import Health, Telemetry
from relay.ports import Fetch
from relay.sinks.callback import HttpCallback
from relay.stages.deliver import Deliver, Gate
from relay.stages.stage import Stage
from tests.receivers.callback import Behaviour

STREAM = Stream("acme", "sms")
SECRET = "whsec_bmV3IHNlY3JldCBvZiB0d2VudHktZm91cg=="
AT_ONCE = {"initial_seconds": 0.05, "max_seconds": 0.05}
REFUSED = Behaviour(status=500)


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def report(message_id: str, outcome: str = "5:0", *, final: bool = True, group: int = 3) -> Report:
    return Report(
        message_id, outcome, group, final, b'{"messageId":"%b","o":"%b"}' % (message_id.encode(), outcome.encode())
    )


class House:
    """A journal with what it holds, and the deliverers that run on it. It can be stopped as by SIGKILL."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.clock_ms: Callable[[], int] = now_ms
        self.deliverers: list[tuple[Deliver, Stage, asyncio.Task[None], HttpCallback]] = []

    async def open(self) -> None:
        self.journal = await SqliteJournal.open(self.path, instance="test")
        self._lease = await self.journal.acquire_lease(f"stream/{STREAM}")
        await self.journal.open_stream(self._lease, STREAM, now_ms())
        await self.journal.confirm_without_kafka(self._lease, STREAM)

    async def add(self, *reports: Report) -> None:
        at_ms = now_ms()
        fetch = Fetch(Origin.POLL, at_ms, at_ms, 200, "application/json", b"{}", True, len(reports))
        await self.journal.append_fetch(self._lease, STREAM, fetch, None)
        claimed = await self.journal.claim_fetch(STREAM, at_ms)
        assert claimed is not None
        await self.journal.record_reports(claimed, Decoded(list(reports), True), None)
        for deliver, _, _, _ in self.deliverers:
            deliver.wake()

    async def start(self, url: str, **keys: Any) -> Gate:
        config = CallbackConfig.model_validate(
            {"name": "billing", "url": url, "secrets": [SECRET], "retry": AT_ONCE, "start": "earliest", **keys}
        )
        health, telemetry, sender = Health(), Telemetry(), HttpCallback(config)
        gate = Gate(config, health, telemetry, pause=(await self.journal.kept_pauses()).get(config.name))
        deliver = Deliver(
            config=config,
            stream=STREAM,
            lease=await self.journal.acquire_lease(f"callback/{config.name}/{STREAM}"),
            journal=self.journal,
            sender=sender,
            gate=gate,
            telemetry=telemetry,
            now_ms=self.clock_ms,
        )
        stage = Stage(f"deliver/{config.name}", deliver.step, health)
        deliver.wake = stage.wake.set
        self.deliverers.append((deliver, stage, asyncio.create_task(stage.run()), sender))
        return gate

    async def stop(self, grace_seconds: float = 0.0) -> None:
        for _, stage, _, _ in self.deliverers:
            stage.stop()
        for deliver, _, task, sender in self.deliverers:
            await task
            await deliver.close(grace_seconds)
            await sender.close()
        self.deliverers.clear()
        await self.journal.close()

    async def kill(self) -> None:
        """Nothing that is not committed by now is ever recorded."""
        for deliver, stage, task, sender in self.deliverers:
            deliver._closing = True
            stage.stop()
            attempts = list(deliver._workers)
            for one in (task, *attempts):
                one.cancel()
            await asyncio.gather(task, *attempts, return_exceptions=True)
            if deliver._wake_timer is not None:
                deliver._wake_timer.cancel()
            await sender.close()
        self.deliverers.clear()
        await self.journal.close()

    async def until(self, query: str, number: int) -> None:
        """What only the journal's file can tell."""
        async with asyncio.timeout(30):
            while self.count(query) != number:  # noqa: ASYNC110 - there is no event for it
                await asyncio.sleep(0.01)

    async def settled(self, seconds: float = 15.0) -> None:
        """Everything was passed, and nothing is stored any more."""
        async with asyncio.timeout(seconds):
            while not all([await self._is_settled(deliver) for deliver, _, _, _ in self.deliverers]):  # noqa: ASYNC110
                await asyncio.sleep(0.01)

    async def _is_settled(self, deliver: Deliver) -> bool:
        if deliver._recorder is None:
            return False
        backlog = await self.journal.backlog(deliver._name, STREAM)
        return backlog.stored == 0 and backlog.unread == 0

    def count(self, query: str) -> int:
        return next((int(number or 0) for (number,) in self.rows(query)), 0)

    def tries(self, callback: str = "billing") -> list[tuple[int | None, str]]:
        """Status and error of each attempt that is recorded, in the order in which they began."""
        return self.rows(
            "SELECT status, error FROM attempts JOIN subscriptions ON subscriptions.id = subscription_id "
            f"WHERE name = 'callback/{callback}' ORDER BY started_at_ms, first_seq"
        )

    def rows(self, query: str) -> list[Any]:
        """By the journal's own library: another one in the same process would take the locks of the first away."""
        db = apsw.Connection(str(self.path), flags=apsw.SQLITE_OPEN_READONLY)
        try:
            db.set_busy_timeout(1000)
            return db.execute(query).fetchall()
        finally:
            db.close()


def names(count: int, start: int = 0) -> list[str]:
    return [f"m-{number}" for number in range(start, start + count)]
