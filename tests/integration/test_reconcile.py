"""The real journal and the simulated API: what reads lost comes back from the logs, once, and every gap is closed."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from relay.app import Relay, now_ms
from relay.config import Config
from relay.domain.gaps import StreamGaps
from relay.domain.history import Gap, GapState
from relay.domain.report import Entry, GapCause, Origin, Stream
from relay.journal.sqlite import SqliteJournal
from relay.simulator.faults import LOGS, Fault, What
from relay.simulator.options import LogsOptions, SimulatorOptions, TrafficOptions
from relay.simulator.server import Simulator

STREAMS = [Stream("acme", "sms"), Stream("acme", "voice")]
TOKEN = "integration-token"
RATE = 150.0
LATEST_MS = 1010
"""The simulator's reports come up to so long after they say that they were done."""
SETTLE_SECONDS = 3.0
"""Half of it is longer than that, so that what still comes is not taken for lost."""


def config(directory: Path, base_url: str) -> Config:
    return Config.model_validate(
        {
            "instance": "relay-0",
            "sources": [
                {
                    "name": "acme",
                    "base_url": base_url,
                    "auth": {"type": "api_key", "token": "simulator-key"},
                    "poll": {"interval_seconds": 0.1, "max_interval_seconds": 0.2, "timeout_seconds": 0.5},
                    "reconcile": {"settle_seconds": SETTLE_SECONDS, "requests_per_minute": 6000},
                }
            ],
            "journal": {"url": f"sqlite:///{directory}/relay.db", "min_free_bytes": 0},
            "callbacks": [{"name": "away", "url": "http://127.0.0.1:9/"}],
            "http": {"host": "127.0.0.1", "port": 0, "token": TOKEN},
        }
    )


@pytest.fixture
async def simulator(tmp_path: Path) -> AsyncIterator[Simulator]:
    """Traffic begins at once and ends by itself; no report says that its message is still on its way."""
    traffic = TrafficOptions(rate=RATE, total=int(RATE * 9), final_only=True)
    options = SimulatorOptions(
        traffic={"sms": traffic, "voice": traffic}, ledger=tmp_path / "ledger", logs=LogsOptions(per_minute=6000)
    )
    async with Simulator(options) as running:
        yield running


async def started(tmp_path: Path, simulator: Simulator) -> Relay:
    relay = Relay(config(tmp_path, simulator.base_url))
    await relay.start()
    return relay


async def until(condition: Callable[[], Any], relay: Relay) -> None:
    while not condition():
        relay.raise_if_failed()
        await asyncio.sleep(0.05)


async def until_the_queues_were_empty(relay: Relay) -> None:
    """Long enough after the first poll that what is lost from then on was done after it: a report comes up to a second
    after it was done."""
    for stream in STREAMS:
        while not _was_empty(await relay._journal.open_gaps(stream)):
            relay.raise_if_failed()
            await asyncio.sleep(0.05)


def _was_empty(gaps: StreamGaps | None) -> bool:
    if gaps is None or gaps.drained_at_ms is None or gaps.first_poll_at_ms is None:
        return False
    return gaps.drained_at_ms > gaps.first_poll_at_ms + LATEST_MS


async def until_no_gap_is_open(relay: Relay) -> None:
    while any(figures.gaps_open for figures in (await relay._journal.figures(now_ms())).streams.values()):
        relay.raise_if_failed()
        await asyncio.sleep(0.1)


async def read_all(directory: Path) -> tuple[dict[Stream, list[Entry]], list[Gap]]:
    journal = await SqliteJournal.open(directory / "relay.db", instance="reader")
    entries = {stream: await journal.read_stream(stream, 0, 10_000, 1 << 30) for stream in STREAMS}
    gaps = await journal.list_gaps(limit=1000)
    await journal.close()
    return entries, gaps


def handed_out(path: Path) -> dict[Stream, Counter[str]]:
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    counts: dict[Stream, Counter[str]] = {stream: Counter() for stream in STREAMS}
    for line in lines:
        if line["event"] == "handed_out":
            counts[Stream("acme", line["kind"])].update(line["ids"])
    return counts


async def test_all_that_was_handed_out_is_there_once_and_every_gap_is_closed_with_its_count(
    tmp_path: Path, simulator: Simulator
) -> None:
    relay = await started(tmp_path, simulator)
    await until_the_queues_were_empty(relay)
    simulator.faults.add(
        Fault(What.RESET_IN_BODY, rate=0.2, kind="sms"),
        Fault(What.RESET_IN_BODY, rate=0.2, kind="voice"),
        Fault(What.DELAY, rate=0.1, seconds=0.7),
        Fault(What.STATUS, rate=0.1, status=503, kind=LOGS),
        Fault(What.RESET_IN_BODY, rate=0.1, kind=LOGS),
    )
    for _ in range(3):  # stops also hit the walk through the logs: it goes on where it was
        lost = simulator.faults.injected.total() + 4
        await until(lambda lost=lost: simulator.faults.injected.total() >= lost, relay)
        await relay.stop()
        relay = await started(tmp_path, simulator)
    await until(lambda: simulator.drained, relay)
    simulator.faults.clear()
    await until_no_gap_is_open(relay)
    await relay.stop()

    entries, gaps = await read_all(tmp_path)
    ledger = handed_out(tmp_path / "ledger")
    for stream in STREAMS:
        assert Counter(entry.message_id for entry in entries[stream] if entry.message_id) == ledger[stream]
        assert set(ledger[stream].values()) == {1}
    recovered = [entry for stream in STREAMS for entry in entries[stream] if entry.origin is Origin.LOGS]
    assert len(recovered) > 0
    assert {gap.state for gap in gaps} == {GapState.CLOSED}
    assert {gap.cause for gap in gaps} >= {GapCause.TRUNCATED, GapCause.TIMEOUT}
    assert sum(gap.recovered for gap in gaps) == len(recovered)


async def test_what_another_reader_took_before_the_first_poll_does_not_flood_in(
    tmp_path: Path, simulator: Simulator
) -> None:
    async with aiohttp.ClientSession(headers={"Authorization": "App simulator-key"}) as session:
        while simulator.state()["kinds"]["sms"]["handed_out"] < 100:
            async with session.get(simulator.base_url + "/sms/1/reports") as response:
                taken = {report["messageId"] for report in json.loads(await response.read())["results"]}
            await asyncio.sleep(0.1)
    relay = await started(tmp_path, simulator)
    await until_the_queues_were_empty(relay)
    simulator.faults.add(Fault(What.RESET_BEFORE, times=2, consumes=True))
    await until(lambda: simulator.drained, relay)
    await until_no_gap_is_open(relay)
    await relay.stop()
    entries, gaps = await read_all(tmp_path)
    assert len(gaps) > 0
    assert taken.isdisjoint(entry.message_id for entry in entries[STREAMS[0]])
