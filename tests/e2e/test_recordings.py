"""Recordings of calls through the whole relay: from the simulated API onto the disk and, once each, into Kafka."""

import asyncio
import hashlib
import json
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.kafka.broker import Cluster
from tests.kafka.reader import Read, read_committed
from tests.scene.events import validated
from tests.scene.processes import until
from tests.scene.scene import Scene

pytestmark = [pytest.mark.kafka, pytest.mark.e2e, pytest.mark.timeout(300)]

UNAVAILABLE = '{"what": "status", "kind": "files", "rate": 0.1, "status": 503}'


@pytest.fixture
async def scene(tmp_path: Path, kafka: Cluster) -> AsyncIterator[Scene]:
    traffic = ["--kind", "voice", "--total", "400", "--rate", "100", "--revisions", "0.1", "--fault", UNAVAILABLE]
    async with Scene(
        tmp_path, kafka, "recordings", *traffic, endpoints="[voice]", recordings="{enabled: true}"
    ) as scene:
        yield scene


async def test_every_recording_is_stored_and_announced_once_through_a_kill(
    scene: Scene, tmp_path: Path, kafka: Cluster
) -> None:
    directory = tmp_path / "recordings"
    await until(lambda: scene.relay.metric("relay_recordings_total", outcome="stored") > 30, 60, "nothing is stored")
    scene.relay.kill()
    await scene.relay.start()
    await scene.finished(60)

    reports = await read(kafka, "recordings.voice.reports", "recordings.voice.revisions")
    recorded = {report.key.decode() for report in reports if b'"recordedAudioFileUrl"' in report.value}
    assert len(recorded) > 50
    await until(lambda: len(list(directory.rglob("*.wav"))) == len(recorded), 120, "recordings are missing")

    # A file is in its place before the journal knows of it.
    announced: list[Read] = []
    async with asyncio.timeout(60):
        while len(announced) < len(recorded) or not await asyncio.to_thread(scene.relay.drained):
            announced = await read(kafka, "recordings.voice.recordings")
    assert Counter(record.key.decode() for record in announced) == dict.fromkeys(recorded, 1)
    for record in announced:
        told = json.loads(record.value)
        body = (directory / told["path"]).read_bytes()
        assert (len(body), hashlib.sha256(body).hexdigest()) == (told["bytes"], told["sha256"])
        assert record.headers["ce_type"] == b"com.infobip.voice.recording.v1"
        assert record.headers["ce_id"] == record.key + b"#recording"
    assert not list(directory.rglob(".*"))
    assert scene.callbacks.refused == 0
    assert {event[0] for event in scene.callbacks.received} == {"voice"}
    assert await scene.relay.terminate() == 0


async def read(kafka: Cluster, *topics: str) -> list[Read]:
    return validated(await asyncio.to_thread(read_committed, kafka.bootstrap_servers, *topics))
