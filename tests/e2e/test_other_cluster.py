"""`relay cursor` on a relay that runs: its brokers are replaced by another cluster's, and an operator has it go on."""

import asyncio
import json
import os
import subprocess
import sys
import urllib.request
from collections import Counter
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from tests.kafka.broker import Cluster
from tests.kafka.reader import count_keys, read_committed
from tests.scene.processes import ROOT, until
from tests.scene.scene import Scene

pytestmark = [pytest.mark.kafka, pytest.mark.e2e, pytest.mark.timeout(300)]

KINDS = ("sms", "voice")
STREAMS = ("acme/sms", "acme/voice")
DELIVERED = {"status": {"groupId": 3, "id": 5}, "error": {"groupId": 0, "id": 0}}


class Operator:
    """Types `relay cursor …`."""

    def __init__(self, scene: Scene, directory: Path) -> None:
        self._where = ("--url", scene.relay.url, "--token-file", str(directory / "relay.token"))

    async def types(self, *arguments: str) -> tuple[int, str]:
        """Exit code, and what is told."""
        done = await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-m", "relay", "cursor", *arguments, *self._where],
            cwd=ROOT,
            env=dict(os.environ),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        return done.returncode, done.stdout + done.stderr

    async def sees(self) -> list[dict[str, Any]]:
        """How each stream stands."""
        code, output = await self.types("list", "--json")
        assert code == 0, output
        cursors: list[dict[str, Any]] = json.loads(output)["cursors"]
        return cursors


@pytest.fixture
async def first(new_kafka: Callable[..., Cluster]) -> Cluster:
    return await asyncio.to_thread(new_kafka)


@pytest.fixture
async def scene(tmp_path: Path, first: Cluster) -> AsyncIterator[Scene]:
    async with Scene(tmp_path, first, "moved", "--rate", "0") as scene:
        yield scene


async def test_brokers_of_another_cluster_get_what_the_former_had_not(
    scene: Scene, first: Cluster, tmp_path: Path
) -> None:
    operator = Operator(scene, tmp_path)
    await come(scene, 1, 200)
    await scene.finished(60)
    code, told = await operator.types("set", *STREAMS, "--after", "earliest")
    assert (code, told) == (2, "relay cursor set: acme/sms is being published: there is nothing to decide\n")

    await asyncio.to_thread(first.stop)
    second = first.another_in_its_place(tmp_path / "second")
    try:
        await come(scene, 201, 300)
        await asyncio.to_thread(second.start)
        await until(lambda: scene.relay.get("/readyz").count("belong to cluster") == 2, 90, scene.relay.tail)
        await come(scene, 301, 400)
        assert {(one["position"], one["cluster_id"]) for one in await operator.sees()} == {(200, first.cluster_id)}

        code, told = await operator.types("set", *STREAMS, "--after", "kept")
        assert code == 0, told
        assert told.startswith("acme/sms: begins after 200 within half a minute, ")
        await come(scene, 401, 500)
        await scene.finished(90)

        shown = await operator.sees()
        assert {(one["position"], one["cluster_id"], one["degraded"]) for one in shown} == {
            (500, second.cluster_id, None)
        }
        assert await scene.relay.terminate() == 0
        assert await published(second) == once(201, 500)
    finally:
        await asyncio.to_thread(second.kill)
    await asyncio.to_thread(first.start_brokers)
    assert await published(first) == once(1, 200)


async def come(scene: Scene, first: int, last: int) -> None:
    """Reports of both kinds wait in the API."""
    for kind in KINDS:
        reports = [{"messageId": f"{kind}-{number}", **DELIVERED} for number in range(first, last + 1)]
        body = json.dumps({"kind": kind, "reports": reports}).encode()
        request = urllib.request.Request(f"{scene.simulator.url}/simulator/reports", body)
        with await asyncio.to_thread(urllib.request.urlopen, request, timeout=10) as answer:
            assert answer.status == 200


async def published(cluster: Cluster) -> Counter[str]:
    topics = [f"moved.{kind}.{what}" for kind in KINDS for what in ("reports", "revisions")]
    return count_keys(await asyncio.to_thread(read_committed, cluster.bootstrap_servers, *topics))


def once(first: int, last: int) -> dict[str, int]:
    return {f"{kind}-{number}": 1 for kind in KINDS for number in range(first, last + 1)}
