"""The scene of a measurement: simulator, Apache Kafka, callback receiver and relay, each a process of its own."""

import asyncio
import contextlib
import json
import re
import subprocess
import sys
import time
import urllib.request
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Self

from confluent_kafka import KafkaException, TopicPartition
from confluent_kafka.admin import OffsetSpec

from tests.bench.usage import Delays, Usage
from tests.kafka.broker import Cluster
from tests.scene.processes import RelayProcess, Simulator

BROKER_JVM = ("-Xms1g", "-Xmx1g", "-XX:+UseSerialGC")
"""All levels of the compiler, no collector threads beside the work on two cores."""

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
KINDS = ("sms", "voice")
PARTITIONS = 6
LOOK_SECONDS = 0.05
QUIET_SECONDS = 0.5
PATIENCE_SECONDS = 600.0

CONFIGURATION = """
sources:
  - name: acme
    base_url: {simulator}
    auth: {{type: api_key, token: simulator-key}}
journal:
  url: sqlite:///{directory}/relay.db
  max_unpublished: 10000000
kafka:
  bootstrap_servers: {kafka}
  id_prefix: {name}
  topic: "{name}.{{kind}}.reports"
  revisions_topic: "{name}.{{kind}}.revisions"
  quarantine_topic: {name}.quarantine
  cursor_topic: {name}.cursors
  create_topics: {{partitions: {partitions}, replication_factor: 1}}
"""


@dataclass(frozen=True, kw_only=True)
class Traffic:
    """What the simulator gives, both kinds together."""

    total: int
    rate: float = 0.0
    """Reports that become available each second; 0: all at once."""


class Received(NamedTuple):
    """What came so far, and when the last of it came (Unix seconds)."""

    posts: int
    reports: int
    last_at: float
    age_p50_seconds: float = 0.0
    """Of the reports since it was asked before, when they came; only if it was told to look."""
    age_p99_seconds: float = 0.0


