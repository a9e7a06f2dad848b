"""`relay run` and `relay simulate` as processes of their own, started and killed as an operator (or fate) would."""

import asyncio
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
START_SECONDS = 90.0
STOP_SECONDS = 60.0
OLDEST_FIGURES_SECONDS = 1.1
"""The journal is asked for its figures once a second at most."""
LAST_POLL = "relay_last_successful_poll_timestamp_seconds{"


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


class Process:
    """One `relay` command with an HTTP service at `url`; its log is kept in a file."""

    def __init__(self, arguments: Sequence[str], *, url: str, ready_path: str, log: Path) -> None:
        self.url = url
        self.log = log
        self._arguments = [sys.executable, "-m", "relay", *arguments]
        self._ready_path = ready_path
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    async def start(self, **environment: str) -> None:
        self.launch(**environment)
        await until(self._answers, START_SECONDS, f"{self._arguments} does not answer, see {self.log}")

    def launch(self, **environment: str) -> None:
        """Start without waiting for an answer; variables are added to this process's own."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._arguments,
                cwd=ROOT,
                env={**os.environ, **environment},
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
            )

    async def ended(self, seconds: float) -> int:
        """Wait for it to end by itself; the exit code, negative for a signal. Raises TimeoutError."""
        assert self._process is not None
        try:
            return await asyncio.to_thread(self._process.wait, seconds)
        except subprocess.TimeoutExpired as error:
            raise TimeoutError(str(error)) from error

    def kill(self) -> None:
        """SIGKILL; returns when it is gone."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    async def terminate(self) -> int:
        """SIGTERM; the exit code."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        return await asyncio.to_thread(self._process.wait, STOP_SECONDS)

    def signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    async def run_beside(self) -> tuple[int, str]:
        """Start the same command once more and wait for its end: exit code and output."""
        process = await asyncio.create_subprocess_exec(
            *self._arguments, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        output, _ = await asyncio.wait_for(process.communicate(), STOP_SECONDS)
        assert process.returncode is not None
        return process.returncode, output.decode()

    def get(self, path: str) -> str:
        with urllib.request.urlopen(self.url + path, timeout=5) as answer:
            body: bytes = answer.read()
            return body.decode()

    def metric(self, name: str, **labels: str) -> float:
        """The sum of a metric's samples that carry these labels."""
        wanted = [f'{key}="{value}"' for key, value in labels.items()]
        return sum(
            float(line.rsplit(" ", 1)[1])
            for line in self.get("/metrics").splitlines()
            if re.match(rf"{name}(\{{| )", line) and all(label in line for label in wanted)
        )

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, f"{self._arguments} ended by itself, see {self.log}:\n{self.tail()}"
        try:
            self.get(self._ready_path)
        except OSError:
            return False
        return True

    def tail(self) -> str:
        return self.log.read_text(errors="replace")[-4000:]


class Simulator(Process):
    def __init__(self, directory: Path, *options: str) -> None:
        port = free_port()
        self.ledger = directory / "ledger.jsonl"
        arguments = ["simulate", "--port", str(port), "--ledger", str(self.ledger), *options]
        super().__init__(
            arguments, url=f"http://127.0.0.1:{port}", ready_path="/simulator/state", log=directory / "simulator.log"
        )

    def drained(self) -> bool:
        queues = json.loads(self.get("/simulator/state"))["kinds"]
        return all(queue["drained"] for queue in queues.values())

    def clear_faults(self) -> None:
        request = urllib.request.Request(f"{self.url}/simulator/faults", method="DELETE")
        with urllib.request.urlopen(request, timeout=5):
            pass


class RelayProcess(Process):
    def __init__(self, directory: Path, configuration: str) -> None:
        port = free_port()
        file = directory / "relay.yaml"
        file.write_text(f"{configuration}\nhttp: {{host: 127.0.0.1, port: {port}}}\n")
        super().__init__(
            ["run", "-c", str(file)], url=f"http://127.0.0.1:{port}", ready_path="/readyz", log=directory / "relay.log"
        )

    async def journaled(self, seconds: float) -> None:
        """Wait until what the API has handed out by now is in the journal, and in the figures that it shows."""
        handed_out_by = time.time()
        await until(lambda: self._polled_since(handed_out_by), seconds, "the relay does not poll")
        await asyncio.sleep(OLDEST_FIGURES_SECONDS)

    def _polled_since(self, unix_seconds: float) -> bool:
        """Each stream has committed an answer after that time."""
        try:
            lines = self.get("/metrics").splitlines()
        except OSError:
            return False
        last = [line.rsplit(" ", 1)[1] for line in lines if line.startswith(LAST_POLL)]
        return bool(last) and min(map(float, last)) > unix_seconds

    def drained(self) -> bool:
        """Everything journaled is published and called back."""
        pending = ("relay_fetches_pending", "relay_unpublished_reports", "relay_callback_backlog_reports")
        try:
            lines = self.get("/metrics").splitlines()
        except (OSError, urllib.error.URLError):
            return False
        left = {line: float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(pending)}
        # A journal that is too busy to answer a scrape has no figures in it: that is no zero.
        return any(line.startswith(pending[0]) for line in left) and not any(left.values())


async def until(condition: Callable[[], bool], seconds: float, otherwise: str | Callable[[], str]) -> None:
    """Ask a few times a second, off the event loop. `otherwise` may be made when it is needed."""
    deadline = time.monotonic() + seconds
    while not await asyncio.to_thread(condition):
        assert time.monotonic() < deadline, otherwise if isinstance(otherwise, str) else otherwise()
        await asyncio.sleep(0.1)


def environment_number(name: str, default: int) -> int:
    return int(os.environ.get(name, default))
