"""py-spy beside the relay while it is measured, if asked for. It slows the relay down by some percent."""

import contextlib
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

RATE_HZ = 400


def profiler(directory: Path | None) -> Callable[[str], Callable[[int], contextlib.AbstractContextManager[None]]]:
    """For the name of a part: a context around its rounds. `{name}.svg` (a flame graph) is left in the directory."""

    def for_part(name: str) -> Callable[[int], contextlib.AbstractContextManager[None]]:
        def around(pid: int) -> contextlib.AbstractContextManager[None]:
            return contextlib.nullcontext() if directory is None else _recording(pid, directory / f"{name}.svg")

        return around

    return for_part


@contextlib.contextmanager
def _recording(pid: int, file: Path) -> Iterator[None]:
    program = shutil.which("py-spy", path=str(Path(sys.executable).parent))
    assert program is not None, "py-spy is not installed beside this Python"
    file.parent.mkdir(parents=True, exist_ok=True)
    command = [program, "record", "--pid", str(pid), "--rate", str(RATE_HZ), "--output", str(file)]
    command += ["--format", "raw", "--gil"] if file.suffix == ".txt" else []
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as recorder:
        yield
        recorder.send_signal(signal.SIGINT)
