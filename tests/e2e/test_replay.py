"""Dead letters and replays on a relay that runs, with receivers that refuse, kills in the middle."""

import asyncio
import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from signal import SIGINT, SIGKILL
from typing import Any
from zlib import crc32

import pytest

from tests.receivers.callback import Behaviour, CallbackReceiver, Received
from tests.scene.processes import ROOT, RelayProcess, Simulator, until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]

CONFIGURATION = """
sources:
  - name: acme
    base_url: {simulator}
    auth: {{type: basic, username: simulator, password: simulator}}
    endpoints: [sms]
    poll: {{interval_seconds: 0.05, max_interval_seconds: 0.2}}
    reconcile: {{enabled: false}}
journal: {{url: "sqlite:///{directory}/relay.db", min_free_bytes: 0}}
callbacks:
"""
BILLING = '  - {{name: billing, url: "{url}"}}\n'
IMPATIENT = '  - {{name: billing, url: "{url}", retry: {{max_age_seconds: 0.001}}}}\n'
"""What it refuses once is a dead letter."""
BATCHES = '  - {{name: batches, url: "{url}", batch_size: 7, linger_seconds: 0.05}}\n'
EARLIEST = '  - {{name: late, url: "{url}", start: earliest}}\n'

PLAIN = ("--kind", "sms", "--final-only", "--seed", "5")
REFUSES = Behaviour(status=500, body=b"ask +41 79 302 67 31")


