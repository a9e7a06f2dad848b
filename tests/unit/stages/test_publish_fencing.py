"""The publish stage when another producer takes its transactional id, or the broker says so."""

import time

import pytest

from relay.ports import (
    LeaseLost,
    ProducerFenced,
    SinkUnavailable,
)
from relay.stages.publish import publisher
from relay.stages.publish.fencing import HELD_SECONDS
from tests.unit.stages.publish_fakes import Rig


@pytest.fixture
def rig() -> Rig:
    return Rig()


class Clock:
    """Monotonic seconds that stand still until moved."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.seconds = time.monotonic()
        monkeypatch.setattr(publisher.time, "monotonic", lambda: self.seconds)


async def test_fenced_now_and_then_it_goes_on_at_once_and_is_well(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    for _ in range(5):
        rig.journal.add(1)
        rig.kafka.failures.append(ProducerFenced("the transaction timed out"))
        assert await rig.publish.step() == 0
        assert await rig.publish.step() == 0
        assert rig.health.degraded == {}
        clock.seconds += HELD_SECONDS

    assert rig.kafka.seqs == [1, 2, 3, 4, 5]


async def test_fenced_again_and_again_it_leaves_the_id_longer_and_longer_and_never_gives_up(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock(monkeypatch)
    rig.journal.add(1)
    rig.kafka.failures.extend([ProducerFenced("taken")] * 10)
    waits = []
    for _ in range(10):
        waits.append(await rig.publish.step())
        clock.seconds += waits[-1]

    assert waits == [0, 1, 2, 4, 8, 16, 32, 60, 60, 60]
    assert rig.kafka.opened == 10
    assert rig.health.degraded["publish/acme/sms"].startswith("fenced 10 times in a row: another producer uses")

    assert await rig.publish.step() == 0  # the other has gone
    assert rig.kafka.seqs == [1]
    assert "publish/acme/sms" in rig.health.degraded  # it may come back

    clock.seconds += 120
    await rig.publish.step()
    assert rig.health.degraded == {}


async def test_new_entries_do_not_shorten_the_wait_after_fencings(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    Clock(monkeypatch)
    rig.journal.add(1)
    rig.kafka.failures.extend([ProducerFenced("taken")] * 2)
    await rig.publish.step()
    assert await rig.publish.step() == 1

    rig.journal.add(1)

    assert await rig.publish.step() == 1
    assert rig.kafka.opened == 2


async def test_an_outage_during_a_dispute_hides_it_for_as_long_as_it_lasts(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock(monkeypatch)
    rig.journal.add(1)
    rig.kafka.failures.extend([ProducerFenced("taken"), ProducerFenced("taken"), SinkUnavailable("down")])
    for _ in range(3):
        clock.seconds += await rig.publish.step()
    assert rig.health.degraded == {"publish/acme/sms": "down"}

    clock.seconds += 10
    await rig.publish.step()

    assert rig.kafka.seqs == [1]
    assert rig.health.degraded["publish/acme/sms"].startswith("fenced 2 times in a row")


async def test_fenced_with_the_cursor_moved_it_stops(rig: Rig) -> None:
    rig.journal.add(2)
    rig.kafka.failures.append(ProducerFenced("by another"))
    await rig.publish.step()
    rig.kafka.cursor = 2

    assert await rig.publish.step() == publisher.STOPPED_SECONDS

    assert rig.kafka.seqs == []
    assert "cursor moved from 0 to 2" in rig.health.degraded["publish/acme/sms"]


async def test_fenced_without_the_lease_it_ends(rig: Rig) -> None:
    rig.journal.add(1)
    rig.kafka.failures.append(ProducerFenced("by the new owner"))

    def take_the_lease() -> None:
        rig.journal.lost = True

    rig.kafka.on_publish = take_the_lease

    with pytest.raises(LeaseLost):
        await rig.publish.step()

    assert rig.kafka.opened == 1
    assert not rig.kafka.is_open
