"""Where it happens: the whole relay between a simulated API, real brokers behind a proxy, and a callback receiver."""

import asyncio
import os
import re
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

import psutil
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from tests.chaos.disk import Disk
from tests.chaos.evidence import (
    Blow,
    Evidence,
    JournalFacts,
    Posted,
    Published,
    Sizes,
    event_of,
    read_cursors,
    read_journal,
    read_ledger,
    read_topic,
    read_topics,
    sha256,
)
from tests.chaos.inflow import Inflow
from tests.chaos.shim import Shim
from tests.kafka.broker import USERS, Cluster
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
RECOVERY_SECONDS = 240.0
FETCHES_OF_A_MOMENT = 5
NOTICED_MS = 200
"""So late at most is a death noticed."""

CONFIGURATION = """
instance: chaos
sources:
  - name: acme
    base_url: {simulator}
    auth: {{type: api_key, token: {api_key}}}
    poll:
      {{limit: 100, interval_seconds: 0.05, max_interval_seconds: 0.2, timeout_seconds: 5,
        max_body_bytes: {most_bytes}}}
    reconcile: {{enabled: {recovers}, settle_seconds: 2, requests_per_minute: 6000}}
journal:
  url: sqlite:///{journal}
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
  security: {security}
callbacks:
  - name: billing
    url: "{callback}"
    secrets: ["{secret}"]
    revisions: true
    timeout_seconds: 2
    retry: {{initial_seconds: 0.2, max_seconds: 2}}
"""
USER, PASSWORD = "alice", USERS["alice"]
MECHANISM = "SCRAM-SHA-256"
SECURITY = {
    "PLAINTEXT": "{protocol: PLAINTEXT}",
    "SASL_PLAINTEXT": f"{{protocol: SASL_PLAINTEXT, mechanism: {MECHANISM}, username: {USER}, password: {PASSWORD}}}",
}
MOST_BODY_BYTES = 8 << 20
"""Of an answer of the API."""
DISK_BYTES = 1 << 30


