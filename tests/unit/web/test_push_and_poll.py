"""The same reports polled and pushed, on the real journal with the real unpacking: one event each, and no gap settled
or opened by a push."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from relay.config import JournalConfig, Secret
from relay.domain.report import Entry, EntryType, GapCause, Origin, Stream
from relay.journal.connection import Tuning
from relay.journal.sqlite import SqliteJournal
from relay.observe import Telemetry
from relay.ports import Fetch, Lease
from relay.stages.unpack import Unpack
from relay.web import HttpService, Push, PushEndpoint, make_push_web

SMS = Stream("acme", "sms")
T0 = 1_700_000_000_000
PUSHED_MS = T0 + 60_000


def row(message_id: str, status_id: int = 5, group_id: int = 3) -> str:
    return f'{{"messageId":"{message_id}","status":{{"groupId":{group_id},"id":{status_id}}},"error":{{"id":0}}}}'


def body(*rows: str) -> bytes:
    return f'{{"results":[{",".join(rows)}]}}'.encode()


def xml(message_id: str) -> bytes:
    return (
        f"<reportResponse><results><result><messageId>{message_id}</messageId><status><groupId>3</groupId><id>5</id>"
        "</status><error><id>0</id></error></result></results></reportResponse>"
    ).encode()


class Rig:
    """One stream: a poller's hand, a pusher's hand, and who unpacks."""

    def __init__(self, journal: SqliteJournal, lease: Lease, session: aiohttp.ClientSession) -> None:
        self.journal = journal
        self.lease = lease
        self.telemetry = Telemetry()
        self.limits = {"max_unpublished": 1000, "min_free_bytes": 0}
        self.unpack = Unpack(SMS, journal, self.telemetry, lambda: PUSHED_MS, lambda: None)
        self._session = session

    async def serve(self) -> None:
        push = Push(
            [PushEndpoint(SMS, Secret("canary-push"), "https://x.example", 1 << 20, 5.0)],
            journal=self.journal,
            limits=JournalConfig(url="sqlite:////tmp/relay.db", **self.limits),
            now_ms=lambda: PUSHED_MS,
            wake_unpack=lambda _: None,
        )
        self.service = HttpService(make_push_web(push), host="127.0.0.1", port=0)
        await self.service.start()

    async def push(self, body: bytes) -> int:
        url = f"http://relay:canary-push@127.0.0.1:{self.service.port}/push/acme/sms"
        async with self._session.post(url, data=body) as response:
            return response.status

    async def poll(self, body: bytes, at_ms: int = T0, gap: GapCause | None = None) -> None:
        await self.journal.mark_poll(self.lease, SMS, at_ms)
        fetch = Fetch(Origin.POLL, at_ms, at_ms, 200, "application/json", body, gap is None, 1, "https://x.example")
        await self.journal.append_fetch(self.lease, SMS, fetch, gap)

    async def unpacked(self) -> list[Entry]:
        while await self.unpack.step() == 0:
            pass
        return await self.journal.read_stream(SMS, 0, 1000, 1 << 20)

    def reports(self, origin: Origin, outcome: str) -> float | None:
        labels = {"source": "acme", "kind": "sms", "origin": origin.value, "outcome": outcome}
        return self.telemetry.registry.get_sample_value("relay_reports_total", labels)


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    journal = await SqliteJournal.open(tmp_path / "relay.db", instance="relay-0", tuning=Tuning(reserve_bytes=0))
    lease = await journal.acquire_lease(f"stream/{SMS}")
    await journal.open_stream(lease, SMS, T0)
    await journal.confirm_cursor(lease, SMS, 0, "cluster", T0)
    async with aiohttp.ClientSession() as session:
        rig = Rig(journal, lease, session)
        await rig.serve()
        yield rig
        await rig.service.stop()
    await journal.close()


def told(entries: list[Entry]) -> list[tuple[str, int, EntryType, Origin]]:
    return [(entry.message_id, entry.revision, entry.type, entry.origin) for entry in entries]


async def test_polled_then_pushed(rig: Rig) -> None:
    await rig.poll(body(row("1"), row("2")))
    assert await rig.push(body(row("2"), row("3"))) == 200
    assert told(await rig.unpacked()) == [
        ("1", 1, EntryType.REPORT, Origin.POLL),
        ("2", 1, EntryType.REPORT, Origin.POLL),
        ("3", 1, EntryType.REPORT, Origin.PUSH),
    ]
    counted = [(Origin.POLL, "new"), (Origin.PUSH, "new"), (Origin.PUSH, "duplicate")]
    assert [rig.reports(*labels) for labels in counted] == [2, 1, 1]


async def test_pushed_then_polled_then_pushed_again_as_xml(rig: Rig) -> None:
    await rig.push(body(row("1")))
    await rig.unpacked()
    await rig.poll(body(row("1"), row("2")))
    await rig.push(xml("1"))
    await rig.push(xml("9"))
    assert told(await rig.unpacked()) == [
        ("1", 1, EntryType.REPORT, Origin.PUSH),
        ("2", 1, EntryType.REPORT, Origin.POLL),
        ("9", 1, EntryType.REPORT, Origin.PUSH),
    ]


async def test_both_at_once(rig: Rig) -> None:
    bodies = [body(*(row(f"{n}-{m}") for m in range(10))) for n in range(20)]
    pushes = [rig.push(one) for one in bodies for _ in range(2)]
    polls = [rig.poll(one) for one in bodies]
    statuses = await asyncio.gather(*pushes, *polls)
    assert set(statuses) == {200, None}
    entries = await rig.unpacked()
    assert sorted(entry.message_id for entry in entries) == sorted(f"{n}-{m}" for n in range(20) for m in range(10))
    assert [entry.seq for entry in entries] == list(range(1, 201))
    assert {entry.type for entry in entries} == {EntryType.REPORT}


async def test_another_outcome_by_the_other_way_is_a_revision(rig: Rig) -> None:
    await rig.push(body(row("1", status_id=7, group_id=1)))
    await rig.poll(body(row("1")))
    await rig.push(body(row("1", status_id=9, group_id=2)))
    await rig.push(body(row("1", status_id=7, group_id=1), row("1")))
    assert told(await rig.unpacked()) == [
        ("1", 1, EntryType.REPORT, Origin.PUSH),
        ("1", 2, EntryType.COMPLETION, Origin.POLL),
        ("1", 3, EntryType.REVISION, Origin.PUSH),
    ]


async def test_a_push_leaves_the_mark_of_a_poll(rig: Rig) -> None:
    await rig.journal.mark_poll(rig.lease, SMS, T0)
    await rig.push(body(row("1")))
    await rig.unpacked()
    state = await rig.journal.open_stream(rig.lease, SMS, T0 + 1)
    assert state.interrupted_poll_at_ms == T0


async def test_a_push_is_no_successful_poll(rig: Rig) -> None:
    await rig.push(body(row("1")))
    await rig.unpacked()
    state = await rig.journal.open_stream(rig.lease, SMS, T0 + 1)
    assert (state.first_poll_at_ms, state.last_success_at_ms, state.drained_at_ms) == (None, None, None)
    assert "relay_last_successful_poll_timestamp_seconds{" not in rig.telemetry.exposition().decode()


async def test_a_gap_stays_as_it_was(rig: Rig) -> None:
    await rig.poll(b"", gap=GapCause.TIMEOUT)
    before = await rig.journal.list_gaps(SMS)
    await rig.push(body(row("1")))
    await rig.unpacked()
    assert await rig.journal.list_gaps(SMS) == before


@pytest.mark.parametrize("pushed", [b'{"results":[{"messageId":', b'{"results":5}', b'{"results":[{"messageId":""}]}'])
async def test_what_is_broken_in_a_push_opens_no_gap(rig: Rig, pushed: bytes) -> None:
    assert await rig.push(pushed) == 200
    await rig.unpacked()
    assert await rig.journal.list_gaps(SMS) == []


async def test_pushes_wait_while_too_much_is_unpublished(rig: Rig) -> None:
    rig.limits["max_unpublished"] = 3
    await rig.service.stop()
    await rig.serve()
    await rig.poll(body(row("1"), row("2"), row("3")))
    await rig.unpacked()
    assert await rig.push(body(row("4"))) == 503
    await rig.journal.advance(rig.lease, SMS, 3, "cluster", T0)
    await rig.service.stop()
    await rig.serve()
    assert await rig.push(body(row("4"))) == 200


async def test_a_journal_that_is_closed(rig: Rig) -> None:
    await rig.journal.close()
    assert await rig.push(body(row("1"))) == 503


async def test_what_was_answered_200_is_there_after_a_restart(rig: Rig, tmp_path: Path) -> None:
    assert await rig.push(body(row("1"))) == 200
    await rig.journal.close()
    journal: Any = await SqliteJournal.open(tmp_path / "relay.db", instance="relay-0", tuning=Tuning(reserve_bytes=0))
    lease = await journal.acquire_lease(f"stream/{SMS}")
    await journal.confirm_cursor(lease, SMS, 0, "cluster", T0)
    claimed = await journal.claim_fetch(SMS, T0)
    assert (claimed.fetch.origin, claimed.fetch.body) == (Origin.PUSH, body(row("1")))
    await journal.close()
