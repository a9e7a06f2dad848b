"""Recordings on the disk: whole or not at all, and nowhere else."""

import asyncio
import hashlib
import os
import stat
from pathlib import Path

import pytest

from relay.domain.recordings import recording_path
from relay.domain.wave import NotARecording
from relay.ports import ShelfFull
from relay.simulator.files import recording
from relay.sinks.recordings import RecordingArchive

SOUND = recording("m-1")
PATH = "acme/2018/06/25/m-1.wav"


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "data" / "recordings"


@pytest.fixture
def archive(directory: Path) -> RecordingArchive:
    return RecordingArchive(directory, min_free_bytes=0)


async def store(archive: RecordingArchive, path: str = PATH, body: bytes = SOUND) -> None:
    incoming = await archive.receive(path)
    await incoming.write(body)
    await incoming.keep()


def occupy(directory: Path) -> None:
    directory.parent.mkdir()
    directory.write_bytes(b"a file in its place")


def files(directory: Path) -> list[str]:
    return sorted(str(file.relative_to(directory)) for file in directory.rglob("*") if not file.is_dir())


async def test_a_recording_is_kept_with_what_tells_it(archive: RecordingArchive, directory: Path) -> None:
    incoming = await archive.receive(PATH)
    for start in range(0, len(SOUND), 1000):
        await incoming.write(SOUND[start : start + 1000])
        assert not (directory / PATH).exists()
    stored = await incoming.keep()
    assert stored == (PATH, len(SOUND), hashlib.sha256(SOUND).hexdigest(), round((len(SOUND) - 44) / 16_000, 3))
    assert (directory / PATH).read_bytes() == SOUND
    assert files(directory) == [PATH]
    await incoming.discard()
    assert files(directory) == [PATH]


async def test_others_may_not_read_it(archive: RecordingArchive, directory: Path) -> None:
    await store(archive)
    assert stat.S_IMODE((directory / PATH).stat().st_mode) & 0o007 == 0
    assert stat.S_IMODE((directory / "acme").stat().st_mode) & 0o007 == 0


async def test_what_is_no_recording_leaves_nothing(archive: RecordingArchive, directory: Path) -> None:
    incoming = await archive.receive(PATH)
    await incoming.write(b"<html>Not found</html>")
    with pytest.raises(NotARecording):
        await incoming.keep()
    assert files(directory) == []


async def test_what_is_discarded_leaves_nothing(archive: RecordingArchive, directory: Path) -> None:
    incoming = await archive.receive(PATH)
    await incoming.write(SOUND[:100])
    await incoming.discard()
    await incoming.discard()
    assert files(directory) == []


async def test_what_is_cancelled_while_it_begins_leaves_nothing(archive: RecordingArchive, directory: Path) -> None:
    receiving = asyncio.create_task(archive.receive(PATH))
    await asyncio.sleep(0)
    receiving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await receiving
    assert files(directory) == []


async def test_what_a_killed_process_left_is_overwritten_and_never_found(
    archive: RecordingArchive, directory: Path
) -> None:
    killed = await archive.receive(PATH)
    await killed.write(SOUND * 3)
    assert await archive.find("acme", "m-1") is None
    await store(archive)
    assert (directory / PATH).read_bytes() == SOUND
    assert files(directory) == [PATH]
    await killed.discard()


async def test_the_same_recording_again_takes_its_place(archive: RecordingArchive, directory: Path) -> None:
    await store(archive)
    await store(archive, body=recording("other"))
    assert (directory / PATH).read_bytes() == recording("other")


async def test_little_room_is_left_to_the_journal(directory: Path) -> None:
    with pytest.raises(ShelfFull, match=r"^[\d,.]+ [MGT]iB free in .*: no recording is stored below min_free_bytes"):
        await RecordingArchive(directory, min_free_bytes=1 << 62).receive(PATH)


async def test_a_link_in_the_place_of_a_part_is_not_followed(archive: RecordingArchive, directory: Path) -> None:
    await store(archive)
    victim = directory.parent / "victim"
    victim.write_bytes(b"precious")
    (directory / "acme/2018/06/25/.m-2.wav.part").symlink_to(victim)
    with pytest.raises(OSError, match="symbolic links"):
        await archive.receive("acme/2018/06/25/m-2.wav")
    assert victim.read_bytes() == b"precious"


async def test_the_latest_day_is_found(archive: RecordingArchive, directory: Path) -> None:
    for day in ("2018-06-25", "2019-01-02", "2018-12-31"):
        await store(archive, recording_path("acme", day, "m-1"))
    assert await archive.find("acme", "m-1") == (directory / "acme/2019/01/02/m-1.wav").resolve()
    assert await archive.find("acme", "m-2") is None
    assert await archive.find("beta", "m-1") is None


@pytest.mark.parametrize("message_id", ["../x", "..", "/etc/passwd", "A b", "a" * 256, "ž", "MESSAGE"])
async def test_every_message_is_found_under_its_own_name(
    archive: RecordingArchive, directory: Path, message_id: str
) -> None:
    await store(archive, recording_path("acme", "2018-06-25", message_id))
    found = await archive.find("acme", message_id)
    assert found is not None
    assert found.parent == (directory / "acme/2018/06/25").resolve()
    assert await archive.find("acme", message_id.swapcase() + "-") is None


async def test_what_leads_out_of_the_directory_is_not_found(archive: RecordingArchive, directory: Path) -> None:
    await store(archive)
    outside = directory.parent / "outside.wav"
    outside.write_bytes(SOUND)
    (directory / "acme/2018/06/25/m-2.wav").symlink_to(outside)
    assert await archive.find("acme", "m-2") is None
    (directory / "acme/2018/06/25/m-3.wav").mkdir()
    assert await archive.find("acme", "m-3") is None


async def test_directories_may_be_made_at_once(archive: RecordingArchive) -> None:
    days = [f"2018-06-{day:02}" for day in range(1, 29)]
    await asyncio.gather(*(store(archive, recording_path("acme", day, "m-1")) for day in days))
    assert await archive.find("acme", "m-1") is not None


async def test_a_directory_that_may_not_be_written(archive: RecordingArchive, directory: Path) -> None:
    occupy(directory)
    with pytest.raises(OSError, match=os.strerror(20)):
        await archive.receive(PATH)
