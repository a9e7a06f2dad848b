"""Callbacks that come, go and change on a journal, posting to real receivers."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from relay.app.callbacks import Callbacks, subscriptions
from relay.app.ground import Ground, Wakes, now_ms
from relay.config import CallbackConfig, Config
from relay.domain.pausing import GateState
from relay.domain.report import Decoded, Origin, Report, Stream
from relay.journal.sqlite import SqliteJournal
from relay.observe import Health, Telemetry
from relay.ports import Fetch, JournalError, Lease
from relay.sinks.callback import TlsFilesUnusable
from relay.stages.stage import Stages
from tests.receivers.callback import Behaviour, CallbackReceiver
from tests.unit.stages.deliver_rig import until

SMS, VOICE = Stream("acme", "sms"), Stream("acme", "voice")


class House:
    """Callbacks on a journal of two streams, as the relay has them."""

    def __init__(self, journal: SqliteJournal, config: Config) -> None:
        self.journal = journal
        self.health = Health()
        self.telemetry = Telemetry()
        self.stages = Stages(self.health)
        self.wakes = Wakes()
        ground = Ground(
            config=config,
            journal=journal,
            stages=self.stages,
            telemetry=self.telemetry,
            health=self.health,
            cleanup=AsyncExitStack(),
        )
        self.callbacks = Callbacks(ground, self.wakes)

    async def start(self) -> None:
        await self.callbacks.open()
        for stream in (SMS, VOICE):
            lease = await self.journal.acquire_lease(f"stream/{stream}")
            await self.journal.open_stream(lease, stream, now_ms())
            await self.journal.confirm_without_kafka(lease, stream)
            await self.callbacks.follow(stream)

    async def stop(self) -> None:
        await self.stages.stop("deliver")
        await self.callbacks.close()
        await self.journal.close()

    async def add(self, stream: Stream, *message_ids: str) -> None:
        at_ms = now_ms()
        reports = [Report(id_, "5:0", 3, True, b'{"messageId":"%b"}' % id_.encode()) for id_ in message_ids]
        fetch = Fetch(Origin.PUSH, at_ms, at_ms, 200, "application/json", b"{}", True, len(reports))
        await self.journal.append_fetch(None, stream, fetch, None)
        claimed = await self.journal.claim_fetch(stream, at_ms)
        assert claimed is not None
        await self.journal.record_reports(claimed, Decoded(list(reports), True), None)
        self.wakes.followers(stream)

    async def opened(self, name: str) -> None:
        """Wait until it has its place in both streams."""
        async with asyncio.timeout(5):
            for stream in (SMS, VOICE):
                while not await self._has_place(name, stream):  # noqa: ASYNC110 - the journal announces nothing
                    await asyncio.sleep(0.002)

    async def _has_place(self, name: str, stream: Stream) -> bool:
        try:
            await self.journal.backlog(name, stream)
        except JournalError:
            return False
        return True

    async def become(self, *callbacks: CallbackConfig) -> None:
        await self.callbacks.become(callbacks)


def callback(receiver: CallbackReceiver, name: str = "billing", **keys: Any) -> CallbackConfig:
    retry = {"initial_seconds": 0.05, "max_seconds": 0.05}
    return CallbackConfig.model_validate(
        {"name": name, "url": receiver.url, "retry": retry, "start": "earliest", "revisions": True, **keys}
    )


@pytest.fixture
async def first() -> AsyncIterator[CallbackReceiver]:
    async with CallbackReceiver() as receiver:
        yield receiver


@pytest.fixture
async def second() -> AsyncIterator[CallbackReceiver]:
    async with CallbackReceiver() as receiver:
        yield receiver


@pytest.fixture
async def house(tmp_path: Path, first: CallbackReceiver) -> AsyncIterator[House]:
    config = Config.model_validate(
        {
            "sources": [
                {
                    "name": "acme",
                    "base_url": "http://127.0.0.1:1",
                    "auth": {"type": "api_key", "token": "canary"},
                    "endpoints": [{"kind": "sms"}, {"kind": "voice"}],
                }
            ],
            "journal": {"url": f"sqlite:///{tmp_path}/relay.db"},
            "callbacks": [callback(first)],
        }
    )
    house = House(await SqliteJournal.open(tmp_path / "relay.db", instance="test"), config)
    try:
        await house.start()
        yield house
    finally:
        await house.stop()


async def test_a_change_takes_effect_and_what_comes_after_goes_there(
    house: House, first: CallbackReceiver, second: CallbackReceiver
) -> None:
    await house.add(SMS, "a")
    await first.until(lambda: first.message_ids == ["a"])
    await house.become(callback(second))
    await house.add(SMS, "b")
    await second.until(lambda: second.message_ids == ["b"])
    assert first.message_ids == ["a"]


async def test_an_attempt_in_flight_ends_before_the_change(
    house: House, first: CallbackReceiver, second: CallbackReceiver
) -> None:
    first.default = Behaviour(delay_seconds=0.2)
    await house.add(SMS, "a")
    await until(lambda: first.in_flight == 1)
    await house.become(callback(second))
    await house.add(SMS, "b")
    await second.until(lambda: second.message_ids == ["b"])
    assert first.accepted_ids == ["a"]


async def test_what_fails_goes_on_to_the_place_that_it_moved_to(
    house: House, first: CallbackReceiver, second: CallbackReceiver
) -> None:
    first.default = Behaviour(status=500)
    await house.add(SMS, "a")
    await first.until(lambda: len(first.received) >= 2)
    await house.become(callback(second))
    await second.until(lambda: second.accepted_ids == ["a"])
    assert second.received[0].webhook_id == first.received[0].webhook_id


async def test_one_that_did_not_change_is_left_alone(
    house: House, first: CallbackReceiver, second: CallbackReceiver
) -> None:
    before = house.callbacks.controls["billing"]
    turn = await house.callbacks.become([callback(second, "audit"), callback(first)])
    assert ([one.name for one in turn.added], turn.changed, turn.removed) == (["audit"], (), ())
    assert house.callbacks.controls["billing"] is before


async def test_put_back_it_goes_on_where_it_was(house: House, first: CallbackReceiver) -> None:
    await house.add(SMS, "a")
    await first.until(lambda: first.message_ids == ["a"])
    await house.become()
    await house.add(SMS, "b")
    assert house.callbacks.controls == {}
    await house.become(callback(first, start="latest"))
    await first.until(lambda: first.message_ids == ["a", "b"])


async def test_a_new_one_begins_with_the_latest_or_the_earliest(
    house: House, first: CallbackReceiver, second: CallbackReceiver
) -> None:
    await house.add(SMS, "a")
    await house.add(VOICE, "b")
    await first.until(lambda: len(first.received) == 2)
    async with CallbackReceiver() as third:
        await house.become(callback(first), callback(second, "new", start="latest"), callback(third, "old"))
        await third.until(lambda: sorted(third.message_ids) == ["a", "b"])
        await house.opened("new")
        await house.add(VOICE, "c")
        await third.until(lambda: sorted(third.message_ids) == ["a", "b", "c"])
        await second.until(lambda: second.message_ids == ["c"])


async def test_other_filters_take_effect(house: House, first: CallbackReceiver) -> None:
    await house.become(callback(first, kinds=["voice"]))
    await house.add(SMS, "a")
    await house.add(VOICE, "b")
    await first.until(lambda: first.message_ids == ["b"])
    await house.become(callback(first))  # the stream that it left waits for it
    await first.until(lambda: first.message_ids == ["b", "a"])


async def test_of_a_removed_one_nothing_is_shown(house: House, first: CallbackReceiver) -> None:
    first.default = Behaviour(status=410)
    await house.add(SMS, "a")
    control = house.callbacks.controls["billing"]
    await until(lambda: control.standing.state is GateState.PAUSED)
    assert b'callback="billing"' in house.telemetry.exposition()
    assert list(house.health.degraded) == ["callback/billing"]
    await house.become()
    assert b'callback="billing"' not in house.telemetry.exposition()
    assert house.health.degraded == {}


async def test_a_pause_by_hand_outlives_change_and_removal(house: House, first: CallbackReceiver) -> None:
    await house.callbacks.controls["billing"].pause("they move")
    await house.become(callback(first, timeout_seconds=1))
    assert house.callbacks.controls["billing"].standing.reason == "paused by hand: they move"
    await house.become()
    await house.become(callback(first))
    assert house.callbacks.controls["billing"].standing.state is GateState.PAUSED


async def test_what_was_gone_is_tried_at_another_url(
    house: House, first: CallbackReceiver, second: CallbackReceiver
) -> None:
    first.default = Behaviour(status=410)
    await house.add(SMS, "a")
    control = house.callbacks.controls["billing"]
    await until(lambda: control.standing.state is GateState.PAUSED)
    await house.become(callback(first, timeout_seconds=1))
    assert house.callbacks.controls["billing"].standing.state is GateState.PAUSED
    await house.become(callback(second))
    await second.until(lambda: second.accepted_ids == ["a"])
    assert await house.journal.kept_pauses() == {}


async def test_certificates_that_cannot_be_used_change_nothing(
    house: House, first: CallbackReceiver, second: CallbackReceiver, tmp_path: Path
) -> None:
    authorities = tmp_path / "ca.pem"
    authorities.write_text("no certificate")
    bad = callback(second, "bad", url="https://127.0.0.1/", ca_file=str(authorities))
    with pytest.raises(TlsFilesUnusable, match=r"ca\.pem"):
        await house.become(callback(second), bad)
    await house.add(SMS, "a")
    await first.until(lambda: first.message_ids == ["a"])
    assert second.received == []


async def test_what_the_journal_refused_is_done_when_it_is_asked_again(
    house: House, first: CallbackReceiver, second: CallbackReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    acquire = house.journal.acquire_lease

    async def refuse(name: str) -> Lease:
        if name == "callback/audit/acme/voice":
            raise JournalError("full")
        return await acquire(name)

    with monkeypatch.context() as patch:
        patch.setattr(house.journal, "acquire_lease", refuse)
        with pytest.raises(JournalError):
            await house.become(callback(first), callback(second, "audit"))
    assert list(house.callbacks.controls) == ["billing"]
    await house.become(callback(first), callback(second, "audit"))
    await house.add(VOICE, "a")
    await second.until(lambda: second.message_ids == ["a"])


def test_subscriptions_are_the_pairs_that_match() -> None:
    one = CallbackConfig(name="one", url="http://x/")
    two = CallbackConfig(name="two", url="http://x/", kinds=("voice",))
    assert subscriptions([SMS, VOICE], [one, two]) == {("one", SMS), ("one", VOICE), ("two", VOICE)}
