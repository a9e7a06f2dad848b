"""The main job as a user runs it, against `relay simulate` and Apache Kafka; and what SIGKILL does to it."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import pytest

from tests.e2e.account import (
    Event,
    SignedCallbacks,
    lost_responses,
    published_events,
    responses,
)
from tests.e2e.processes import RelayProcess, Simulator, environment_number, until
from tests.kafka.broker import Cluster
from tests.kafka.reader import read_committed
from tests.receivers.callback import Behaviour, CallbackReceiver

pytestmark = [pytest.mark.kafka, pytest.mark.e2e, pytest.mark.timeout(900)]

SECRET = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
REPORTS = environment_number("RELAY_E2E_REPORTS", 20_000)
"""Of both kinds together; 100,000 takes some minutes."""

CONFIGURATION = """
sources:
  - name: acme
    base_url: {simulator}
    auth: {{type: basic, username: simulator, password: simulator}}
    poll: {{interval_seconds: 0.05, max_interval_seconds: 0.2}}
journal:
  url: sqlite:///{directory}/relay.db
  min_free_bytes: 0
kafka:
  bootstrap_servers: {kafka}
  id_prefix: {prefix}
  topic: "{prefix}.{{kind}}.reports"
  revisions_topic: "{prefix}.{{kind}}.revisions"
  quarantine_topic: {prefix}.quarantine
  cursor_topic: {prefix}.cursors
  create_topics: {{partitions: 3, replication_factor: 1}}
callbacks:
  - {{name: billing, url: "{callback}", secrets: ["{secret}"], revisions: true, retry: {{initial_seconds: 0.2}}}}
"""


class Scene:
    """Simulator, callback receiver and relay around one Kafka."""

    def __init__(self, directory: Path, kafka: Cluster, prefix: str, *traffic: str) -> None:
        self.simulator = Simulator(directory, *traffic)
        self.receiver = CallbackReceiver(keep=False)
        self.callbacks = SignedCallbacks(SECRET)
        self.receiver.rule = self._answer
        self._directory = directory
        self._kafka = kafka
        self._prefix = prefix

    async def start(self) -> None:
        await self.receiver.start()
        await self.simulator.start()
        configuration = CONFIGURATION.format(
            simulator=self.simulator.url,
            directory=self._directory,
            kafka=self._kafka.bootstrap_servers,
            prefix=self._prefix,
            callback=self.receiver.url,
            secret=SECRET,
        )
        self.relay = RelayProcess(self._directory, configuration)
        await self.relay.start()

    async def stop(self) -> None:
        self.relay.kill()
        self.simulator.kill()
        await self.receiver.stop()

    async def finished(self, seconds: float) -> None:
        """The API has nothing left, the journal neither."""
        await until(self.simulator.drained, seconds, "the simulator still has reports")
        await until(self.relay.drained, seconds, f"the relay still has work:\n{self.relay.tail()}")

    async def published(self) -> Counter[Event]:
        topics = [f"{self._prefix}.{kind}.{what}" for kind in ("sms", "voice") for what in ("reports", "revisions")]
        return published_events(await asyncio.to_thread(read_committed, self._kafka.bootstrap_servers, *topics))

    def _answer(self, headers: Mapping[str, str], body: bytes) -> Behaviour:
        return Behaviour(status=200 if self.callbacks.accepts(dict(headers), body) else 401)


@pytest.fixture
async def scene(tmp_path: Path, kafka: Cluster, request: pytest.FixtureRequest) -> AsyncIterator[Scene]:
    each = str(REPORTS // 2)
    traffic = ["--total", each, "--rate", "2500", "--duplicates", "0.02", "--revisions", "0.02"]
    scene = Scene(tmp_path, kafka, f"e2e-{request.node.name.replace('_', '-')}", *traffic)
    try:
        await scene.start()
        yield scene
    finally:
        await scene.stop()


async def test_every_report_is_in_kafka_once_and_at_the_callback(scene: Scene) -> None:
    await scene.finished(600)
    assert await scene.relay.terminate() == 0

    expected = {event for response in responses(scene.simulator.ledger) for event in response}
    assert len(expected) > 0.9 * REPORTS
    assert await scene.published() == dict.fromkeys(expected, 1)
    assert scene.callbacks.received == dict.fromkeys(expected, 1)
    assert scene.callbacks.refused == 0


async def test_five_kills_lose_only_what_was_in_flight_and_show_it(scene: Scene) -> None:
    seed = environment_number("RELAY_SEED", random.randrange(1_000_000))
    print(f"RELAY_SEED={seed}")
    chance = random.Random(seed)
    for _ in range(5):
        await asyncio.sleep(chance.uniform(0.2, 1.2))
        scene.relay.kill()
        await scene.relay.start()
    await scene.finished(600)

    handed_out = responses(scene.simulator.ledger)
    published = await scene.published()
    lost = lost_responses(handed_out, published)
    arrived = {event for response in handed_out if response not in lost for event in response}
    assert published == dict.fromkeys(arrived, 1), f"RELAY_SEED={seed}"
    for kind in ("sms", "voice"):
        lost_of_kind = [response for response in lost if response[0][0] == kind]
        gaps = scene.relay.metric("relay_gaps_open", source="acme", kind=kind)
        assert len(lost_of_kind) <= 5
        assert bool(gaps) or not lost_of_kind, f"{len(lost_of_kind)} responses lost without a gap, RELAY_SEED={seed}"
    assert set(scene.callbacks.received) == arrived
    assert scene.callbacks.refused == 0
    assert await scene.relay.terminate() == 0
