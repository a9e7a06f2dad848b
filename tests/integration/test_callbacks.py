"""Deliverers on the real journal, posting to a real receiver: what a crash repeats, and what it does not lose."""

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from standardwebhooks.webhooks import Webhook

from relay.config import CallbackConfig
from relay.domain.report import Decoded, Origin, Report, Stream
from relay.journal.sqlite import SqliteJournal
from relay.observe import Health, Telemetry
from relay.ports import Fetch
from relay.sinks.callback import HttpCallback
from relay.stages.deliver import Deliver, Gate
from relay.stages.stage import Stage
from tests.receivers.callback import Behaviour, CallbackReceiver

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
            attempts = list(deliver._running.values())
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
        async with asyncio.timeout(10):
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
        with sqlite3.connect(f"file:{self.path}?mode=ro", uri=True) as db:
            (number,) = db.execute(query).fetchone()
        db.close()
        return int(number or 0)


@pytest.fixture
async def house(tmp_path: Path, receiver: CallbackReceiver) -> AsyncIterator[House]:
    house = House(tmp_path / "relay.db")
    await house.open()
    yield house
    await house.stop()


@pytest.fixture
async def receiver() -> AsyncIterator[CallbackReceiver]:
    async with CallbackReceiver() as receiver:
        yield receiver


def names(count: int, start: int = 0) -> list[str]:
    return [f"m-{number}" for number in range(start, start + count)]


async def test_each_report_once_signed_and_in_full(house: House, receiver: CallbackReceiver) -> None:
    await house.add(*(report(name) for name in names(1500)))
    await house.start(receiver.url)
    await house.settled()
    assert sorted(receiver.accepted_ids) == sorted(names(1500))
    assert len({received.webhook_id for received in receiver.received}) == 1500
    for received in receiver.received[::100]:
        Webhook(SECRET).verify(received.body, dict(received.headers))


async def test_what_was_not_recorded_is_sent_again_with_the_same_id(house: House, receiver: CallbackReceiver) -> None:
    await house.add(*(report(name) for name in names(40)))
    receiver.rule = lambda headers, _: Behaviour(mode="hang") if headers["ce-id"] == "m-3" else None
    await house.start(receiver.url)
    await receiver.until(lambda: len(receiver.received) == 40)
    await house.until("SELECT position FROM subscriptions WHERE name = 'callback/billing'", 3)
    await house.kill()
    receiver.rule = None
    await house.open()
    await house.start(receiver.url)
    await house.settled()
    assert set(receiver.accepted_ids) == set(names(40))
    tries = [received for received in receiver.received if received.headers["ce-id"] == "m-3"]
    assert [received.status for received in tries] == [None, 200]
    assert tries[0].webhook_id == tries[1].webhook_id
    assert tries[0].body == tries[1].body
    # What the cursor had passed was not sent again.
    assert {name: receiver.message_ids.count(name) for name in ("m-0", "m-1", "m-2")} == {"m-0": 1, "m-1": 1, "m-2": 1}


async def test_retries_outlive_the_process(house: House, receiver: CallbackReceiver) -> None:
    await house.add(*(report(name) for name in names(5)))
    receiver.script.extend([REFUSED] * 5)
    retry = {"initial_seconds": 3600, "max_seconds": 3600}
    await house.start(receiver.url, retry=retry)
    await receiver.until(lambda: len(receiver.received) == 5)
    await house.until("SELECT count(*) FROM deliveries", 5)
    await house.kill()
    await house.open()
    house.clock_ms = lambda: now_ms() + 3_600_000
    await house.start(receiver.url, retry=retry)
    await house.settled()
    assert sorted(receiver.accepted_ids) == names(5)
    assert sorted(received.webhook_id for received in receiver.received[:5]) == sorted(
        received.webhook_id for received in receiver.received[5:]
    )


async def test_the_members_of_a_batch_are_the_same_after_a_crash(house: House, receiver: CallbackReceiver) -> None:
    await house.add(*(report(name) for name in names(25)))
    receiver.default = Behaviour(mode="hang")
    await house.start(receiver.url, batch_size=10, linger_seconds=0.02)
    await receiver.until(lambda: len(receiver.received) == 3)
    await house.kill()
    receiver.default = Behaviour()
    await house.open()
    await house.add(*(report(name) for name in names(5, start=25)))
    await house.start(receiver.url, batch_size=10, linger_seconds=0.02)
    await house.settled()
    before, after = receiver.received[:3], receiver.received[3:]
    assert sorted(len(received.message_ids) for received in before) == [5, 10, 10]
    ids_after = {received.webhook_id: received.body for received in after}
    assert {received.webhook_id: received.body for received in before}.items() <= ids_after.items()
    assert sorted(receiver.accepted_ids) == sorted(names(30))


