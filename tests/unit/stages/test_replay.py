"""The stage that feeds replays to the deliverers, on a real journal."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from relay.domain.replay import ReplayRequest, ReplayRun, ReplayState
from relay.domain.report import Stream
from relay.journal.sqlite import SqliteJournal
from relay.ports import ReplayTarget
from relay.stages.replay import BUSY_SECONDS, IDLE_SECONDS, WAITING_SECONDS, Replay
from tests.conformance.journals import ALL, SMALL, SMS, T0, VOICE, Relay, delivered, given_up, own

NOW_MS = T0 + 60_000


class Rig:
    """`billing` got so many reports of two streams; the stage runs step by step."""

    def __init__(self, journal: SqliteJournal, sms: Relay, voice: Relay) -> None:
        self.journal = journal
        self.sms, self.voice = sms, voice
        self.stored: list[tuple[str, Stream]] = []
        self.targets = {"billing": ReplayTarget(ALL, 1, 1_000_000)}
        self.stage: Replay

    async def received(self, sms: int, voice: int) -> None:
        for relay, count in ((self.sms, sms), (self.voice, voice)):
            await relay.receive_many(count)
            await relay.subscribe("billing", earliest=True)
            await relay.attempt("billing", position=count)

    async def start(self, callback: str = "billing") -> ReplayRun:
        run = await self.journal.start_replay(ReplayRequest(callback, 0, NOW_MS), NOW_MS)
        assert run is not None
        return run

    async def run(self) -> ReplayRun:
        (run,) = await self.journal.list_replays()
        return run

    async def deliver(self, relay: Relay, limit: int = 10_000) -> None:
        for id_, seqs in await relay.due("billing", NOW_MS, limit=limit):
            await relay.attempt("billing", delivered(*seqs, id_=id_, at_ms=NOW_MS))


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    journal = await SqliteJournal.open(tmp_path / "relay.db", instance="relay-0", tuning=SMALL)
    rig = Rig(journal, await own(journal), await own(journal, VOICE))
    rig.stage = Replay(
        await journal.acquire_lease("replays"),
        journal=journal,
        target_of=rig.targets.get,
        stored=lambda callback, stream: rig.stored.append((callback, stream)),
        now_ms=lambda: NOW_MS,
    )
    yield rig
    await journal.close()


async def test_nothing_to_do(rig: Rig) -> None:
    assert await rig.stage.step() == IDLE_SECONDS


async def test_all_streams_are_fed_and_their_deliverers_told(rig: Rig) -> None:
    await rig.received(3, 2)
    await rig.start()
    assert await rig.stage.step() == BUSY_SECONDS
    assert rig.stored == [("billing", SMS), ("billing", VOICE)]
    assert (await rig.run()).pending == 5


async def test_it_is_done_when_nothing_of_it_waits(rig: Rig) -> None:
    await rig.received(2, 1)
    await rig.start()
    await rig.stage.step()
    await rig.deliver(rig.sms)
    await rig.stage.step()
    assert (await rig.run()).state is ReplayState.RUNNING
    ((id_, _),) = await rig.voice.due("billing", NOW_MS)
    await rig.voice.attempt("billing", given_up(1, id_=id_, at_ms=NOW_MS))
    assert await rig.stage.step() == IDLE_SECONDS
    run = await rig.run()
    assert (run.state, run.ended_at_ms, run.dead) == (ReplayState.DONE, NOW_MS, 1)
    assert await rig.stage.step() == IDLE_SECONDS


async def test_only_so_many_wait_for_their_first_attempt(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("relay.stages.replay.AHEAD_REPORTS", 4)
    await rig.received(10, 0)
    await rig.start()
    assert await rig.stage.step() == BUSY_SECONDS
    assert (await rig.run()).pending == 4
    assert await rig.stage.step() == BUSY_SECONDS  # it has moved since the last look
    assert await rig.stage.step() == WAITING_SECONDS
    assert (await rig.run()).pending == 4
    await rig.deliver(rig.sms, limit=3)
    assert await rig.stage.step() == BUSY_SECONDS
    run = await rig.run()
    assert (run.pending, run.spans[0].reports) == (4, 7)


async def test_what_was_tried_and_failed_makes_room(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("relay.stages.replay.AHEAD_REPORTS", 2)
    await rig.received(4, 0)
    await rig.start()
    await rig.stage.step()
    for id_, seqs in await rig.sms.due("billing", NOW_MS):
        failure = given_up(*seqs, id_=id_, at_ms=NOW_MS)._replace(next_attempt_at_ms=NOW_MS + 9, dead_reason=None)
        await rig.sms.attempt("billing", failure)
    await rig.stage.step()
    run = await rig.run()
    assert (run.pending, run.untried, run.spans[0].reports) == (4, 2, 4)


async def test_it_leaves_half_of_the_backlog_to_the_live_flow(rig: Rig) -> None:
    rig.targets["billing"] = ReplayTarget(ALL, 1, 6)
    await rig.received(9, 0)
    await rig.start()
    await rig.stage.step()
    assert (await rig.run()).pending == 3


async def test_paused_it_waits_and_cancelled_it_ends(rig: Rig) -> None:
    await rig.received(2, 0)
    run = await rig.start()
    await rig.journal.set_replay_state(run.id, ReplayState.PAUSED, NOW_MS)
    assert await rig.stage.step() == IDLE_SECONDS
    assert rig.stored == []
    await rig.journal.set_replay_state(run.id, ReplayState.RUNNING, NOW_MS)
    assert await rig.stage.step() == BUSY_SECONDS
    await rig.journal.set_replay_state(run.id, ReplayState.CANCELLED, NOW_MS)
    assert await rig.stage.step() == IDLE_SECONDS
    assert (await rig.run()).state is ReplayState.CANCELLED


async def test_a_callback_that_is_not_there_now_is_waited_for(rig: Rig) -> None:
    await rig.received(2, 0)
    await rig.start()
    target = rig.targets.pop("billing")
    await rig.stage.step()
    assert await rig.stage.step() == WAITING_SECONDS
    assert (rig.stored, (await rig.run()).pending) == ([], 0)
    rig.targets["billing"] = target
    await rig.stage.step()
    assert (await rig.run()).pending == 2
