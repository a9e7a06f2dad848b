"""`relay callbacks` on a relay that runs: a callback that is gone, paused by hand, killed meanwhile, and resumed."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from standardwebhooks.webhooks import Webhook

from tests.receivers.callback import Behaviour, CallbackReceiver
from tests.scene.processes import ROOT, RelayProcess, Simulator, until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]

SECRET = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
CONFIGURATION = """
sources:
  - name: acme
    base_url: {simulator}
    auth: {{type: basic, username: simulator, password: simulator}}
    poll: {{interval_seconds: 0.05, max_interval_seconds: 0.2}}
    reconcile: {{enabled: false}}
journal: {{url: "sqlite:///{directory}/relay.db", min_free_bytes: 0}}
callbacks:
  - {{name: billing, url: "{billing}", secrets: ["{secret}"], revisions: true, retry: {{initial_seconds: 0.2}}}}
  - {{name: crm, url: "{crm}", kinds: [sms], rate_per_second: 40, retry: {{initial_seconds: 0.2}}}}
"""
GONE = Behaviour(status=410, body=b"no more of this")


class Place:
    """A relay without Kafka between a simulator and two receivers."""

    def __init__(self, directory: Path, billing: CallbackReceiver, crm: CallbackReceiver) -> None:
        self.billing, self.crm = billing, crm
        self.simulator = Simulator(directory, "--rate", "50", "--seed", "5")
        text = CONFIGURATION.format(
            simulator=self.simulator.url, directory=directory, billing=billing.url, crm=crm.url, secret=SECRET
        )
        self.relay = RelayProcess(directory, text)
        self._token_file = directory / "relay.token"

    def command(self, *arguments: str) -> tuple[int, str]:
        """`relay callbacks …`, as an operator types it."""
        done = subprocess.run(
            [sys.executable, "-m", "relay", "callbacks", *arguments],
            cwd=ROOT,
            env={**os.environ, "COLUMNS": "160"},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        return done.returncode, done.stdout + done.stderr

    async def ask(self, *arguments: str) -> tuple[int, str]:
        where = ("--url", self.relay.url, "--token-file", str(self._token_file))
        return await asyncio.to_thread(self.command, *arguments, *where)

    async def shown(self, name: str) -> dict[str, Any]:
        code, output = await self.ask("list", "--json")
        assert code == 0
        (found,) = [one for one in json.loads(output)["callbacks"] if one["name"] == name]
        return found

    async def until_paused(self, *, paused: bool) -> None:
        await until(
            lambda: self.relay.metric("relay_callback_paused", callback="billing") == paused, 20, self.relay.tail
        )

    async def delivered_more(self, receiver: CallbackReceiver, count: int = 50) -> None:
        before = len(receiver.accepted_ids)
        await receiver.until(lambda: len(receiver.accepted_ids) >= before + count, seconds=30)


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    async with CallbackReceiver() as billing, CallbackReceiver() as crm:
        place = Place(tmp_path, billing, crm)
        try:
            await place.simulator.start()
            await place.relay.start()
            yield place
        finally:
            place.relay.kill()
            place.simulator.kill()


async def test_gone_then_killed_then_tested_then_resumed(place: Place) -> None:
    await place.delivered_more(place.billing)
    place.billing.default = GONE
    await place.until_paused(paused=True)
    shown = await place.shown("billing")
    assert (shown["state"], shown["paused_by"]) == ("paused", "gone")
    assert "410" in json.loads(place.relay.get("/readyz"))["degraded"]["callback/billing"]
    count = place.billing.count

    place.relay.kill()
    await place.relay.start()
    await place.delivered_more(place.crm)
    assert place.billing.count == count
    log = place.relay.log.read_text()
    assert log.count('"callback paused"') == 1
    assert log.count('"callback is still paused"') == 1

    code, output = await place.ask("test", "billing")
    assert code == 1
    assert "HTTP 410" in output
    assert "no more of this" in output
    place.billing.default = Behaviour()
    code, output = await place.ask("test", "billing", "--kind", "voice")
    assert code == 0, output
    sample = place.billing.received[-1]
    assert sample.message_ids[0].startswith("relay-test-")
    assert sample.headers["ce-type"] == "com.infobip.voice.report.v1"
    Webhook(SECRET).verify(sample.body, dict(sample.headers))
    assert place.billing.count == count + 2  # the samples, nothing else

    waiting = (await place.shown("billing"))["backlog"]
    assert waiting > 50
    assert await place.ask("resume", "billing") == (0, "billing: resumed\n")
    await place.until_paused(paused=False)
    await place.delivered_more(place.billing, waiting)
    assert "callback/billing" not in json.loads(place.relay.get("/readyz"))["degraded"]


async def test_paused_by_hand_outlives_a_kill(place: Place) -> None:
    await place.delivered_more(place.billing)
    assert await place.ask("pause", "billing", "--reason", "a new version") == (0, "billing: paused\n")
    place.relay.kill()
    count = place.billing.count
    await place.relay.start()
    await place.delivered_more(place.crm)
    shown = await place.shown("billing")
    assert (shown["state"], shown["paused_by"], shown["reason"]) == ("paused", "hand", "paused by hand: a new version")
    assert place.billing.count == count
    code, output = await place.ask("list")
    assert code == 0
    assert "a new version" in output
    await place.ask("resume", "billing")
    await place.delivered_more(place.billing)
    assert await place.relay.terminate() == 0


async def test_commands_on_what_is_not_there(place: Place) -> None:
    assert await place.ask("pause", "nobody") == (
        2,
        "relay callbacks pause: there is no callback nobody in the configuration\n",
    )
    code, output = await place.ask("test", "crm", "--kind", "voice")
    assert (code, output) == (2, "relay callbacks test: callback crm follows no stream of kind voice\n")
    assert await place.ask("resume", "crm") == (0, "crm: was open\n")
