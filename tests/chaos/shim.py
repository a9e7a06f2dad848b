"""A wall clock that jumps, and a disk that fails: a small library loaded into the relay, told what to do by a file."""

import shutil
import struct
import subprocess
import time
from pathlib import Path

SOURCE = Path(__file__).with_name("shim.c")
ON_THE_WAY_SECONDS = 10.0
ORDERS = struct.Struct("=qqq")


class Shim:
    """`environment` makes a process load it; then `clock_ms` is added to its wall clock, writes and fsyncs of the
    journal fail with an errno. Without a C compiler `available` is false and nothing is loaded."""

    def __init__(self, directory: Path) -> None:
        self._library = directory / "shim.so"
        self._orders = directory / "shim.orders"
        self._orders.write_bytes(ORDERS.pack(0, 0, 0))
        self.available = _compile(self._library)
        self._clock_ms = 0
        self._clock_right_at = 0.0

    @property
    def environment(self) -> dict[str, str]:
        if not self.available:
            return {}
        return {"LD_PRELOAD": str(self._library), "RELAY_SHIM": str(self._orders)}

    @property
    def clock_is_wrong(self) -> bool:
        """What was made under a wrong clock may be on its way for a while."""
        return self._clock_ms != 0 or time.monotonic() < self._clock_right_at

    def order(self, *, clock_ms: int = 0, write_errno: int = 0, fsync_errno: int = 0) -> None:
        """From now on, until ordered otherwise. The file is mapped by the relay, so it is written in place."""
        if self._clock_ms and not clock_ms:
            self._clock_right_at = time.monotonic() + ON_THE_WAY_SECONDS
        self._clock_ms = clock_ms
        with self._orders.open("r+b") as file:
            file.write(ORDERS.pack(clock_ms, write_errno, fsync_errno))


def _compile(library: Path) -> bool:
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        return False
    command = [compiler, "-shared", "-fPIC", "-O1", "-w", "-o", str(library), str(SOURCE), "-ldl"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0
