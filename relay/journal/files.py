"""The journal's files: where they may stand, who holds them, and the room kept back for a full disk."""

import contextlib
import fcntl
import os
import re
from pathlib import Path
from typing import NamedTuple, Self

from relay.journal.errors import JournalRefused

_NETWORK = (
    *("nfs", "cifs", "smb", "ncpfs", "afs", "ceph", "lustre", "beegfs", "gpfs", "glusterfs", "ocfs2", "gfs2"),
    *("orangefs", "pvfs", "davfs", "fuse."),
)
"""How the names of network file systems begin; one that somebody wrote for FUSE is as good as one."""

_DOUBTFUL = {
    "tmpfs": "is in memory: a restart of the machine loses the journal",
    "ramfs": "is in memory: a restart of the machine loses the journal",
    "overlay": "is a container's own layer: the journal is lost with the container; mount a volume",
    "9p": "is shared with a host: its fsync and locks may not hold",
    "virtiofs": "is shared with a host: its fsync and locks may not hold",
    "fuse.fuse-overlayfs": "is a container's own layer: the journal is lost with the container; mount a volume",
    "fuse.grpcfuse": "is shared with a host: its fsync and locks may not hold",
    "fuse.osxfs": "is shared with a host: its fsync and locks may not hold",
    "fuseblk": "is a FUSE file system: its fsync and locks may not hold",
}
_LEAST_RESERVE_BYTES = 1 << 20
_OCTAL = re.compile(r"\\([0-7]{3})")


class Mount(NamedTuple):
    point: str
    fs_type: str


def check_place(path: Path, mounts: list[Mount] | None = None) -> list[str]:
    """Warnings about the place of the journal.

    :raises JournalRefused: no such directory, not writable, or a network file system.
    """
    directory = path.parent
    if not directory.is_dir():
        raise JournalRefused(f"journal {path}: there is no directory {directory}; create it or mount the volume there")
    if not os.access(directory, os.W_OK | os.X_OK):
        raise JournalRefused(f"journal {path}: {directory} is not writable for user {os.geteuid()}; change its owner")
    mount = mount_of(path, read_mounts() if mounts is None else mounts)
    if mount is None:
        return []
    if reason := _DOUBTFUL.get(mount.fs_type):
        return [f"journal {path}: {mount.point} ({mount.fs_type}) {reason}"]
    if mount.fs_type.startswith(_NETWORK):
        raise JournalRefused(
            f"journal {path}: {mount.point} is a network file system ({mount.fs_type}), where SQLite's locks and fsync "
            "do not hold; use a local disk or a block volume"
        )
    return []


def mount_of(path: Path, mounts: list[Mount]) -> Mount | None:
    """The mount that holds the path; of several on one point the last, which covers the others."""
    real = os.path.realpath(path)
    holding = [mount for mount in mounts if os.path.commonpath([real, mount.point]) == mount.point]
    return max(reversed(holding), key=lambda mount: len(mount.point), default=None)


def read_mounts(table: Path = Path("/proc/self/mountinfo")) -> list[Mount]:
    """The mounts of this process; none where the kernel does not tell (the check is left out there)."""
    try:
        lines = table.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return []
    mounts = []
    for line in lines:
        before, _, after = line.partition(" - ")
        point = _OCTAL.sub(lambda escape: chr(int(escape[1], 8)), before.split(" ")[4])
        mounts.append(Mount(point, after.split(" ")[0]))
    return mounts


class FileLock:
    """Held by one process at a time; the kernel lets go of it when that process dies, however it dies."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    @classmethod
    def acquire(cls, journal: Path) -> Self:
        """:raises JournalRefused: another process (or another journal object of this one) holds it."""
        path = journal.with_name(journal.name + ".lock")
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.pread(descriptor, 100, 0).decode("utf-8", "replace").strip() or "unknown"
            os.close(descriptor)
            raise JournalRefused(
                f"journal {journal} is in use by another process ({holder}); one relay per SQLite journal: stop the "
                "other one, or give this one a journal of its own"
            ) from error
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"pid {os.getpid()} on {os.uname().nodename}\n".encode(), 0)
        return cls(descriptor)

    def release(self) -> None:
        """May be called twice. The file stays: removing it would let two processes lock two files of one name."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


class Reserve:
    """Room kept back in a file of its own, given up when the disk is full so that what is journaled still drains."""

    def __init__(self, journal: Path, size_bytes: int) -> None:
        self._path = journal.with_name(journal.name + ".reserve")
        self._size_bytes = size_bytes
        self._held = False
        self.needed = False
        """The disk was full, and the room has not been taken back since."""

    def hold_at_start(self) -> None:
        """On a small disk a part will do."""
        while not self.hold() and self._size_bytes >= _LEAST_RESERVE_BYTES:
            self._size_bytes //= 2

    def hold(self) -> bool:
        """Take the room if there is twice as much of it; whether it is held now."""
        if not self._held:
            with contextlib.suppress(OSError):
                self._held = self._room_bytes() >= 2 * self._size_bytes and self._allocate()
                self.needed = self.needed and not self._held
        return self._held

    def give_up(self) -> None:
        self._held = False
        self.needed = True
        with contextlib.suppress(OSError):
            os.truncate(self._path, 0)

    def _room_bytes(self) -> int:
        own = self._path.stat().st_size if self._path.exists() else 0
        return own + free_bytes(self._path.parent)

    def _allocate(self) -> bool:
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.ftruncate(descriptor, self._size_bytes)
            if self._size_bytes:
                os.posix_fallocate(descriptor, 0, self._size_bytes)
        except OSError:
            os.ftruncate(descriptor, 0)
            return False
        finally:
            os.close(descriptor)
        return True


def free_bytes(directory: Path) -> int:
    """What an unprivileged process may still write to the file system."""
    room = os.statvfs(directory)
    return room.f_bavail * room.f_frsize


def size_bytes(journal: Path) -> int:
    """The journal with its write-ahead log."""
    total = 0
    for name in (journal.name, f"{journal.name}-wal", f"{journal.name}-shm"):
        try:
            total += journal.with_name(name).stat().st_size
        except FileNotFoundError:
            continue
    return total
