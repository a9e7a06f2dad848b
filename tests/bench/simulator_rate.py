"""How fast the simulator serves prepared reports: `python tests/bench/simulator_rate.py [REPORTS]`. Asserts nothing.

The simulator runs in a process of its own and writes its ledger; the client reads bytes and looks at none of them.
"""

import asyncio
import multiprocessing
import resource
import sys
import tempfile
import time
from multiprocessing.connection import Connection
from pathlib import Path

import aiohttp

from relay.simulator.options import SimulatorOptions, TrafficOptions
from relay.simulator.server import Simulator

HEADERS = {"Authorization": "App simulator-key"}


async def serve(pipe: Connection, reports: int, ledger: Path) -> None:
    traffic = {kind: TrafficOptions(total=reports, duplicate_rate=0.01) for kind in ("sms", "voice")}
    async with Simulator(SimulatorOptions(traffic=traffic, ledger=ledger)) as simulator:
        pipe.send(simulator.base_url)
        await asyncio.to_thread(pipe.recv)
        used = resource.getrusage(resource.RUSAGE_SELF)
        pipe.send((used.ru_utime + used.ru_stime, used.ru_maxrss // 1024))


def run_server(pipe: Connection, reports: int, ledger: Path) -> None:
    asyncio.run(serve(pipe, reports, ledger))


async def drain(url: str, reports: int) -> float:
    """Read until all are handed out; seconds."""
    async with aiohttp.ClientSession(headers=HEADERS, read_bufsize=1 << 22) as session:
        begun = time.perf_counter()
        for _ in range(0, reports, 1000):
            async with session.get(f"{url}?limit=1000") as response:
                while await response.content.readany():
                    pass
        return time.perf_counter() - begun


async def measure(reports: int) -> None:
    ours, theirs = multiprocessing.Pipe()
    with tempfile.TemporaryDirectory() as directory:
        ledger = Path(directory) / "ledger"
        server = multiprocessing.Process(target=run_server, args=(theirs, reports, ledger))
        server.start()
        base_url = await asyncio.to_thread(ours.recv)
        for kind, path in (("sms", "/sms/1/reports"), ("voice", "/tts/3/reports")):
            seconds = await drain(base_url + path, reports)
            print(f"{kind:6} {reports / seconds:10,.0f} reports/s")
        ours.send("done")
        cpu_seconds, peak_mib = ours.recv()
        print(f"server {cpu_seconds / (2 * reports) * 1e6:10.2f} CPU-us per report, peak {peak_mib} MiB")
        print(f"ledger {ledger.stat().st_size / (2 * reports):10.1f} bytes per report")
        server.join()


if __name__ == "__main__":
    multiprocessing.set_start_method("spawn")
    asyncio.run(measure(int(sys.argv[1]) if len(sys.argv) > 1 else 300_000))
