"""A small file system for the journal alone, which can be filled to the last byte."""

import os
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Self


class Disk:
    """`directory`; on a tmpfs of `size_bytes` if given and this process may mount one: then `mounted` is true."""

    def __init__(self, directory: Path, size_bytes: int | None) -> None:
        self.directory = directory
        self.mounted = False
        self._size_bytes = size_bytes
        self._ballast = directory / "ballast"

    def fill(self) -> None:
        """Leave nothing free."""
        status = os.statvfs(self.directory)
        descriptor = os.open(self._ballast, os.O_CREAT | os.O_WRONLY)
        try:
            os.posix_fallocate(descriptor, 0, max(1, status.f_bavail * status.f_frsize))
        except OSError:  # somebody else took a page meanwhile: take what is left, bit by bit
            _write_until_full(descriptor)
        finally:
            os.close(descriptor)

    def free(self) -> None:
        self._ballast.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        self.directory.mkdir(parents=True, exist_ok=True)
        if self._size_bytes is not None and os.geteuid() == 0:
            command = ["mount", "-t", "tmpfs", "-o", f"size={self._size_bytes}", "relay-chaos", str(self.directory)]
            self.mounted = subprocess.run(command, capture_output=True, check=False).returncode == 0
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if self.mounted:
            self.free()
            kept = self.directory.with_name("journal-kept")
            subprocess.run(["cp", "-a", str(self.directory), str(kept)], check=False)
            subprocess.run(["umount", "--lazy", str(self.directory)], check=False)
            self.mounted = False


def _write_until_full(descriptor: int) -> None:
    size = os.lseek(descriptor, 0, os.SEEK_END)
    for piece in (1 << 20, 1 << 12):
        while True:
            try:
                size += os.pwrite(descriptor, bytes(piece), size)
            except OSError:
                break
