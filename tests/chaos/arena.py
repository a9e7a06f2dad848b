"""Where it happens: the whole relay between a simulated API, real brokers behind a proxy, and a callback receiver."""

import asyncio
import json
import random
import re
import signal
import time
import urllib.request
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Any, Self

import psutil
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from tests.chaos.evidence import (
    Blow,
    Evidence,
    Posted,
    Published,
    Sizes,
    event_of,
    read_cursors,
    read_journal,
    read_ledger,
    read_topics,
    sha256,
)
from tests.kafka.broker import Cluster
from tests.kafka.proxy import END_TXN, KafkaProxy
from tests.receivers.callback import OK, Behaviour, CallbackReceiver
from tests.scene.processes import RelayProcess, Simulator, free_port, until

KINDS = ("sms", "voice")
SECRET = "whsec_Y2FuYXJ5LWNhbmFyeS1jYW5hcnktY2FuYXJ5"
API_KEY = "simulator-key"
TELEPHONE = r"(?<!\d)38598\d{7}"
PREFIX = "chaos"
TRANSACTION_SECONDS = 6
LOOK_SECONDS = 0.5
NOTICED_MS = 200
"""So late at most is a death noticed."""
OVERSIZED_CHARACTERS = 500_000
"""Of three bytes each, at random: compressed they are still far above what a broker takes."""

CONFIGURATION = """
instance: chaos
sources:
  - name: acme
    base_url: {simulator}
    auth: {{type: api_key, token: {api_key}}}
    poll: {{limit: 100, interval_seconds: 0.05, max_interval_seconds: 0.2, timeout_seconds: 5}}
    reconcile: {{enabled: {recovers}, settle_seconds: 2, requests_per_minute: 6000}}
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
  transaction_timeout_seconds: {transaction_seconds}
  create_topics: {{partitions: 3, replication_factor: {replicas}}}
callbacks:
  - name: billing
    url: "{callback}"
    secrets: ["{secret}"]
    revisions: true
    timeout_seconds: 2
    retry: {{initial_seconds: 0.2, max_seconds: 2}}
"""


