"""The loop of recordings: what it fetches when, and what follows each end."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from pathlib import Path

import pytest

from relay.domain.recordings import Failure, StoredRecording
from relay.domain.report import Stream
from relay.observe import Telemetry
from relay.ports import JournalFull, Lease, LeaseLost, PendingRecording, ShelfFull
from relay.simulator.files import recording
from relay.sinks.recordings import RecordingArchive
from relay.stages.recordings import Recordings

VOICE = Stream("acme", "voice")
LEASE = Lease("stream/acme/voice", "relay-0", 1)
T0 = 1_700_000_000_000
HOUR_MS = 3_600_000
SOUND = recording("m-1")

Write = Callable[[bytes], Awaitable[None]]


class Journal:
    """Keeps pending recordings in memory and notes what becomes of them."""

    def __init__(self) -> None:
        self.pending: dict[int, tuple[PendingRecording, int]] = {}
        self.announced: list[tuple[int, StoredRecording]] = []
        self.given_up: list[tuple[int, str]] = []
        self.error: Exception | None = None

    def add(self, *ids: int, at_ms: int = T0, attempts: int = 0) -> None:
        for id_ in ids:
            pending = PendingRecording(id_, f"m-{id_}", f"https://x/{id_}", "2018-06-25", attempts, at_ms)
            self.pending[id_] = (pending, at_ms)

    async def want_recordings(self, lease: Lease, stream: Stream, *, wanted: bool) -> bool:
        raise NotImplementedError

    async def due_recordings(
        self, stream: Stream, at_ms: int, limit: int, skip: Collection[int]
    ) -> list[PendingRecording]:
        due = [pending for id_, (pending, next_ms) in self.pending.items() if next_ms <= at_ms and id_ not in skip]
        return due[:limit]

    async def next_recording_at_ms(self, stream: Stream, skip: Collection[int]) -> int | None:
        return min((next_ms for id_, (_, next_ms) in self.pending.items() if id_ not in skip), default=None)

    async def record_recording(
        self, lease: Lease, stream: Stream, id_: int, stored: StoredRecording, at_ms: int
    ) -> None:
        self._raise()
        del self.pending[id_]
        self.announced.append((id_, stored))

    async def postpone_recording(
        self, lease: Lease, stream: Stream, id_: int, next_attempt_at_ms: int, reason: str
    ) -> None:
        self._raise()
        pending, _ = self.pending[id_]
        self.pending[id_] = (pending._replace(attempts=pending.attempts + 1), next_attempt_at_ms)

    async def give_up_recording(self, lease: Lease, stream: Stream, id_: int, reason: str, at_ms: int) -> None:
        self._raise()
        del self.pending[id_]
        self.given_up.append((id_, reason))

    def _raise(self) -> None:
        if self.error is not None:
            raise self.error


class Source:
    """Answers each URL with what the test says; `open` holds the answers back while it is cleared."""

    def __init__(self) -> None:
        self.answers: dict[str, Failure | bytes] = {}
        self.asked: list[str] = []
        self.open = asyncio.Event()
        self.open.set()

    async def fetch_recording(self, url: str, write: Write) -> Failure | None:
        self.asked.append(url)
        await self.open.wait()
        answer = self.answers.get(url, SOUND)
        if isinstance(answer, Failure):
            return answer
        await write(answer)
        return None


class Rig:
    def __init__(self, directory: Path) -> None:
        self.journal = Journal()
        self.source = Source()
        self.shelf = RecordingArchive(directory, min_free_bytes=0)
        self.telemetry = Telemetry()
        self.directory = directory
        self.now_ms = T0
        self.woken = 0
        self.announced = 0
        self.stage = Recordings(
            VOICE,
            LEASE,
            journal=self.journal,
            source=self.source,
            shelf=self.shelf,
            telemetry=self.telemetry,
            now_ms=lambda: self.now_ms,
            wake_subscribers=self._wake_subscribers,
            random=lambda: 0.5,
        )
        self.stage.wake = self._wake

    def _wake(self) -> None:
        self.woken += 1

    def _wake_subscribers(self) -> None:
        self.announced += 1

    async def settle(self) -> None:
        """Step, and wait until what it began has ended."""
        await self.stage.step()
        await until(lambda: not self.stage._fetching)

    def count(self, outcome: str) -> float | None:
        labels = {"source": "acme", "outcome": outcome}
        return self.telemetry.registry.get_sample_value("relay_recordings_total", labels)

    def files(self) -> list[str]:
        return sorted(str(file.relative_to(self.directory)) for file in self.directory.rglob("*.*"))


async def until(condition: Callable[[], object]) -> None:
    """Wait for what no event announces."""
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 - the other side's progress is only to be looked at
            await asyncio.sleep(0.001)


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    rig = Rig(tmp_path)
    yield rig
    rig.source.open.set()
    await rig.stage.close()


async def test_a_recording_is_stored_then_announced(rig: Rig) -> None:
    rig.journal.add(1)
    await rig.settle()
    ((id_, stored),) = rig.journal.announced
    assert (id_, stored.path, stored.size_bytes) == (1, "acme/2018/06/25/m-1.wav", len(SOUND))
    assert rig.files() == [stored.path]
    assert (rig.count("stored"), rig.announced) == (1, 1)
    assert await rig.stage.step() == 5


async def test_what_is_not_there_yet_is_fetched_again(rig: Rig) -> None:
    rig.journal.add(1)
    rig.source.answers["https://x/1"] = Failure("the source answered 404")
    await rig.settle()
    assert rig.journal.pending[1][0].attempts == 1
    assert rig.journal.pending[1][1] == T0 + 11_250
    assert (rig.files(), rig.count("retried")) == ([], 1)
    rig.now_ms = T0 + 10_000
    assert await rig.stage.step() == 1.25
    rig.source.answers.clear()
    rig.now_ms = T0 + 11_250
    await rig.settle()
    assert len(rig.journal.announced) == 1


@pytest.mark.parametrize("body", [b"<html>Not found</html>", SOUND[:-1], b""])
async def test_what_is_no_recording_may_be_one_later(rig: Rig, body: bytes) -> None:
    rig.journal.add(1)
    rig.source.answers["https://x/1"] = body
    await rig.settle()
    assert rig.journal.pending[1][0].attempts == 1
    assert rig.files() == []


async def test_another_host_is_given_up_at_once(rig: Rig) -> None:
    rig.journal.add(1)
    rig.source.answers["https://x/1"] = Failure("another host: refused", final=True)
    await rig.settle()
    assert rig.journal.given_up == [(1, "another host: refused")]
    assert rig.count("given_up") == 1


async def test_after_48_hours_it_is_given_up(rig: Rig) -> None:
    rig.journal.add(1, attempts=60)
    rig.source.answers["https://x/1"] = Failure("the source answered 404")
    rig.now_ms = T0 + 48 * HOUR_MS
    await rig.settle()
    assert rig.journal.given_up == [(1, "not to be had for 48 hours: the source answered 404")]


async def test_what_was_left_alone_for_days_is_tried_once_more(rig: Rig) -> None:
    rig.journal.add(1)
    rig.now_ms = T0 + 100 * HOUR_MS
    await rig.settle()
    assert len(rig.journal.announced) == 1


async def test_four_at_a_time_each_once(rig: Rig) -> None:
    rig.journal.add(*range(1, 7))
    rig.source.open.clear()
    for _ in range(3):
        await rig.stage.step()
    await until(lambda: len(rig.source.asked) == 4)
    await rig.stage.step()
    assert sorted(rig.source.asked) == [f"https://x/{id_}" for id_ in range(1, 5)]
    rig.source.open.set()
    async with asyncio.timeout(30):
        while len(rig.journal.announced) < 6:
            await rig.stage.step()
            await asyncio.sleep(0.001)
    assert sorted(rig.source.asked) == [f"https://x/{id_}" for id_ in range(1, 7)]


async def test_one_bad_recording_stops_no_other(rig: Rig) -> None:
    rig.journal.add(1, 2)
    rig.source.answers["https://x/1"] = Failure("the source answered 500")
    await rig.settle()
    assert [id_ for id_, _ in rig.journal.announced] == [2]


async def test_a_full_disk_fails_the_step_and_no_recording(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    rig.journal.add(1, 2, 3)
    monkeypatch.setattr(rig.shelf, "_min_free_bytes", 1 << 62)
    await rig.stage.step()
    await until(lambda: rig.woken == 3)
    for _ in range(3):  # each time, so that the distance between tries grows
        with pytest.raises(ShelfFull):
            await rig.stage.step()
    assert rig.source.asked == []
    monkeypatch.setattr(rig.shelf, "_min_free_bytes", 0)
    async with asyncio.timeout(30):
        while len(rig.journal.announced) < 3:
            await rig.stage.step()
            await asyncio.sleep(0.001)
    assert (rig.count("retried"), rig.count("given_up")) == (0, 0)


@pytest.mark.parametrize("error", [JournalFull("no room"), LeaseLost("another owner")])
async def test_a_journal_that_cannot_be_written_fails_the_step(rig: Rig, error: Exception) -> None:
    rig.journal.add(1)
    rig.journal.error = error
    await rig.settle()
    with pytest.raises(type(error)):
        await rig.stage.step()
    rig.journal.error = None
    await rig.settle()
    assert len(rig.journal.announced) == 1
    assert rig.files() == ["acme/2018/06/25/m-1.wav"]


async def test_closing_leaves_nothing_half_done(rig: Rig) -> None:
    rig.journal.add(1)
    rig.source.open.clear()
    await rig.stage.step()
    await until(lambda: rig.source.asked)
    await rig.stage.close()
    await rig.stage.close()
    assert list(rig.journal.pending) == [1]
    assert rig.files() == []
