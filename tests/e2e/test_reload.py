"""Callbacks that come, go and change while reports flow: what the file says is done, and nothing is lost by it."""

import json
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.kafka.broker import Cluster
from tests.receivers.callback import Behaviour, CallbackReceiver
from tests.scene.account import SignedCallbacks, responses
from tests.scene.processes import ROOT, environment_number, until
from tests.scene.scene import SECRET, Scene

pytestmark = [pytest.mark.kafka, pytest.mark.e2e, pytest.mark.timeout(300)]

RATE = 150
SECONDS = environment_number("RELAY_E2E_RELOAD_SECONDS", 45)
"""Reports of each kind in a second, and for how long: until all was changed."""

NEW_SECRET = "whsec_bmV3IHNlY3JldCBvZiB0d2VudHktZm91cg=="
AUDIT_SECRET = "whsec_YXVkaXQgc2VjcmV0IG9mIHR3ZW50eSBmb3VyIQ=="
AUDIT = f"""\
  - name: audit
    url: "{{url}}"
    secrets: ["{AUDIT_SECRET}"]
    revisions: true
    start: earliest
"""


class Receiver:
    """Counts what is signed with one of its secrets, for each of them."""

    def __init__(self, *secrets: str) -> None:
        self.server = CallbackReceiver(keep=False)
        self.server.rule = self._answer
        self.callbacks = [SignedCallbacks(secret) for secret in secrets]

    @property
    def count(self) -> int:
        return sum(callbacks.received.total() for callbacks in self.callbacks)

    def _answer(self, headers: Mapping[str, str], body: bytes) -> Behaviour:
        accepted = [callbacks.accepts(dict(headers), body) for callbacks in self.callbacks]
        return Behaviour(status=200 if any(accepted) else 401)


@pytest.fixture
async def scene(tmp_path: Path, kafka: Cluster) -> AsyncIterator[Scene]:
    traffic = ["--total", str(RATE * SECONDS), "--rate", str(RATE), "--duplicates", "0.02", "--revisions", "0.02"]
    async with Scene(tmp_path, kafka, "reload", *traffic) as scene:
        yield scene


@pytest.fixture
async def audit() -> AsyncIterator[Receiver]:
    receiver = Receiver(AUDIT_SECRET)
    async with receiver.server:
        yield receiver


@pytest.fixture
async def moved() -> AsyncIterator[Receiver]:
    receiver = Receiver(SECRET, NEW_SECRET)
    async with receiver.server:
        yield receiver


async def test_callbacks_come_go_and_change_while_reports_flow(
    scene: Scene, audit: Receiver, moved: Receiver, tmp_path: Path
) -> None:
    file = tmp_path / "relay.yaml"
    billing, http = file.read_text().split("\nhttp:")
    entry = AUDIT.format(url=audit.server.url)
    assert "relay_config_last_reload_successful 1.0" in scene.relay.get("/metrics")
    await until(lambda: scene.receiver.count > 100, 30, "nothing is called back")

    # Added, and seen without a signal: it gets what came before, too.
    with_audit = f"{billing}{entry}\nhttp:{http}"
    replace(file, with_audit)
    await until(lambda: audit.count > 100, 30, scene.relay.tail)
    assert reloads(scene)[-1]["added"] == ["audit"]

    # Changed: another place, another secret.
    changed = with_audit.replace(scene.receiver.url, moved.server.url).replace(SECRET, NEW_SECRET)
    assert changed.count(NEW_SECRET) == changed.count(moved.server.url) == 1
    replace(file, changed)
    scene.relay.signal(signal.SIGHUP)
    await until(lambda: moved.count > 100, 30, scene.relay.tail)
    assert reloads(scene)[-1]["changed"] == ["billing"]
    at_the_old_place = scene.receiver.count

    # A file that cannot be used: refused as `relay check` refuses it, told once, and everything goes on.
    replace(file, changed.replace("retry: {initial_seconds: 0.2}", "retries: {initial_seconds: 0.2}"))
    await until(lambda: "relay_config_last_reload_successful 0.0" in scene.relay.get("/metrics"), 30, scene.relay.tail)
    (refused,) = told(scene, "configuration refused, the one before stays in use")
    assert refused["error"] == checked(file)
    assert "retries: unknown key" in json.loads(scene.relay.get("/readyz"))["degraded"]["configuration"]
    before = moved.count
    await until(lambda: moved.count > before + 100, 30, "a file that is refused stops callbacks")

    # Removed: its metrics end, its attempts too, the others go on. What else changed waits for a restart.
    replace(file, changed.replace(entry, "").replace("limit: 1000", "limit: 999"))
    await until(lambda: 'callback="audit"' not in scene.relay.get("/metrics"), 30, scene.relay.tail)
    assert reloads(scene)[-1]["removed"] == ["audit"]
    assert told(scene, "configuration needs a restart for what else changed")[-1]["keys"] == ["sources[0].poll.limit"]
    assert "sources[0].poll.limit" in json.loads(scene.relay.get("/readyz"))["degraded"]["configuration"]
    gone, before = audit.count, moved.count
    await until(lambda: moved.count > before + 100, 30, "the other callback stops")
    assert audit.count == gone

    # Put back: it goes on where it was.
    assert not scene.simulator.drained(), "all was over before all was tried"
    replace(file, changed)
    scene.relay.signal(signal.SIGHUP)
    await scene.finished(120)
    assert "configuration" not in json.loads(scene.relay.get("/readyz"))["degraded"]
    assert scene.relay.metric("relay_dead_letters") == 0
    assert scene.relay.metric("relay_gaps_open") == 0
    assert await scene.relay.terminate() == 0

    expected = {event for response in responses(scene.simulator.ledger) for event in response}
    assert await scene.published() == dict.fromkeys(expected, 1)
    (audited,) = audit.callbacks
    assert audited.received == dict.fromkeys(expected, 1)
    by_old_secret, by_new_secret = (callbacks.received for callbacks in moved.callbacks)
    assert not by_old_secret
    assert scene.callbacks.received + by_new_secret == dict.fromkeys(expected, 1)
    assert scene.receiver.count == at_the_old_place


def replace(file: Path, text: str) -> None:
    """As an editor, or Kubernetes, does it: another file in its place, at once."""
    other = file.with_suffix(".new")
    other.write_text(text)
    other.rename(file)


def told(scene: Scene, event: str) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in scene.relay.log.read_text().splitlines()]
    return [line for line in lines if line["event"] == event]


def reloads(scene: Scene) -> list[dict[str, Any]]:
    return told(scene, "configuration reloaded")


def checked(file: Path) -> str:
    """What `relay check` says of it."""
    command = [sys.executable, "-m", "relay", "check", "-c", str(file)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    return done.stderr.strip()
