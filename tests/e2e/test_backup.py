"""A backup that an operator makes while relay runs, put back after the journal is lost."""

import sqlite3
from pathlib import Path

import pytest

from tests.kafka.broker import Cluster
from tests.scene.account import responses
from tests.scene.processes import until
from tests.scene.scene import Scene

pytestmark = [pytest.mark.kafka, pytest.mark.e2e, pytest.mark.timeout(300)]

REPORTS = 600


@pytest.mark.parametrize("statement", ["VACUUM INTO", "backup"])
async def test_nothing_comes_twice_into_kafka_and_callbacks_get_again_what_came_since(
    tmp_path: Path, kafka: Cluster, statement: str
) -> None:
    journal, backup = tmp_path / "relay.db", tmp_path / "backup.db"
    traffic = ["--kind", "sms", "--total", str(REPORTS), "--rate", "150"]
    async with Scene(tmp_path, kafka, f"put-back-{statement[0]}", *traffic, endpoints="[sms]") as scene:
        await until(lambda: len(scene.callbacks.received) > REPORTS // 4, 60, scene.relay.tail)
        _back_up(journal, backup, statement)
        in_backup = _messages(backup)
        await scene.finished(60)
        assert await scene.relay.terminate() == 0
        expected = {event for response in responses(scene.simulator.ledger) for event in response}
        assert scene.callbacks.received == dict.fromkeys(expected, 1)

        for name in ("relay.db", "relay.db-wal", "relay.db-shm", "relay.db.lock", "relay.db.reserve"):
            (tmp_path / name).unlink(missing_ok=True)
        backup.rename(journal)
        await scene.relay.start()
        since = {event for event in expected if event[1] not in in_backup}
        assert since
        await until(lambda: all(scene.callbacks.received[event] == 2 for event in since), 60, scene.relay.tail)
        await scene.finished(60)

        assert await scene.published() == dict.fromkeys(expected, 1)
        assert all(len(ids) == 1 for ids in scene.callbacks.ids_of.values()), "the same webhook-id"
        assert (tmp_path / "relay.db.reserve").exists()


def _back_up(journal: Path, backup: Path, statement: str) -> None:
    source = sqlite3.connect(journal)
    if statement == "backup":
        target = sqlite3.connect(backup)
        source.backup(target)
        target.close()
    else:
        source.execute(f"VACUUM INTO '{backup}'")
    source.close()


def _messages(backup: Path) -> set[str]:
    db = sqlite3.connect(backup)
    found = {message_id for (message_id,) in db.execute("SELECT message_id FROM entries")}
    db.close()
    return found