async def test_revisions_arrive_in_order_whatever_fails(house: House, receiver: CallbackReceiver) -> None:
    for outcome, final, group in (("3:0", False, 1), ("7:0", False, 1), ("5:0", True, 3)):
        await house.add(*(report(name, outcome, final=final, group=group) for name in names(60)))
    receiver.script.extend([Behaviour(), REFUSED, Behaviour(), Behaviour(), REFUSED] * 20)
    await house.start(receiver.url, revisions=True)
    await house.settled()
    for name in names(60):
        accepted = [
            received.headers["ce-id"]
            for received in receiver.received
            if received.status == 200 and received.message_ids == (name,)
        ]
        assert accepted == [name, f"{name}#2", f"{name}#3"]


async def test_what_is_given_up_is_a_dead_letter(house: House, receiver: CallbackReceiver) -> None:
    await house.add(*(report(name) for name in names(3)))
    receiver.rule = lambda headers, _: REFUSED if headers["ce-id"] == "m-1" else None
    await house.start(receiver.url, retry={**AT_ONCE, "max_age_seconds": 0.3})
    await house.until("SELECT sum(dead_reports) FROM subscriptions", 1)
    await house.settled()
    assert sorted(receiver.accepted_ids) == ["m-0", "m-2"]
    assert receiver.message_ids.count("m-1") >= 2
    figures = await house.journal.figures(now_ms())
    assert figures.callbacks["billing"].dead_letters == 1
    assert figures.callbacks["billing"].backlog == 0


async def test_beyond_its_bound_the_backlog_becomes_dead_letters(
    house: House, receiver: CallbackReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("relay.stages.deliver.deliverer.CHECK_SECONDS", 0.05)
    for start in range(0, 3000, 500):
        await house.add(*(report(name) for name in names(500, start=start)))
    receiver.default = Behaviour(mode="hang")
    await house.start(receiver.url, max_backlog=1000, concurrency=2)
    await house.until("SELECT sum(dead_reports) FROM subscriptions", 2000)
    receiver.default = Behaviour()
    receiver.released.set()
    await house.settled()
    assert house.count("SELECT sum(dead_reports) FROM subscriptions") == 2000
    assert len(set(receiver.message_ids)) == 1000


async def test_a_dead_neighbour_changes_nothing_for_a_healthy_callback(
    house: House, receiver: CallbackReceiver
) -> None:
    async with CallbackReceiver(default=Behaviour(mode="hang")) as hanging:
        for number in range(5):
            await house.start(hanging.url, name=f"hanging-{number}")
        await house.start(receiver.url, name="healthy")
        for start in range(0, 1000, 100):
            await house.add(*(report(name) for name in names(100, start=start)))
        await receiver.until(lambda: len(set(receiver.accepted_ids)) == 1000)
        await hanging.until(lambda: hanging.in_flight == 5 * 16)
        await house.stop()
        await house.open()


async def test_a_graceful_stop_records_what_was_in_flight(house: House, receiver: CallbackReceiver) -> None:
    await house.add(*(report(name) for name in names(10)))
    receiver.default = Behaviour(delay_seconds=0.2)
    await house.start(receiver.url)
    await asyncio.sleep(0)
    async with asyncio.timeout(5):
        while receiver.in_flight < 10:  # noqa: ASYNC110 - it is not told
            await asyncio.sleep(0.005)
    await house.stop(grace_seconds=5)
    await house.open()
    await house.start(receiver.url)
    await house.settled()
    assert sorted(receiver.message_ids) == names(10)


async def test_a_new_callback_begins_where_it_was_told(house: House, receiver: CallbackReceiver) -> None:
    await house.add(report("old"))
    await house.start(receiver.url, name="late", start="latest")
    await house.until("SELECT count(*) FROM subscriptions WHERE name = 'callback/late'", 1)
    await house.add(report("new"))
    await receiver.until(lambda: receiver.message_ids == ["new"])
    await house.start(receiver.url, name="whole", start="earliest")
    await receiver.until(lambda: sorted(receiver.message_ids) == ["new", "new", "old"])
