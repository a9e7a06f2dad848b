"""Deliverers on the real journal, posting to a real receiver: what a crash repeats, and what it does not lose."""

import asyncio

import pytest
from standardwebhooks.webhooks import Webhook

from tests.integration.callback_house import AT_ONCE, REFUSED, SECRET, House, names, now_ms, report
from tests.receivers.callback import Behaviour, CallbackReceiver


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
    monkeypatch.setattr("relay.stages.deliver.bounds.CHECK_SECONDS", 0.05)
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
