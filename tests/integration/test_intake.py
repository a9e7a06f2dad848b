"""Intake with the real client against the simulator: nothing that left is lost without a gap, whatever goes wrong."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from relay.config import JournalConfig, PollConfig, SourceConfig
from relay.domain.report import GapCause
from relay.observe import Health
from relay.simulator.faults import Fault, What
from relay.simulator.options import SimulatorOptions, TrafficOptions
from relay.simulator.server import Simulator
from relay.sources.infobip import InfobipSource, wall_clock_ms
from relay.stages.intake import Intake
from tests.unit.stages.intake_fakes import LEASE, STREAM, FakeJournal, FakeTelemetry

TOTAL = 6000
EVERY_FAULT = tuple(
    Fault(what, times=3, seconds=seconds, status=status, consumes=consumes)
    for what, seconds, status, consumes in [
        (What.RESET_IN_BODY, 0, 200, None),
        (What.CLOSE_IN_BODY, 0, 200, None),
        (What.RESET_BEFORE, 0, 200, True),
        (What.CLOSE_BEFORE, 0, 200, True),
        (What.TRUNCATED_GZIP, 0, 200, None),
        (What.HTML, 0, 200, True),
        (What.STATUS, 0, 502, True),
        (What.STATUS, 0, 429, False),
        (What.STATUS, 0, 401, False),
        (What.DELAY, 0.4, 200, None),
        (What.HANG, 0, 200, False),
    ]
)


def config(base_url: str) -> SourceConfig:
    return SourceConfig.model_validate(
        {
            "name": "acme",
            "base_url": base_url,
            "auth": {"type": "basic", "username": "simulator", "password": "simulator"},
            "poll": {"limit": 100, "interval_seconds": 0.01, "timeout_seconds": 0.2},
        }
    )


def ledger(path: Path, event: str) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    return [line for line in lines if line["event"] == event]


@pytest.mark.parametrize("compress", [False, True])
async def test_every_report_that_left_is_journaled_and_every_loss_is_a_gap(tmp_path: Path, compress: bool) -> None:
    journal = FakeJournal([])
    path = tmp_path / "ledger"
    options = SimulatorOptions(
        traffic={"sms": TrafficOptions(total=TOTAL)}, ledger=path, faults=EVERY_FAULT, compress=compress
    )
    async with Simulator(options) as simulator:
        source = InfobipSource(config(simulator.base_url))
        clock = FastClock()
        intake = Intake(
            STREAM,
            LEASE,
            journal=journal,
            source=source,
            base_url=simulator.base_url,
            poll=PollConfig(limit=100, interval_seconds=0.01),
            limits=JournalConfig(url="sqlite:////unused/relay.db"),
            telemetry=FakeTelemetry(),
            health=Health(),
            now_ms=wall_clock_ms,
            wake_unpack=lambda: None,
            monotonic=clock.now,
        )
        while not simulator.drained:
            clock.pass_seconds(await intake.step())
        await source.close()

    journaled = b"".join(fetch.body for fetch, _ in journal.fetches)
    ended = {line["response"]: line for line in ledger(path, "ended")}
    for response in ledger(path, "handed_out"):
        whole = ended[response["response"]]["whole_reports"]
        assert [id_ for id_ in response["ids"][:whole] if id_.encode() not in journaled] == []
    causes = [gap for _, gap in journal.fetches] + [gap for gap, _ in journal.ended]
    counts = {cause: causes.count(cause) for cause in GapCause if cause in causes}
    # A kept web page has no gap yet: unpack opens it. 429 and 401 have none.
    assert counts == {
        GapCause.TRUNCATED: 9,
        GapCause.CONNECTION: 6,
        GapCause.HTTP_STATUS: 3,
        GapCause.TIMEOUT: 6,
    }
    pages = [fetch for fetch, _ in journal.fetches if fetch.body.startswith(b"<!DOCTYPE")]
    assert len(pages) == 3


class FastClock:
    """A monotonic clock on which waits are over at once."""

    def __init__(self) -> None:
        self._skipped = 0.0

    def now(self) -> float:
        return asyncio.get_running_loop().time() + self._skipped

    def pass_seconds(self, seconds: float) -> None:
        self._skipped += seconds


async def test_one_source_that_refuses_does_not_touch_another(tmp_path: Path) -> None:
    refusing = SimulatorOptions(faults=(Fault(What.STATUS, status=401),))
    async with Simulator(refusing) as first, Simulator(SimulatorOptions()) as second:
        second.enqueue("sms", [{"messageId": "a"}])
        sources = [InfobipSource(config(simulator.base_url)) for simulator in (first, second)]
        answers = await asyncio.gather(*(source.fetch_reports("sms", limit=100) for source in sources))
        for source in sources:
            await source.close()
    assert [(answer.status, answer.complete) for answer in answers] == [(401, True), (200, True)]
