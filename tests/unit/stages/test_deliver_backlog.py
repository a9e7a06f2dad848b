"""What waits too long or is too much becomes dead letters, and nothing else does."""

import asyncio

import pytest
from msgspec.structs import replace
from structlog.testing import capture_logs

from tests.unit.stages.deliver_journal import NO_ANSWER, OK, ToldSender, journal_of
from tests.unit.stages.deliver_rig import START_MS, Rig, settled, until


@pytest.mark.usefixtures("often_checked")
async def test_beyond_max_backlog_the_oldest_become_dead_letters() -> None:
    journal, sender = journal_of(2000), ToldSender()
    sender.default = asyncio.get_running_loop().create_future()
    rig = Rig(journal, sender, concurrency=2, max_backlog=800)
    async with rig.running():
        await until(lambda: len(journal.dead) == 1200)
        await settled(lambda: len(journal.dead))
        assert len(journal.dead) == 1200
        assert len(journal.deliveries) + 2000 - journal.position == 800
        # The two in flight are not given up behind their backs.
        assert (1,) not in [seqs for seqs, _ in journal.dead]
        sender.default.set_result(OK)
        await until(lambda: journal.position == 2000 and not journal.deliveries)
    buried = {seqs[0] for seqs, _ in journal.dead}
    sent = {int(post[0].removeprefix("m-")) for post in sender.posts}
    assert buried | sent == set(range(1, 2001))
    assert not buried & sent


@pytest.mark.usefixtures("often_checked")
async def test_a_backlog_within_its_bound_is_left_alone() -> None:
    journal, sender = journal_of(2000), ToldSender()
    sender.default = asyncio.get_running_loop().create_future()
    async with Rig(journal, sender, max_backlog=2000).running():
        await until(lambda: sender.in_flight == 16)
        await settled(lambda: len(journal.dead))
    assert journal.dead == []
    assert journal.deliveries == {}


@pytest.mark.usefixtures("often_checked")
async def test_while_it_fails_what_is_too_old_is_given_up_unattempted() -> None:
    journal, sender = journal_of(2000), ToldSender(NO_ANSWER)
    journal.entries = [replace(one, received_at_ms=START_MS) for one in journal.entries]
    rig = Rig(journal, sender, concurrency=1, retry={"max_age_seconds": 100})
    async with rig.running():
        await until(lambda: rig.gate.held)
        await settled(lambda: len(journal.deliveries))
        rig.pass_seconds(100 + 60 + 15 - 1)
        await settled(lambda: len(journal.dead))
        assert [seqs for seqs, reason in journal.dead if reason == "backlog"] == []
        rig.pass_seconds(2)
        # All but the probe.
        await until(lambda: len(journal.dead) >= 1998)
    assert len(sender.posts) < 30


@pytest.mark.usefixtures("often_checked")
async def test_after_a_long_stop_old_reports_are_still_sent() -> None:
    journal, sender = journal_of(5), ToldSender()
    journal.entries = [replace(one, received_at_ms=START_MS - 10 * 86_400_000) for one in journal.entries]
    rig = Rig(journal, sender, retry={"max_age_seconds": 100})
    async with rig.running():
        await until(lambda: journal.position == 5)
    assert len(sender.posts) == 5
    assert journal.dead == []


@pytest.mark.usefixtures("often_checked")
async def test_what_is_given_up_after_an_attempt_is_told_for_all_together() -> None:
    journal, sender = journal_of(3), ToldSender(NO_ANSWER)
    journal.entries = [replace(one, received_at_ms=START_MS) for one in journal.entries]
    rig = Rig(journal, sender, retry={"initial_seconds": 5, "max_age_seconds": 5})
    with capture_logs() as lines:
        async with rig.running():
            await until(lambda: len(journal.deliveries) == 3)
            rig.pass_seconds(5)
            await until(lambda: len(journal.dead) == 3)
            await until(lambda: sum(line.get("reports", 0) for line in lines) == 3)
    told = [line for line in lines if line["event"] == "given up, dead letters"]
    assert {line["callback"] for line in told} == {"billing"}
    assert {line["reason"] for line in told} == {"not delivered within 5 s; last try: connection: refused"}
