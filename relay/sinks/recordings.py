"""Recordings on the disk: whole, durable, each under a name of its own below one directory, or not there at all."""

import asyncio
import hashlib
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from relay.domain.recordings import StoredRecording, file_name
from relay.domain.sizes import size
from relay.domain.wave import HEAD_BYTES, NotARecording, read_sound
from relay.ports import ShelfFull

FILE_MODE = 0o640
DIRECTORY_MODE = 0o750
PART = ".part"
"""Ends the name of a file that is not whole; such a name begins with a dot, as no recording's does."""


class RecordingArchive:
    """Keeps the recordings of one source, or finds them. Implements ports.RecordingShelf."""

    def __init__(self, directory: Path, *, min_free_bytes: int) -> None:
        self._directory = directory
        self._min_free_bytes = min_free_bytes

    async def receive(self, path: str) -> "Incoming":
        """Begin to store a recording at `path`, relative to the directory; what an earlier try left is overwritten."""
        opening = asyncio.create_task(asyncio.to_thread(self._begin, path))
        try:
            return await asyncio.shield(opening)
        except asyncio.CancelledError:
            # The thread opens the file all the same.
            with suppress(OSError, ShelfFull):
                await (await opening).discard()
            raise

    async def find(self, source: str, message_id: str) -> Path | None:
        """The file of a kept recording, the latest if there are several."""
        return await asyncio.to_thread(self._find, source, file_name(message_id))

    def _begin(self, path: str) -> "Incoming":
        target = self._directory / path
        _make_directories(target.parent)
        disk = os.statvfs(target.parent)
        free_bytes = disk.f_bavail * disk.f_frsize
        if free_bytes < self._min_free_bytes:
            raise ShelfFull(
                f"{size(free_bytes)} free in {self._directory}: no recording is stored below min_free_bytes"
            )
        return Incoming(target, path)

    def _find(self, source: str, name: str) -> Path | None:
        """By day, newest first: the journal may have forgotten what the disk still holds."""
        root = self._directory.resolve()
        for day in _days(root / source):
            file = day / name
            if file.is_file() and file.resolve().is_relative_to(root):
                return file
        return None


class Incoming:
    """Written beside its place under another name. Implements ports.IncomingRecording."""

    def __init__(self, target: Path, path: str) -> None:
        self._target = target
        self._path = path
        self._part = target.with_name(f".{target.name}{PART}")
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW
        self._file = os.fdopen(os.open(self._part, flags, FILE_MODE), "wb")
        self._digest = hashlib.sha256()
        self._head = b""
        self._size_bytes = 0

    async def write(self, piece: bytes) -> None:
        if len(self._head) < HEAD_BYTES:
            self._head += piece[: HEAD_BYTES - len(self._head)]
        self._size_bytes += len(piece)
        await asyncio.to_thread(self._append, piece)

    async def keep(self) -> StoredRecording:
        """Durable and in its place when this returns.

        :raises NotARecording: it is none; then nothing is there.
        """
        try:
            sound = read_sound(self._head, self._size_bytes)
        except NotARecording:
            await self.discard()
            raise
        await asyncio.to_thread(self._settle)
        return StoredRecording(self._path, self._size_bytes, self._digest.hexdigest(), sound.seconds)

    async def discard(self) -> None:
        """Leave nothing behind, unless it was kept."""
        await asyncio.to_thread(self._remove)

    def _append(self, piece: bytes) -> None:
        self._digest.update(piece)
        self._file.write(piece)

    def _settle(self) -> None:
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        self._part.replace(self._target)
        _sync(self._target.parent)

    def _remove(self) -> None:
        with suppress(OSError):  # what cannot be written cannot be flushed either
            self._file.close()
        self._part.unlink(missing_ok=True)


def _make_directories(directory: Path) -> None:
    """Those that are missing, each durable in its parent."""
    missing = [parent for parent in (directory, *directory.parents) if not parent.exists()]
    for parent in reversed(missing):
        parent.mkdir(mode=DIRECTORY_MODE, exist_ok=True)
        _sync(parent.parent)


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _days(directory: Path, levels: int = 3) -> Iterator[Path]:
    """The directories of years, months and days, newest first."""
    if levels == 0:
        yield directory
    elif directory.is_dir():
        numbered = (entry for entry in directory.iterdir() if entry.name.isdigit())
        for entry in sorted(numbered, key=lambda entry: entry.name, reverse=True):
            yield from _days(entry, levels - 1)