class Arena(Inflow):
    """All processes of a run, what was done to them, and what is known afterwards."""

    def __init__(
        self,
        directory: Path,
        kafka: Cluster,
        *traffic: str,
        prefix: str = PREFIX,
        recovers: bool = True,
        environment: Mapping[str, str] | None = None,
        own_disk: bool = False,
    ) -> None:
        """`environment`: variables of every relay process. `own_disk`: the journal lies on a small file system of its
        own, if this process may mount one."""
        self.directory = directory
        self.disk = Disk(directory / "journal", DISK_BYTES if own_disk else None)
        self.journal = self.disk.directory / "relay.db"
        self.shim = Shim(directory)
        self.kafka = kafka
        self.prefix = prefix
        self.proxies = [KafkaProxy(broker, remembered={END_TXN}) for broker in kafka.brokers]
        self.simulator = Simulator(directory, *traffic)
        super().__init__(self.simulator, KINDS)
        self.behaviour: Behaviour = OK
        """Of the callback receiver, while it is not well."""
        self.posted: list[Posted] = []
        self.blows: list[Blow] = []
        self.scrapes: list[str] = []
        self.sizes = Sizes()
        self.archived: list[Published] = []
        """What was read of topics before they were deleted; and with that of aborted transactions."""
        self.archived_uncommitted: list[Published] = []
        self.past_journals: list[JournalFacts] = []
        """Of journals in whose place a backup was put."""
        self.broken_promises: list[str] = []
        """What faults saw at once and no ledger tells."""
        self.noticed: Counter[str] = Counter()
        """How often the relay was seen to say what it must."""
        self.recovers = recovers
        self._webhook = Webhook(SECRET)
        self._environment = {**self.shim.environment, **(environment or {})}
        callback_port = free_port()
        self.receiver = CallbackReceiver(keep=False, port=callback_port)
        self.receiver.rule = self._answer
        configuration = CONFIGURATION.format(
            simulator=self.simulator.url,
            journal=self.journal,
            most_bytes=MOST_BODY_BYTES,
            security=SECURITY[kafka.proxied],
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
        self.backup: Path | None = None
        self._journal_id: str | None = None
        self._watch: asyncio.Task[None] | None = None
        self._cleanup = AsyncExitStack()

    async def __aenter__(self) -> Self:
        try:
            self._cleanup.enter_context(self.disk)
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

    async def relay_ends(self, what: str, seconds: float) -> None:
        """Wait until it ends itself, saying why, as after an error of its disk. Raises TimeoutError."""
        begun_ms = now_ms()
        code = await self.relay.ended(seconds)
        if code != 1:
            self.broken_promises.append(f"{what}: the relay ended with {code}:\n{self.relay.tail()}")
        self.blows.append(Blow(what, begun_ms - NOTICED_MS, now_ms()))

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
        async with self.standing_still("pause"):
            await asyncio.sleep(seconds)

    @asynccontextmanager
    async def standing_still(self, what: str) -> AsyncIterator[None]:
        begun_ms = now_ms()
        self.relay.signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.relay.signal(signal.SIGCONT)
            self.blows.append(Blow(what, begun_ms, now_ms()))

    async def flowing(self, seconds: float, since: float) -> None:
        """Wait until both streams were polled after `since` (Unix time) and have published all that came before."""
        await until(lambda: self._flows(since), seconds, lambda: f"the relay does not recover:\n{self.relay.tail()}")

    async def flows_again(self) -> None:
        await self.flowing(RECOVERY_SECONDS, time.time())

    async def drained(self, seconds: float) -> None:
        """The API has nothing left, every gap has ended, everything is published and called back."""
        await until(self.simulator.drained, seconds, "the simulator still has reports")
        await self.relay.journaled(seconds)
        await until(self._settled, seconds, lambda: f"the relay still has work:\n{self.status()}\n{self.relay.tail()}")

    async def notices(self, what: str, words: str, seconds: float) -> None:
        """Wait until the relay names itself degraded in such words, and count it; what else happens may hide it."""
        with suppress(AssertionError):
            await until(lambda: words in self.status(), seconds, words)
            self.noticed[what] += 1

    def status(self) -> str:
        with suppress(OSError):
            return self.relay.get("/readyz")
        return "no answer"

    def metrics(self) -> str:
        """Scraped, and kept as evidence."""
        text = self.relay.get("/metrics")
        self.scrapes.append(text)
        return text

    # --- what comes out ---

    def _answer(self, headers: Mapping[str, str], body: bytes) -> Behaviour:
        headers = {name.lower(): value for name, value in headers.items()}
        if "ce-source" not in headers:  # a request that has gone astray, which the list of targets tells
            return OK
        signed = self._is_signed(headers, body)
        behaviour = self.behaviour
        source, kind = headers["ce-source"], headers["ce-source"].rsplit("/", 1)[1]
        accepted = behaviour is OK
        self.posted.append(
            Posted(
                source, headers["ce-id"], headers["webhook-id"], sha256(body), signed, accepted, event_of(kind, body)
            )
        )
        return behaviour

    def _is_signed(self, headers: Mapping[str, str], body: bytes) -> bool:
        """Now, unless the relay's clock is wrong: then whenever it says."""
        if self.shim.clock_is_wrong:
            at = datetime.fromtimestamp(int(headers["webhook-timestamp"]), UTC)
            return self._webhook.sign(headers["webhook-id"], at, body.decode()) in headers["webhook-signature"].split()
        try:
            self._webhook.verify(body, dict(headers))
        except WebhookVerificationError:
            return False
        return True

    def evidence(self) -> Evidence:
        """Once the relay has been stopped in an orderly way."""
        committed, uncommitted = read_topics(self.kafka.bootstrap_servers, self.prefix, KINDS)
        token = (self.journal.parent / "relay.token").read_text().strip()
        journals = {record.journal for record in committed}
        cursors: dict[str, int | None] = dict.fromkeys(KINDS)
        if len(journals) == 1:
            cursors = read_cursors(self.kafka.bootstrap_servers, self.prefix, journals.pop(), KINDS)
        return Evidence(
            handed_out=read_ledger(self.simulator.ledger),
            committed=self.archived + committed,
            uncommitted=self.archived_uncommitted + uncommitted,
            posted=list(self.posted),
            journal=read_journal(self.journal),
            past_journals=list(self.past_journals),
            broken_promises=list(self.broken_promises),
            cursors=cursors,
            blows=list(self.blows),
            oversized=frozenset(self.oversized),
            markers=self.markers,
            logs=self.relay.log.read_text(errors="replace"),
            scrapes=list(self.scrapes),
            targets=sorted(self.receiver.targets),
            canaries=[TELEPHONE, *map(re.escape, (SECRET.removeprefix("whsec_"), API_KEY, PASSWORD, token))],
            sizes=self.sizes,
            recovers=self.recovers,
        )

    def evidence_of_topics(self) -> list[Published]:
        committed, _ = read_topics(self.kafka.bootstrap_servers, self.prefix, KINDS)
        return self.archived + committed

    def journal_id(self) -> str:
        """As the records have it."""
        if self._journal_id is None:
            committed, _ = read_topics(self.kafka.bootstrap_servers, self.prefix, KINDS)
            self._journal_id = committed[0].journal
        return self._journal_id

    def lacks(self, needs: str) -> str | None:
        """Why a fault cannot be made here."""
        missing = {
            "": None,
            "shim": None if self.shim.available else "no C compiler",
            "disk": None if self.disk.mounted or self.shim.available else "no tmpfs can be mounted, no C compiler",
            "users": None if self.kafka.proxied != "PLAINTEXT" else "relay is nobody to these brokers",
        }
        return missing[needs]

    def archive(self, topic: str) -> None:
        """Read a topic before it is deleted; nobody writes to it any more."""
        name = f"{topic} (deleted, {len(self.archived)} before)"
        committed, uncommitted = (read_topic(self.kafka.bootstrap_servers, topic, all_=all_) for all_ in (False, True))
        self.archived += [one._replace(topic=name) for one in committed]
        self.archived_uncommitted += [one._replace(topic=name) for one in uncommitted]

    def _flows(self, since: float) -> bool:
        try:
            if self.relay.metric("relay_fetches_pending") > FETCHES_OF_A_MOMENT:
                return False
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
        wal = f"{self.journal}-wal"
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            with suppress(psutil.Error, OSError, AssertionError):
                process = psutil.Process(self.relay.pid)
                seen = Sizes(process.memory_info().rss, process.num_fds(), os.stat(wal).st_size)  # noqa: PTH116 - ASYNC240
                self.sizes = Sizes(*map(max, self.sizes, seen))


def now_ms() -> int:
    return time.time_ns() // 1_000_000