class Arena:
    """All processes of a run, what was done to them, and what is known afterwards."""

    def __init__(
        self,
        directory: Path,
        kafka: Cluster,
        *traffic: str,
        prefix: str = PREFIX,
        recovers: bool = True,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """`environment`: variables of every relay process."""
        self.directory = directory
        self.kafka = kafka
        self.prefix = prefix
        self.proxies = [KafkaProxy(broker, remembered={END_TXN}) for broker in kafka.brokers]
        self.simulator = Simulator(directory, *traffic)
        self.behaviour: Behaviour = OK
        """Of the callback receiver, while it is not well."""
        self.posted: list[Posted] = []
        self.blows: list[Blow] = []
        self.oversized: set[str] = set()
        self.markers: dict[str, list[str]] = {kind: [] for kind in KINDS}
        self.scrapes: list[str] = []
        self.sizes = Sizes()
        self.recovers = recovers
        self._webhook = Webhook(SECRET)
        self._environment = dict(environment or {})
        callback_port = free_port()
        self.receiver = CallbackReceiver(keep=False, port=callback_port)
        self.receiver.rule = self._answer
        configuration = CONFIGURATION.format(
            simulator=self.simulator.url,
            directory=directory,
            kafka=",".join(proxy.bootstrap_servers for proxy in self.proxies),
            prefix=prefix,
            callback=f"http://127.0.0.1:{callback_port}/hook",
            secret=SECRET,
            api_key=API_KEY,
            recovers=str(recovers).lower(),
            transaction_seconds=TRANSACTION_SECONDS,
            replicas=len(kafka.brokers),
        )
        self.relay = RelayProcess(directory, configuration)
        self._watch: asyncio.Task[None] | None = None
        self._cleanup = AsyncExitStack()

    async def __aenter__(self) -> Self:
        try:
            for proxy in self.proxies:
                await self._cleanup.enter_async_context(proxy)
            await self.receiver.start()
            await self.simulator.start()
            self._watch = asyncio.create_task(self._watching())
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self.close()

    async def close(self) -> None:
        if self._watch is not None:
            self._watch.cancel()
        self.relay.kill()
        self.simulator.kill()
        await self.receiver.stop()
        await self._cleanup.aclose()

    # --- the relay ---

    async def start_relay(self, **environment: str) -> None:
        await self.relay.start(**self._environment, **environment)

    def launch_relay(self, **environment: str) -> None:
        self.relay.launch(**self._environment, **environment)

    async def kill_relay(self, what: str) -> None:
        begun_ms = now_ms()
        await asyncio.to_thread(self.relay.kill)
        self.blows.append(Blow(what, begun_ms, now_ms()))

    async def relay_dies(self, what: str, seconds: float) -> None:
        """Wait until it kills itself, as a fail point has it. Raises TimeoutError."""
        code = await self.relay.ended(seconds)
        assert code == -signal.SIGKILL, f"relay ended with {code}:\n{self.relay.tail()}"
        self.blows.append(Blow(what, now_ms() - NOTICED_MS, now_ms()))

    async def terminate_relay(self) -> None:
        """SIGTERM: nothing may be lost, so it is no blow."""
        code = await self.relay.terminate()
        assert code == 0, f"relay ended with {code} after SIGTERM:\n{self.relay.tail()}"

    async def pause_relay(self, seconds: float) -> None:
        begun_ms = now_ms()
        self.relay.signal(signal.SIGSTOP)
        await asyncio.sleep(seconds)
        self.relay.signal(signal.SIGCONT)
        self.blows.append(Blow("pause", begun_ms, now_ms()))

    async def flowing(self, seconds: float, since: float) -> None:
        """Wait until both streams were polled after `since` (Unix time) and have published all that came before."""
        await until(lambda: self._flows(since), seconds, lambda: f"the relay does not recover:\n{self.relay.tail()}")

    async def drained(self, seconds: float) -> None:
        """The API has nothing left, every gap has ended, everything is published and called back."""
        await until(self.simulator.drained, seconds, "the simulator still has reports")
        handed_out_by = time.time()
        await until(lambda: self.relay.polled_since(handed_out_by), seconds, "the relay does not poll")
        await until(self._settled, seconds, lambda: f"the relay still has work:\n{self.status()}\n{self.relay.tail()}")

    def status(self) -> str:
        with suppress(OSError):
            return self.relay.get("/readyz")
        return "no answer"

    def metrics(self) -> str:
        """Scraped, and kept as evidence."""
        text = self.relay.get("/metrics")
        self.scrapes.append(text)
        return text

    # --- what goes in ---

    async def inject(self, *rules: dict[str, Any]) -> None:
        """Faults of the API."""
        await asyncio.to_thread(self._ask_simulator, "faults", list(rules))

    async def clear_faults(self) -> None:
        await asyncio.to_thread(self._ask_simulator, "faults", None, "DELETE")

    async def put_garbage(self, kind: str, form: str) -> None:
        """An entry that is no report, among the others."""
        marker = f"marker-{kind}-{len(self.markers[kind])}-"
        self.markers[kind].append(marker)
        broken = f'{{"messageId": "x-{marker}", "callbackData": "{marker}", "status": oops]'
        entry = broken if form == "broken" else {"callbackData": marker, "status": {"id": 5}}
        await self._put(kind, entry)

    async def put_oversized(self, kind: str, chance: random.Random) -> None:
        """A report that no broker takes."""
        message_id = f"oversized-{len(self.oversized)}"
        self.oversized.add(message_id)
        noise = "".join(chr(chance.randrange(0x4E00, 0x9FFF)) for _ in range(OVERSIZED_CHARACTERS))
        await self._put(kind, a_report(message_id, callbackData=noise))

    async def put_reports(self, kind: str, message_ids: Sequence[str]) -> None:
        await self._put(kind, *(a_report(message_id) for message_id in message_ids))

    async def _put(self, kind: str, *reports: object) -> None:
        await asyncio.to_thread(self._ask_simulator, "reports", {"kind": kind, "reports": reports})

    def _ask_simulator(self, path: str, body: object, method: str = "POST") -> None:
        data = None if body is None else json.dumps(body, ensure_ascii=False).encode()
        request = urllib.request.Request(f"{self.simulator.url}/simulator/{path}", data=data, method=method)
        with urllib.request.urlopen(request, timeout=30) as answer:
            assert answer.status == 200

    # --- what comes out ---

    def _answer(self, headers: Mapping[str, str], body: bytes) -> Behaviour:
        headers = {name.lower(): value for name, value in headers.items()}
        try:
            self._webhook.verify(body, dict(headers))
            signed = True
        except WebhookVerificationError:
            signed = False
        behaviour = self.behaviour
        source, kind = headers["ce-source"], headers["ce-source"].rsplit("/", 1)[1]
        accepted = behaviour is OK
        self.posted.append(
            Posted(
                source, headers["ce-id"], headers["webhook-id"], sha256(body), signed, accepted, event_of(kind, body)
            )
        )
        return behaviour

    def evidence(self) -> Evidence:
        """Once the relay has been stopped in an orderly way."""
        committed, uncommitted = read_topics(self.kafka.bootstrap_servers, self.prefix, KINDS)
        token = (self.directory / "relay.token").read_text().strip()
        journals = {record.journal for record in committed}
        cursors: dict[str, int | None] = dict.fromkeys(KINDS)
        if len(journals) == 1:
            cursors = read_cursors(self.kafka.bootstrap_servers, self.prefix, journals.pop(), KINDS)
        return Evidence(
            handed_out=read_ledger(self.simulator.ledger),
            committed=committed,
            uncommitted=uncommitted,
            posted=list(self.posted),
            journal=read_journal(self.directory / "relay.db"),
            cursors=cursors,
            blows=list(self.blows),
            oversized=frozenset(self.oversized),
            markers=self.markers,
            logs=self.relay.log.read_text(errors="replace"),
            scrapes=list(self.scrapes),
            targets=sorted(self.receiver.targets),
            canaries=[TELEPHONE, *map(re.escape, (SECRET.removeprefix("whsec_"), API_KEY, token))],
            sizes=self.sizes,
            recovers=self.recovers,
        )

    def evidence_of_topics(self) -> list[Published]:
        committed, _ = read_topics(self.kafka.bootstrap_servers, self.prefix, KINDS)
        return committed

    def _flows(self, since: float) -> bool:
        try:
            for kind in KINDS:
                if self.relay.metric("relay_last_successful_poll_timestamp_seconds", kind=kind) <= since:
                    return False
                oldest = self.relay.metric("relay_oldest_unpublished_timestamp_seconds", kind=kind)
                if self.relay.metric("relay_unpublished_reports", kind=kind) and oldest <= since:
                    return False
        except OSError:
            return False
        return True

    def _settled(self) -> bool:
        try:
            return self.relay.drained() and (not self.recovers or self.relay.metric("relay_gaps_open") == 0)
        except OSError:
            return False

    async def _watching(self) -> None:
        """The most that the relay takes of what is bounded, and its metrics now and then."""
        wal = self.directory / "relay.db-wal"
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            with suppress(psutil.Error, OSError, AssertionError):
                process = psutil.Process(self.relay.pid)
                seen = Sizes(process.memory_info().rss, process.num_fds(), wal.stat().st_size)
                self.sizes = Sizes(*map(max, self.sizes, seen))


def a_report(message_id: str, **more: object) -> dict[str, object]:
    """A delivered message, sent and done now."""
    at = time.strftime("%Y-%m-%dT%H:%M:%S.000+0000", time.gmtime())
    return {
        "bulkId": "bulk",
        "messageId": message_id,
        "to": "385981234567",
        "sentAt": at,
        "doneAt": at,
        "smsCount": 1,
        "price": {"pricePerMessage": 0.01, "currency": "EUR"},
        "status": {"groupId": 3, "groupName": "DELIVERED", "id": 5, "name": "DELIVERED_TO_HANDSET", "description": "-"},
        "error": {"groupId": 0, "groupName": "OK", "id": 0, "name": "NO_ERROR", "description": "-", "permanent": False},
        **more,
    }


def now_ms() -> int:
    return time.time_ns() // 1_000_000