class Place:
    """A relay without Kafka between a simulator and receivers."""

    def __init__(self, directory: Path, *traffic: str) -> None:
        self.directory = directory
        self.simulator = Simulator(directory, *PLAIN, *traffic)
        self.relay: RelayProcess

    async def start(self, *callbacks: tuple[str, CallbackReceiver], **environment: str) -> None:
        """With these and no other callbacks."""
        text = CONFIGURATION.format(simulator=self.simulator.url, directory=self.directory)
        text += "".join(entry.format(url=receiver.url) for entry, receiver in callbacks)
        self.relay = RelayProcess(self.directory, text)
        await self.relay.start(**environment)

    def begun(self, *arguments: str) -> "subprocess.Popen[str]":
        """`relay …`, as an operator types it."""
        where = ("--url", self.relay.url, "--token-file", str(self.directory / "relay.token"))
        return subprocess.Popen(
            [sys.executable, "-m", "relay", *arguments, *where],
            cwd=ROOT,
            env={**os.environ, "COLUMNS": "200"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    async def ask(self, *arguments: str, code: int = 0) -> str:
        with self.begun(*arguments) as process:
            output, errors = await asyncio.to_thread(process.communicate, timeout=90)
        assert process.returncode == code, output + errors
        return output + errors

    async def told(self, *arguments: str, code: int = 0) -> Any:
        return json.loads(await self.ask(*arguments, "--json", code=code))

    async def dead(self, count: int) -> None:
        await until(lambda: self.dead_letters() == count, 30, lambda: f"{self.dead_letters()} of {count} are dead")

    def dead_letters(self) -> float:
        return self.relay.metric("relay_dead_letters", callback="billing")

    async def handed_out(self, count: int, receiver: CallbackReceiver) -> None:
        """All that there is has come to the callback, and that is recorded."""
        await receiver.until(lambda: len(set(receiver.message_ids)) >= count, 60)
        await until(self.relay.drained, 60, self.relay.tail)
        assert len(receiver.received) <= count


@pytest.fixture
async def made(tmp_path: Path) -> AsyncIterator[Callable[..., Place]]:
    places: list[Place] = []

    def make(*traffic: str) -> Place:
        places.append(Place(tmp_path, *traffic))
        return places[-1]

    yield make
    for place in places:
        place.relay.kill()
        place.simulator.kill()


@pytest.fixture
async def receiver() -> AsyncIterator[CallbackReceiver]:
    async with CallbackReceiver() as receiver:
        yield receiver


@pytest.fixture
async def another() -> AsyncIterator[CallbackReceiver]:
    async with CallbackReceiver() as receiver:
        yield receiver


def by_id(received: list[Received]) -> dict[str, set[tuple[str, bytes, str | None]]]:
    """By messageId, the different (webhook-id, body, ce-id) that it came with."""
    found: dict[str, set[tuple[str, bytes, str | None]]] = {}
    for one in received:
        for message_id in one.message_ids:
            found.setdefault(message_id, set()).add((one.webhook_id, one.body, one.headers.get("ce-id")))
    return found


async def test_dead_letters_are_looked_at_sent_again_and_dropped(
    made: Callable[..., Place], receiver: CallbackReceiver
) -> None:
    place = made("--backlog", "200", "--rate", "0")
    receiver.rule = lambda _, body: REFUSES if crc32(body) % 5 == 0 else None
    await place.simulator.start()
    await place.start((IMPATIENT, receiver))
    await place.handed_out(200, receiver)
    refused = {one.message_ids[0] for one in receiver.received if one.status == 500}
    assert 20 < len(refused) < 80
    await place.dead(len(refused))
    first = by_id(receiver.received)
    assert len(first) == len(receiver.received) == 200

    letters = (await place.told("dead-letters", "list", "--callback", "billing", "--status", "500"))["dead_letters"]
    assert {letter["message_ids"][0] for letter in letters} == refused
    one, two, *_ = letters
    assert "HTTP 500" in one["reason"]
    assert (await place.told("dead-letters", "list", "--status", "503"))["dead_letters"] == []
    shown = await place.ask("dead-letters", "show", str(one["id"]))
    assert one["message_ids"][0] in shown
    assert "ask ***31" in shown
    assert f"dead letter {one['id']}" in await place.ask("inspect", one["message_ids"][0])

    receiver.rule = None
    assert await place.ask("dead-letters", "drop", str(two["id"])) == f"{two['id']}: dropped\n"
    assert "put back" in await place.ask("dead-letters", "replay", str(one["id"]))
    await receiver.until(lambda: receiver.received[-1].message_ids == tuple(one["message_ids"]), 20)
    await place.dead(len(refused) - 2)
    place.relay.kill()
    await place.start((IMPATIENT, receiver))

    left = len(refused) - 2
    assert await place.ask("dead-letters", "replay", "--all", "--callback", "billing") == f"{left} put back\n"
    await receiver.until(lambda: len(set(receiver.accepted_ids)) == 199, 30)
    await place.dead(0)
    assert two["message_ids"][0] not in receiver.accepted_ids
    assert by_id(receiver.received) == first  # the same ids and bodies as at the first attempts
    assert place.relay.metric("relay_dead_letters_ended_total", callback="billing", result="dropped") == 1
    assert "there is no dead letter" in await place.ask("dead-letters", "show", str(two["id"]), code=1)

    life = await place.told("inspect", one["message_ids"][0])
    (entry,) = life["entries"]
    (at_billing,) = entry["callbacks"]
    assert at_billing["state"] == "delivered"
    assert [attempt["result"] for attempt in at_billing["attempts"]] == ["dead", "delivered"]
    assert "nothing is known" in await place.ask("inspect", "unknown", code=1)
    assert await place.relay.terminate() == 0


async def test_a_replay_goes_on_after_a_kill_beside_the_live_flow(
    made: Callable[..., Place], receiver: CallbackReceiver
) -> None:
    place = made("--backlog", "2500", "--total", "4000", "--rate", "60")
    await place.simulator.start()
    await place.start((BILLING, receiver))
    await receiver.until(lambda: len(set(receiver.message_ids)) >= 2500, 60)
    place.relay.kill()
    before = set(receiver.message_ids)
    first = by_id(receiver.received)

    await place.start((BILLING, receiver), RELAY_FAILPOINT="replay.fed@2")
    estimate = await place.told("replay", "--callback", "billing", "--since", "1h", "--dry-run")
    assert estimate["reports"] >= len(before)
    begun = await place.told("replay", "--callback", "billing", "--since", "1h", "--detach")
    assert begun["state"] == "running"
    assert await place.relay.ended(30) == -SIGKILL, place.relay.tail()

    receiver.default = Behaviour(delay_seconds=0.5)  # lest it be done before it is asked about
    await place.start((BILLING, receiver))
    assert "has not ended" in await place.ask("replay", "--callback", "billing", "--since", "1h", code=1)
    state = await place.told("replay", "--list")
    assert state["replays"][0]["id"] == begun["id"]
    receiver.default = Behaviour()
    await until(lambda: '"replay done"' in place.relay.log.read_text(), 90, place.relay.tail)
    counts = Counter(receiver.accepted_ids)
    assert all(counts[message_id] >= 2 for message_id in before)
    assert sum(counts[message_id] for message_id in before) < 2.5 * len(before)
    again = by_id(receiver.received)
    assert {message_id: again[message_id] for message_id in before} == first
    assert all(len(forms) == 1 for forms in again.values())
    await receiver.until(lambda: set(receiver.accepted_ids) > before, 30)
    (run,) = (await place.told("replay", "--list"))["replays"]
    assert (run["state"], run["dead"], run["gone"], run["pending"]) == ("done", 0, 0, 0)
    assert run["reports"] >= 2500
    assert await place.relay.terminate() == 0


async def test_ctrl_c_pauses_a_replay_and_resume_goes_on(
    made: Callable[..., Place], receiver: CallbackReceiver
) -> None:
    place = made("--backlog", "1500", "--rate", "0")
    await place.simulator.start()
    await place.start((BILLING, receiver))
    await place.handed_out(1500, receiver)

    receiver.default = Behaviour(delay_seconds=0.8)  # 16 at a time: about 20 in a second
    with place.begun("replay", "--callback", "billing", "--since", "1h", "--json") as process:
        await receiver.until(lambda: len(receiver.received) > 1550, 30)
        process.send_signal(SIGINT)
        output, errors = await asyncio.to_thread(process.communicate, timeout=30)
    assert process.returncode == 1, errors
    paused = json.loads(output)
    assert paused["state"] == "paused"
    assert 0 < paused["reports"] < 1500

    receiver.default = Behaviour()
    await until(place.relay.drained, 60, place.relay.tail)
    assert len(receiver.received) == 1500 + paused["reports"]
    done = await place.told("replay", "--resume", str(paused["id"]))
    assert (done["state"], done["reports"], done["delivered"]) == ("done", 1500, 1500)
    assert Counter(receiver.message_ids) == dict.fromkeys(receiver.message_ids, 2)
    assert "is done" in await place.ask("replay", "--resume", str(paused["id"]), code=1)


async def test_batches_are_sent_again_as_they_were(made: Callable[..., Place], receiver: CallbackReceiver) -> None:
    place = made("--backlog", "200", "--rate", "0")
    await place.simulator.start()
    await place.start((BATCHES, receiver))
    await place.handed_out(200, receiver)
    first = [(one.webhook_id, one.body) for one in receiver.received]
    assert sum(len(one.message_ids) for one in receiver.received) == 200
    assert any(len(one.message_ids) == 7 for one in receiver.received)

    done = await place.told("replay", "--callback", "batches", "--since", "1h")
    assert (done["state"], done["reports"]) == ("done", 200)
    assert Counter((one.webhook_id, one.body) for one in receiver.received) == dict.fromkeys(first, 2)


async def test_a_new_callback_may_begin_with_the_oldest_report_that_is_kept(
    made: Callable[..., Place], receiver: CallbackReceiver, another: CallbackReceiver
) -> None:
    place = made("--backlog", "300", "--rate", "0")
    await place.simulator.start()
    await place.start((BILLING, receiver))
    await place.handed_out(300, receiver)
    assert await place.relay.terminate() == 0

    await place.start((BILLING, receiver), (EARLIEST, another))
    await another.until(lambda: len(another.received) >= 300, 30)
    await until(place.relay.drained, 30, place.relay.tail)
    assert Counter(another.message_ids) == dict.fromkeys(receiver.message_ids, 1)
    assert by_id(another.received) == by_id(receiver.received)
    assert len(receiver.received) == 300

    place.relay.kill()
    await place.start((BILLING, receiver), (EARLIEST, another))
    await until(place.relay.drained, 30, place.relay.tail)
    assert len(another.received) == 300  # it is new only once