class Receiver:
    """A counting callback receiver."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process
        self.url = self._line()

    @classmethod
    @contextlib.contextmanager
    def running(cls, *arguments: str) -> Iterator[Self]:
        command = [sys.executable, "-m", "tests.receivers.counting", *arguments]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            receiver = cls(process)
            yield receiver
            assert process.stdin is not None
            process.stdin.close()

    def count(self) -> Received:
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        posts, reports, last_at, p50, p99 = self._line().split()
        return Received(int(posts), int(reports), float(last_at), float(p50), float(p99))

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()


class HeldSimulator(Simulator):
    """A simulator that can be told to give nothing for a while: it answers 429, which takes nothing from the queues."""

    def hold(self) -> None:
        self._control("POST", {"what": "status", "status": 429, "retry_after": "1"})

    def release(self) -> None:
        self._control("DELETE")

    def handed_out(self) -> int:
        return sum(queue["handed_out"] for queue in json.loads(self.get("/simulator/state"))["kinds"].values())

    def first_handed_out_ms(self, offset_bytes: int) -> int:
        """When the first report after this place of the ledger left."""
        with self.ledger.open("rb") as ledger:
            ledger.seek(offset_bytes)
            line = next(line for line in ledger if b'"handed_out"' in line)
        at_ms: int = json.loads(line)["at_ms"]
        return at_ms

    def _control(self, method: str, fault: dict[str, Any] | None = None) -> None:
        body = None if fault is None else json.dumps(fault).encode()
        request = urllib.request.Request(f"{self.url}/simulator/faults", body, method=method)
        urllib.request.urlopen(request, timeout=5).close()


class TopicEnds:
    """Where the topics end. Asking Kafka costs the relay nothing, asking the relay for its metrics does."""

    def __init__(self, kafka: Cluster, topics: Sequence[str]) -> None:
        self._kafka = kafka
        self._admin = kafka.admin()
        self._last = 0
        self._request = {
            TopicPartition(topic, partition): OffsetSpec.latest() for topic in topics for partition in range(PARTITIONS)
        }

    def read(self) -> int:
        """The sum of all end offsets; transactions count in it too. As before while Kafka cannot say."""
        try:
            answers = self._admin.list_offsets(self._request, request_timeout=10).values()
            self._last = sum(answer.result().offset for answer in answers)
        except KafkaException:
            self._admin = self._kafka.admin()  # the old one keeps the leaders from before the broker stood still
        return self._last


class Scene:
    """One relay with its journal, and what stands around it."""

    def __init__(
        self, simulator: HeldSimulator, relay: RelayProcess, receiver: Receiver | None, ends: TopicEnds
    ) -> None:
        self.simulator = simulator
        self.relay = relay
        self.receiver = receiver
        self.ends = ends

    @property
    def usage(self) -> Usage:
        return Usage.of(self.relay.pid)

    def published(self) -> int:
        """Records that the relay has seen committed."""
        return int(self.relay.metric("relay_records_published_total"))

    def received(self) -> Received:
        """What the callback got."""
        return Received(0, 0, 0.0) if self.receiver is None else self.receiver.count()

    def delays(self) -> Delays:
        return Delays.read(self.relay.get("/metrics"))

    async def until_published(self, reports: int) -> float:
        """Wait until the relay has published so many in all; Unix seconds when the last of them was committed."""
        end, changed_at = -1, 0.0
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                now = await asyncio.to_thread(self.ends.read)
                if now != end:
                    end, changed_at = now, time.time()
                elif time.time() - changed_at > QUIET_SECONDS and await asyncio.to_thread(self.published) >= reports:
                    return changed_at
                await asyncio.sleep(LOOK_SECONDS)

    async def give(self, reports: int) -> int:
        """Let the API give at least so many, then hold it; how many it gave."""
        before = self.simulator.handed_out()
        self.simulator.release()
        await until(lambda: self.simulator.handed_out() >= before + reports)
        self.simulator.hold()
        return self.simulator.handed_out() - before

    def drained(self) -> bool:
        """All that was handed out is published and called back."""
        return self.published() >= self.simulator.handed_out() and self.relay.drained()


@contextlib.asynccontextmanager
async def running_scene(
    directory: Path,
    kafka: Cluster,
    traffic: Traffic,
    *,
    callback: str | None = None,
    ages: bool = False,
    hanging: int = 0,
) -> AsyncIterator[Scene]:
    """`directory` exists and names the topics; it may hold a journal. `callback`: keys of one beside name, address and
    secret; `ages`: its receiver looks how old reports are. So many callbacks more are `hanging`: they never answer."""
    name = re.sub(r"[^a-z0-9-]", "-", directory.name.lower())
    simulator = HeldSimulator(
        directory, "--total", str(traffic.total // len(KINDS)), "--rate", str(traffic.rate / len(KINDS))
    )
    async with contextlib.AsyncExitStack() as stack:
        stack.callback(simulator.kill)
        await simulator.start()
        configuration = CONFIGURATION.format(
            simulator=simulator.url,
            directory=directory,
            kafka=kafka.bootstrap_servers,
            name=name,
            partitions=PARTITIONS,
        )
        receiver = None
        if callback is not None:
            receiver = stack.enter_context(Receiver.running(*(["--ages"] if ages else [])))
            dead_url = stack.enter_context(Receiver.running("--delay", "3600")).url if hanging else ""
            places = {"bench": receiver.url} | {f"hanging-{number}": dead_url for number in range(hanging)}
            configuration += "callbacks:\n" + "".join(
                f'  - {{name: {name}, url: "{url}", secrets: ["{SECRET}"], start: earliest, {callback}}}\n'
                for name, url in places.items()
            )
        relay = RelayProcess(directory, configuration)
        stack.callback(relay.kill)
        await relay.start()
        yield Scene(simulator, relay, receiver, TopicEnds(kafka, [f"{name}.{kind}.reports" for kind in KINDS]))


@contextlib.contextmanager
def running_broker(directory: Path) -> Iterator[Cluster]:
    cluster = Cluster(directory, jvm=BROKER_JVM)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.kill()


async def until(condition: Callable[[], bool], every_seconds: float = LOOK_SECONDS) -> None:
    """Ask, off the event loop. Raises TimeoutError."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not await asyncio.to_thread(condition):  # noqa: ASYNC110 - other processes set no event here
            await asyncio.sleep(every_seconds)
