"""A disk that is really full: a small tmpfs (needs root), filled by somebody else."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from relay.domain.report import Decoded
from relay.journal.files import free_bytes
from relay.journal.sqlite import SqliteJournal
from relay.ports import JournalFull
from tests.conformance.journals import SMALL, SMS, T0, Relay, fetch, own, report, retention
from tests.unit.journal.conftest import Open

DISK = 24 << 20
TUNING = SMALL._replace(reserve_bytes=4 << 20, tail_bytes=0)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    point = tmp_path / "disk"
    point.mkdir()
    mount = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={DISK}", "tmpfs", str(point)], capture_output=True, check=False
    )
    if mount.returncode:
        pytest.skip("mounting a tmpfs needs root")
    yield point
    subprocess.run(["umount", "-l", str(point)], check=True)


def fill(disk: Path) -> Path:
    """Somebody else's file takes what is left."""
    other = disk / "other"
    with other.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, max(1, free_bytes(disk) - 8192))
    return other


async def append(relay: Relay, size: int) -> None:
    await relay.journal.append_fetch(relay.lease, SMS, fetch(b"x" * size), None)


async def settle(relay: Relay) -> None:
    """Until the journal leaves its disk alone: a fetch is confirmed before the checkpoint that it made due, and the
    next transaction waits for that. This one writes nothing, so it makes none due."""
    await relay.journal.open_stream(relay.lease, SMS, T0)


async def append_until_full(relay: Relay, size: int) -> int:
    """How many were appended."""
    for appended in range(10_000):
        try:
            await append(relay, size)
        except JournalFull:
            return appended
    pytest.fail("the disk is never full")


async def drain(relay: Relay) -> int:
    """Unpack, publish and deliver all that is journaled; how many reports."""
    reports = 0
    while (claimed := await relay.journal.claim_fetch(SMS, T0)) is not None:
        found = [replace(report(f"m-{claimed.id}-{n}"), value=b"v" * 500) for n in range(100)]
        await relay.journal.record_reports(claimed, Decoded(found, True), None)
        reports += len(found)
    await relay.publish(reports)
    return reports


async def test_what_is_journaled_drains_and_nothing_comes_in(small_disk: Path, open_journal: Open) -> None:
    journal: SqliteJournal = await open_journal(small_disk / "relay.db", TUNING)
    relay = await own(journal)
    for _ in range(60):
        await append(relay, 50_000)
    await settle(relay)
    other = fill(small_disk)
    await append_until_full(relay, 50_000)
    assert not (await journal.figures(T0)).writable
    with pytest.raises(JournalFull):
        await append(relay, 1_000_000)
    with pytest.raises(JournalFull):
        await journal.mark_poll(relay.lease, SMS, T0)

    drained = await drain(relay)
    assert drained >= 6000
    while (await journal.prune(T0, retention())).more:
        pass
    assert await journal.read_stream(SMS, 0, 10, 1 << 20) == []
    await append(relay, 300_000)
    assert (await journal.claim_fetch(SMS, T0)) is not None, "in the room inside the file"

    other.unlink()
    await journal.mark_poll(relay.lease, SMS, T0)
    assert (await journal.figures(T0)).writable
    assert (small_disk / "relay.db.reserve").stat().st_size == 4 << 20


async def test_nothing_that_was_answered_is_lost(small_disk: Path, open_journal: Open) -> None:
    journal = await open_journal(small_disk / "relay.db", TUNING)
    relay = await own(journal)
    await settle(relay)
    fill(small_disk)
    appended = await append_until_full(relay, 20_000)
    await journal.close()

    journal = await open_journal(small_disk / "relay.db", TUNING)
    assert (await journal.figures(T0)).streams[SMS].fetches_pending == appended
