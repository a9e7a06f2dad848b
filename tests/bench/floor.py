"""The floor: what the same reports cost at least, in a process of its own.

The same bodies through orjson, each report written out again, one SQLite insert for each (durable, 1000 a transaction),
and aiokafka's batch API in transactions with the same headers. No polling, no dedup, no normalising, no order, no
cursor, no reading back.

As a process it prepares bodies, says ``ready`` and then answers each line on standard input with one round as JSON.
"""

import argparse
import asyncio
import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import cycle
from pathlib import Path
from typing import Any, NamedTuple, Self

import apsw
import orjson
from aiokafka import AIOKafkaProducer

from relay.domain.envelope import rfc3339_ms
from relay.simulator.options import TrafficOptions
from relay.simulator.rendering import JSON
from relay.simulator.traffic import Traffic
from tests.bench.usage import Usage

BODY_REPORTS = 1000
TRANSACTION_BODIES = 4
PARTITIONS = 6
MAX_BATCH_BYTES = 1_000_000
KINDS = ("sms", "voice")


class FloorRound(NamedTuple):
    reports: int
    seconds: float
    cpu_seconds: float
    written_bytes: int


class Floor:
    """One database, one producer, one topic."""

    def __init__(self, database: Path, producer: AIOKafkaProducer, topic: str) -> None:
        self._db = apsw.Connection(str(database))
        self._db.pragma("journal_mode", "WAL")
        self._db.pragma("synchronous", "FULL")
        self._db.execute("CREATE TABLE reports (seq INTEGER PRIMARY KEY, message_id TEXT, value BLOB) STRICT")
        self._producer = producer
        self._topic = topic
        self._seq = 0

    async def run(self, bodies: dict[str, list[bytes]]) -> None:
        """All bodies of each kind, TRANSACTION_BODIES in one Kafka transaction."""
        for kind, of_kind in bodies.items():
            for start in range(0, len(of_kind), TRANSACTION_BODIES):
                await self._transaction(kind, of_kind[start : start + TRANSACTION_BODIES])

    async def _transaction(self, kind: str, bodies: list[bytes]) -> None:
        await self._producer.begin_transaction()
        self._batches: dict[int, Any] = {}
        self._sent: list[Any] = []
        for body in bodies:
            await self._journal_and_send(kind, body)
        for partition, batch in self._batches.items():
            self._sent.append(await self._producer.send_batch(batch, self._topic, partition=partition))
        await asyncio.gather(*self._sent)
        await self._producer.commit_transaction()

    async def _journal_and_send(self, kind: str, body: bytes) -> None:
        fixed = _fixed_headers(kind, time.time_ns() // 1_000_000)
        reports = orjson.loads(body)["results"]
        rows = [(seq, report["messageId"], orjson.dumps(report)) for seq, report in enumerate(reports, self._seq)]
        self._seq += len(rows)
        with self._db:
            self._db.executemany("INSERT INTO reports VALUES (?, ?, ?)", rows)
        timestamp_ms = time.time_ns() // 1_000_000
        for (seq, message_id, value), partition in zip(rows, cycle(range(PARTITIONS)), strict=False):
            key = message_id.encode()
            headers = [*fixed, ("ce_id", key), ("relay_seq", b"%d" % seq)]
            batch = self._batches.get(partition)
            if batch is not None and batch.append(timestamp=timestamp_ms, key=key, value=value, headers=headers):
                continue
            if batch is not None:
                self._sent.append(await self._producer.send_batch(batch, self._topic, partition=partition))
            batch = self._batches[partition] = self._producer.create_batch()
            batch.append(timestamp=timestamp_ms, key=key, value=value, headers=headers)


class FloorProcess:
    """The floor in a process that is kept, so that rounds can be measured in turn with the relay's."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    @classmethod
    @contextlib.contextmanager
    def running(cls, directory: Path, bootstrap_servers: str, topic: str, reports: int) -> Iterator[Self]:
        """The topic must exist with PARTITIONS partitions."""
        command = [sys.executable, "-m", "tests.bench.floor", bootstrap_servers, topic, str(directory), str(reports)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            floor = cls(process)
            assert floor._line() == "ready"
            yield floor
            assert process.stdin is not None
            process.stdin.close()

    def round(self) -> FloorRound:
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return FloorRound(*json.loads(self._line()))

    def _line(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline().strip()
        assert line, "the floor's process ended"
        return line


def prepared_bodies(kind: str, reports: int, seed: int) -> list[bytes]:
    """Bodies as the simulator sends them."""
    traffic = Traffic(kind, TrafficOptions(total=reports), seed=seed, started_at_ms=time.time_ns() // 1_000_000)
    return [
        JSON.body([item.body for item in traffic.items(first, min(BODY_REPORTS, reports - first))])
        for first in range(0, reports, BODY_REPORTS)
    ]


def _fixed_headers(kind: str, received_at_ms: int) -> list[tuple[str, bytes]]:
    return [
        ("ce_specversion", b"1.0"),
        ("ce_source", f"/acme/{kind}".encode()),
        ("ce_type", f"com.infobip.{kind}.report.v1".encode()),
        ("content-type", b"application/json"),
        ("ce_time", rfc3339_ms(received_at_ms).encode()),
        ("ce_origin", b"poll"),
        ("relay_journal", b"0123456789abcdef"),
    ]


async def _measured(floor: Floor, bodies: dict[str, list[bytes]], reports: int) -> FloorRound:
    before, started = Usage.of(os.getpid()), time.perf_counter()
    await floor.run(bodies)
    seconds, used = time.perf_counter() - started, Usage.of(os.getpid()).since(before)
    return FloorRound(reports, seconds, used.cpu_seconds, used.written_bytes)


async def _serve(arguments: argparse.Namespace) -> None:
    producer = AIOKafkaProducer(
        bootstrap_servers=arguments.bootstrap_servers,
        transactional_id=f"bench.{arguments.topic}",
        compression_type="zstd",
        max_batch_size=MAX_BATCH_BYTES,
    )
    await producer.start()
    floor = Floor(arguments.directory / "floor.db", producer, arguments.topic)
    per_kind = arguments.reports // len(KINDS)
    seed = 0
    print("ready", flush=True)
    while await asyncio.to_thread(sys.stdin.readline):
        seed += 1
        bodies = {kind: prepared_bodies(kind, per_kind, seed) for kind in KINDS}
        done = await _measured(floor, bodies, per_kind * len(KINDS))
        print(json.dumps(done), flush=True)
    await producer.stop()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("bootstrap_servers")
    parser.add_argument("topic")
    parser.add_argument("directory", type=Path)
    parser.add_argument("reports", type=int)
    asyncio.run(_serve(parser.parse_args()))


if __name__ == "__main__":
    main()
