"""Ids wait in memory for their place in the index: whatever is rolled back, swept or killed, all are known."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import hypothesis.strategies as st
import pytest
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from relay.journal import connection, ids, pruning
from relay.journal.ids import HOUR_MS, IdsConnection, Seen
from relay.journal.statements import one
from tests.conformance.journals import SMALL, T0
from tests.unit.journal.memory import directory_in_memory

LAP_IDS = 100
TUNING = SMALL._replace(lap_ids=LAP_IDS)
key_of = ids.keys_of(1)


def seen(seq: int, revision: int = 1) -> Seen:
    return Seen(f"!{revision}:0", revision, seq)


def keep(db: IdsConnection, first: int, count: int, *, revision: int = 1, at_ms: int = T0) -> None:
    with db:
        ids.keep(db, {key_of(f"m-{n}"): seen(n, revision) for n in range(first, first + count)}, at_ms)


def known(db: IdsConnection, count: int) -> dict[int, Seen]:
    found = ids.look_up(db, [key_of(f"m-{n}") for n in range(count)])
    return {n: found[key] for n in range(count) if (key := key_of(f"m-{n}")) in found}


def count(db: IdsConnection, table: str) -> int:
    return int(one(db, f"SELECT count(*) FROM {table}")[0])


def logged(db: IdsConnection) -> int:
    return int(one(db, "SELECT sum(length(keys)) / 16 FROM ids_log")[0])


@pytest.fixture
def path(memory_path: Path) -> Path:
    path = memory_path / "relay.db"
    connection.create(path, TUNING, T0)
    return path


@pytest.fixture
def db(path: Path) -> Iterator[IdsConnection]:
    db = connection.open_writer(path, TUNING)
    yield db
    db.close()


def test_all_are_known_wherever_they_are(db: IdsConnection) -> None:
    for first in range(0, 1000, 10):
        keep(db, first, 10)
    assert known(db, 1001) == {n: seen(n) for n in range(1000)}
    assert 0 < len(db.fresh) < LAP_IDS
    assert len(db.fresh) + count(db, "ids") == 1000


def test_the_log_holds_two_laps_and_what_is_about_to_go(db: IdsConnection) -> None:
    most = 0
    for first in range(0, 1000, 5):
        keep(db, first, 5)
        most = max(most, logged(db))
    assert LAP_IDS < most <= 2 * LAP_IDS + 10


def test_the_newest_wins_in_memory_and_in_the_index(db: IdsConnection) -> None:
    for revision in (1, 2, 3):
        for first in range(0, 300, 10):
            keep(db, first, 10, revision=revision)
        assert known(db, 300) == {n: seen(n, revision) for n in range(300)}


def test_a_batch_larger_than_a_lap_goes_into_the_index_at_once(db: IdsConnection) -> None:
    keep(db, 0, 3 * LAP_IDS)
    assert (count(db, "ids"), len(db.fresh)) == (3 * LAP_IDS, 0)
    keep(db, 300, LAP_IDS)
    keep(db, 400, LAP_IDS)
    assert known(db, 501) == {n: seen(n) for n in range(500)}
    assert logged(db) <= 2 * LAP_IDS


def test_what_is_rolled_back_was_never_there(db: IdsConnection) -> None:
    keep(db, 0, 50)
    db.execute("BEGIN IMMEDIATE")
    ids.keep(db, {key_of(f"m-{n}"): seen(n, 2) for n in range(80)}, T0)
    db.execute("ROLLBACK")
    assert known(db, 80) == {n: seen(n) for n in range(50)}
    keep(db, 50, 500)
    assert known(db, 551) == {n: seen(n) for n in range(550)}


def test_readers_see_the_newest_row_of_the_log_or_the_index(path: Path, db: IdsConnection) -> None:
    reader = connection.open_reader(path, TUNING)
    for first in range(0, 500, 10):
        keep(db, first, 10)
    keep(db, 0, 1, revision=2, at_ms=T0 + HOUR_MS)
    assert ids.newest(reader, key_of("m-0")) == (2, 0, (T0 + HOUR_MS) // HOUR_MS)
    assert ids.newest(reader, key_of("m-100")) == (1, 100, T0 // HOUR_MS)
    assert ids.newest(reader, key_of("m-499")) == (1, 499, T0 // HOUR_MS)
    assert ids.newest(reader, key_of("m-500")) is None
    reader.close()


@pytest.mark.parametrize("kept", [30, 1000])
def test_what_was_swept_does_not_come_back_after_a_restart(path: Path, db: IdsConnection, kept: int) -> None:
    for first in range(0, kept, 10):
        keep(db, first, 10)
    keep(db, kept, 5, at_ms=T0 + 100 * HOUR_MS)
    with db:
        assert pruning.sweep_ids(db, T0 + 100 * HOUR_MS, 50 * HOUR_MS).ids == kept
    assert known(db, kept + 5) == {n: seen(n) for n in range(kept, kept + 5)}
    again = connection.open_writer(path, TUNING)
    assert known(again, kept + 5) == {n: seen(n) for n in range(kept, kept + 5)}
    again.close()


class IdsMachine(RuleBasedStateMachine):
    """Against a dictionary, with kills: a copy of the files as they are, opened anew."""

    @initialize()
    def open(self) -> None:
        self.root = directory_in_memory()
        self.generation = 0
        connection.create(self.root / "0.db", TUNING, T0)
        self.db = connection.open_writer(self.root / "0.db", TUNING)
        self.model: dict[int, Seen] = {}
        self.seq = 0

    @rule(found=st.sets(st.integers(0, 120), min_size=1, max_size=40), committed=st.booleans())
    def keep(self, found: set[int], committed: bool) -> None:
        self.seq += 1
        batch = {n: seen(self.seq, self.seq) for n in found}
        self.db.execute("BEGIN IMMEDIATE")
        ids.keep(self.db, {key_of(f"m-{n}"): one_seen for n, one_seen in batch.items()}, T0)
        self.db.execute("COMMIT" if committed else "ROLLBACK")
        if committed:
            self.model |= batch

    @rule(length=st.sampled_from([1, 20, LAP_IDS, 5000]))
    def kill(self, length: int) -> None:
        before = self.root / f"{self.generation}.db"
        self.generation += 1
        after = self.root / f"{self.generation}.db"
        shutil.copy(before, after)
        shutil.copy(f"{before}-wal", f"{after}-wal")
        self.db.close()
        self.db = connection.open_writer(after, TUNING._replace(lap_ids=length))

    @invariant()
    def all_are_known(self) -> None:
        if hasattr(self, "db"):
            assert known(self.db, 121) == self.model

    def teardown(self) -> None:
        if hasattr(self, "db"):
            self.db.close()
            shutil.rmtree(self.root)


TestIdsMachine = IdsMachine.TestCase
TestIdsMachine.settings = settings(max_examples=20, stateful_step_count=30)
