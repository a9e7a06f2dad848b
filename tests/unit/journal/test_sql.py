"""Every statement must fit the schema: a typing error in one that is seldom used would show months later."""

from collections.abc import Iterator
from importlib.resources import files

import apsw
import apsw.ext
import pytest

from relay.journal import attempts, deliveries, entries, ids, schema, tallies
from relay.journal.sql import load
from relay.journal.statements import ManyRows

CONCERNS = sorted(
    file.name.removesuffix(".sql")
    for file in files("relay.journal.sql").iterdir()
    if file.name.endswith(".sql") and not file.name.startswith("schema_")
)
FRAGMENTS = {
    ("entries", "append"),
    ("entries", "append_row"),
    ("ids", "index"),
    ("ids", "index_row"),
    ("deliveries", "store"),
    ("deliveries", "store_row"),
    ("deliveries", "hold"),
    ("deliveries", "hold_row"),
    ("deliveries", "attempt"),
    ("deliveries", "attempt_row"),
    ("tallies", "add"),
    ("tallies", "add_row"),
    ("tallies", "add_tail"),
}
"""Parts of statements for many rows."""


@pytest.fixture
def db() -> Iterator[apsw.Connection]:
    connection = apsw.Connection(":memory:")
    schema.migrate(connection)
    yield connection
    connection.close()


@pytest.mark.parametrize(
    ("concern", "name"),
    [(concern, name) for concern in CONCERNS for name in load(concern) if (concern, name) not in FRAGMENTS],
)
def test_a_statement_fits_the_schema(db: apsw.Connection, concern: str, name: str) -> None:
    plan = _explained(db, f"EXPLAIN QUERY PLAN {load(concern)[name]}")
    steps = [step for *_, step in plan]
    scans = [step for step in steps if step.startswith("SCAN") and " USING " not in step]
    small = (
        "wanted",
        "carray",
        "chain",
        "streams",
        "subscriptions",
        "s",
        "CONSTANT",
        "released",
        "(subquery",
        "ids_lap",
        "ids_log",
    )
    assert [step for step in scans if not step.removeprefix("SCAN ").startswith(small)] == []


@pytest.mark.parametrize(
    "many",
    [entries._APPEND, ids._INDEX, deliveries._STORE, deliveries._HOLD, attempts._ATTEMPT, tallies._ADD],
)
@pytest.mark.parametrize("rows", [1, 512])
def test_a_statement_for_many_rows_fits_the_schema_and_stays_prepared(
    db: apsw.Connection, many: ManyRows, rows: int
) -> None:
    text = many._text(rows)
    assert _explained(db, f"EXPLAIN {text}") != []
    assert len(text.encode()) < db.cache_stats()["max_cacheable_bytes"]


def _explained(db: apsw.Connection, statement: str) -> list[tuple[object, ...]]:
    bindings = apsw.ext.query_info(db, statement).bindings_count
    return db.execute(statement, (None,) * bindings, can_cache=False).fetchall()
