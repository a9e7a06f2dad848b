"""The whole relay between a simulated API, Apache Kafka and a callback receiver, each in a process of its own."""

import asyncio
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from tests.kafka.broker import Cluster
from tests.kafka.reader import read_committed
from tests.receivers.callback import Behaviour, CallbackReceiver
from tests.scene.account import Event, SignedCallbacks, published_events
from tests.scene.events import validated
from tests.scene.processes import RelayProcess, Simulator, free_port, until

SECRET = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"

CONFIGURATION = """
sources:
  - name: acme
    base_url: {simulator}
    auth: {{type: basic, username: simulator, password: simulator}}
    endpoints: {endpoints}
    poll:
      {{limit: {limit}, interval_seconds: 0.05, max_interval_seconds: 0.2, timeout_seconds: {timeout_seconds}}}
    reconcile: {reconcile}
    recordings: {recordings}
journal:
  url: sqlite:///{directory}/relay.db
  min_free_bytes: 0
kafka:
  bootstrap_servers: {kafka}
  id_prefix: {prefix}
  topic: "{prefix}.{{kind}}.reports"
  revisions_topic: "{prefix}.{{kind}}.revisions"
  quarantine_topic: {prefix}.quarantine
  recordings_topic: "{prefix}.{{kind}}.recordings"
  cursor_topic: {prefix}.cursors
  create_topics: {{partitions: 3, replication_factor: 1}}
callbacks:
  - {{name: billing, url: "{callback}", secrets: ["{secret}"], revisions: true, retry: {{initial_seconds: 0.2}}}}
"""


class Scene:
    """Simulator, callback receiver and relay around one Kafka."""

    def __init__(
        self,
        directory: Path,
        kafka: Cluster,
        prefix: str,
        *traffic: str,
        reconcile: str = "{enabled: false}",
        recordings: str = "{enabled: false}",
        timeout_seconds: float = 30.0,
        limit: int = 1000,
        endpoints: str = "[sms, voice]",
        started: bool = True,
        relay_first: bool = False,
    ) -> None:
        """Not `started`: the relay is launched by the test. `relay_first`: before there is an API, since what was done
        before a stream's first poll may have been read by somebody else and is not recovered."""
        self.simulator = Simulator(directory, *traffic)
        callback_port = free_port()
        self.receiver = CallbackReceiver(keep=False, port=callback_port)
        self.callbacks = SignedCallbacks(SECRET)
        self.receiver.rule = self._answer
        self._kafka = kafka
        self._prefix = prefix
        self._started = started
        self._relay_first = relay_first
        self._kinds = [kind.strip() for kind in endpoints.strip("[]").split(",")]
        self.relay = RelayProcess(
            directory,
            CONFIGURATION.format(
                simulator=self.simulator.url,
                directory=directory,
                kafka=kafka.bootstrap_servers,
                prefix=prefix,
                callback=f"http://127.0.0.1:{callback_port}/hook",
                secret=SECRET,
                reconcile=reconcile,
                recordings=recordings,
                timeout_seconds=timeout_seconds,
                limit=limit,
                endpoints=endpoints,
            ),
        )

    async def start(self) -> None:
        await self.receiver.start()
        starts = [self.simulator, *([self.relay] if self._started else [])]
        for process in reversed(starts) if self._relay_first else starts:
            await process.start()

    async def __aenter__(self) -> Self:
        try:
            await self.start()
        except BaseException:
            await self.stop()
            raise
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self.stop()

    async def stop(self) -> None:
        self.relay.kill()
        self.simulator.kill()
        await self.receiver.stop()

    async def finished(self, seconds: float) -> None:
        """The API has nothing left, the journal neither."""
        await until(self.simulator.drained, seconds, "the simulator still has reports")
        await self.relay.journaled(seconds)
        await until(self.relay.drained, seconds, f"the relay still has work:\n{self.relay.tail()}")

    async def published(self) -> Counter[Event]:
        topics = [f"{self._prefix}.{kind}.{what}" for kind in self._kinds for what in ("reports", "revisions")]
        records = await asyncio.to_thread(read_committed, self._kafka.bootstrap_servers, *topics)
        return published_events(await asyncio.to_thread(validated, records))

    def _answer(self, headers: Mapping[str, str], body: bytes) -> Behaviour:
        return Behaviour(status=200 if self.callbacks.accepts(dict(headers), body) else 401)
