"""The demo itself: simulator, Kafka, callback receiver and relay in one process, then the verdict."""

import asyncio
import base64
import secrets
import signal
import tempfile
import time
from collections import Counter
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from relay.app import Relay
from relay.config import Config, load
from relay.demo.display import Display, read_figures
from relay.demo.kafka import KINDS, EmbeddedKafka, broker_count, count_message_ids
from relay.demo.receiver import Receiver
from relay.demo.verdict import Verdict, judge, read_ledger
from relay.simulator.options import SimulatorOptions, TrafficOptions
from relay.simulator.server import Simulator

VOICE_SHARE = 0.25
DUPLICATE_RATE = 0.03
REVISION_RATE = 0.03
DRAIN_SECONDS = 60.0
SHOW_EVERY_SECONDS = 0.25

CONFIGURATION = """\
sources:
  - name: {source}
    base_url: {base_url}
    auth: {{type: api_key, token: simulator-key}}
    endpoints: [sms, voice]
journal:
  url: sqlite:///{directory}/relay.db
  min_free_bytes: 0
kafka:
  bootstrap_servers: {bootstrap_servers}
  id_prefix: relay-demo
  {topics_and_delivery}
callbacks:
  - name: receiver
    url: {callback_url}
    secrets: [{secret}]
    revisions: true
http: {{host: 127.0.0.1, port: 0}}
log: {{level: warning, format: console}}
"""


@dataclass(frozen=True, kw_only=True)
class DemoOptions:
    """`seconds` of traffic at `rate` reports a second; without `bootstrap_servers` Kafka is embedded."""

    seconds: float = 20.0
    rate: float = 200.0
    bootstrap_servers: str | None = None


async def run(options: DemoOptions, console: Console) -> int:
    """Run to the verdict; 0 if every report handed out is in Kafka once and at the callback, else 1."""
    source = f"demo-{secrets.token_hex(3)}"
    async with AsyncExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="relay-demo-")))
        ledger = directory / "ledger.jsonl"
        simulator = await stack.enter_async_context(Simulator(_simulated(options, ledger)))
        secret = "whsec_" + base64.b64encode(secrets.token_bytes(24)).decode()
        receiver = Receiver(secret)
        await receiver.start()
        stack.push_async_callback(receiver.stop)
        config = await _configure(options, directory, source, simulator.base_url, receiver.url, secret)
        relay = Relay(config)
        await relay.start()
        stack.push_async_callback(relay.stop)
        _introduce(console, relay, simulator, options)
        await _watch(console, relay, receiver, simulator)
        counts = await asyncio.to_thread(_count, config, source)
        verdict = judge(read_ledger(ledger), counts, receiver.received, receiver.refused)
    _tell(console, verdict)
    return 0 if verdict.passed else 1


def _simulated(options: DemoOptions, ledger: Path) -> SimulatorOptions:
    def traffic(share: float) -> TrafficOptions:
        rate = options.rate * share
        return TrafficOptions(
            rate=rate,
            total=max(1, int(rate * options.seconds)),
            duplicate_rate=DUPLICATE_RATE,
            revision_rate=REVISION_RATE,
        )

    shares = {"sms": 1 - VOICE_SHARE, "voice": VOICE_SHARE}
    return SimulatorOptions(traffic={kind: traffic(share) for kind, share in shares.items()}, ledger=ledger)


async def _configure(
    options: DemoOptions, directory: Path, source: str, base_url: str, callback_url: str, secret: str
) -> Config:
    """The configuration goes the way that a user's does: a file, loaded and checked."""
    if options.bootstrap_servers is None:
        servers = EmbeddedKafka.started().bootstrap_servers
        topics_and_delivery = "delivery: idempotent"
    else:
        servers = options.bootstrap_servers
        replication = min(3, await asyncio.to_thread(broker_count, servers))
        topics_and_delivery = f"create_topics: {{partitions: 6, replication_factor: {replication}}}"
    file = directory / "relay.yaml"
    file.write_text(
        CONFIGURATION.format(
            source=source,
            base_url=base_url,
            directory=directory,
            bootstrap_servers=servers,
            topics_and_delivery=topics_and_delivery,
            callback_url=callback_url,
            secret=secret,
        ),
        encoding="utf-8",
    )
    return load(file, {})


def _introduce(console: Console, relay: Relay, simulator: Simulator, options: DemoOptions) -> None:
    kafka = options.bootstrap_servers or "embedded (librdkafka's mock cluster: idempotent, without transactions)"
    console.print("relay demo: one-time queues -> journal -> Kafka and a signed callback", style="bold")
    console.print(f"  status page  {relay.url}/")
    console.print(f"  metrics      {relay.url}/metrics")
    console.print(f"  simulator    {simulator.base_url}/simulator/state")
    console.print(f"  Kafka        {kafka}", highlight=False, soft_wrap=True)
    console.print(f"  {options.seconds:g} seconds of traffic, then the verdict; Ctrl-C ends it sooner", highlight=False)


async def _watch(console: Console, relay: Relay, receiver: Receiver, simulator: Simulator) -> None:
    """Show figures until the traffic is through or somebody interrupts, then drain."""
    interrupted = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, interrupted.set)
    started = time.monotonic()
    with Display(console) as display:

        def show(*, last: bool = False) -> None:
            figures = read_figures(relay.telemetry.registry, receiver.accepted)
            display.show(figures, time.monotonic() - started, last=last)

        while not (interrupted.is_set() or simulator.drained):
            relay.raise_if_failed()
            show()
            await _sleep(SHOW_EVERY_SECONDS, interrupted)
        await relay.stop_polling()
        await relay.drained(DRAIN_SECONDS, callbacks=True)
        show(last=True)


async def _sleep(seconds: float, unless: asyncio.Event) -> None:
    try:
        async with asyncio.timeout(seconds):
            await unless.wait()
    except TimeoutError:
        return


def _count(config: Config, source: str) -> dict[str, Counter[str]]:
    """By kind: how often each messageId is in the kind's topics."""
    assert config.kafka is not None  # noqa: S101 - the demo's own configuration has it
    templates = (config.kafka.topic, config.kafka.revisions_topic)
    by_kind = {}
    for kind in KINDS:
        topics = [template.format(kind=kind) for template in templates]
        counts = count_message_ids(config.kafka.bootstrap_servers, topics, source)
        by_kind[kind] = sum(counts.values(), Counter[str]())
    return by_kind


def _tell(console: Console, verdict: Verdict) -> None:
    handed_out = verdict.handed_out
    console.print(
        f"The simulator handed out {handed_out.reports:,} reports: {handed_out.events:,} events, "
        f"{handed_out.reports - handed_out.events:,} duplicates.",
        highlight=False,
    )
    for difference in verdict.differences:
        console.print(
            f"  {difference.kind:5}  in Kafka: {difference.missing} missing, {difference.surplus} too many; "
            f"at the callback: {difference.missing_at_callback} missing",
            highlight=False,
        )
    if verdict.refused_by_receiver:
        console.print(f"  {verdict.refused_by_receiver} signatures were refused", style="red")
    if verdict.passed:
        console.print("PASSED: every event is in Kafka exactly once and reached the callback.", style="bold green")
    else:
        console.print("FAILED: see the lines above.", style="bold red")
