"""Many rows in one statement: for every step that SQLite's caller makes it must win the interpreter lock back."""

from collections.abc import Sequence
from functools import cache
from typing import Any

import apsw

Row = tuple[Any, ...]

_MOST_ROWS = 512
"""In one statement; a longer one would not be kept prepared (16 KiB of text)."""


def one(db: apsw.Connection, statement: str, bindings: Sequence[Any] = ()) -> Row:
    """The one row that the statement always answers with."""
    row: Row | None = db.execute(statement, bindings).fetchone()
    if row is None:
        raise apsw.InternalError(f"no row from: {statement}")
    return row


class ManyRows:
    """``{head} VALUES (…), (…) {tail}`` for any number of rows, in statements of 512, 256, … 1 rows that stay prepared.

    `row` is one row's text: ``?1``, ``?2`` … are bindings that all rows share, ``{n}`` the row's number in the
    statement, each bare ``?`` a binding of its own. With `counted`, ``?1`` grows by the rows that went before.
    """

    def __init__(self, head: str, row: str, tail: str = "", *, counted: bool = False) -> None:
        self._head = head
        self._row = row
        self._tail = tail
        self._counted = counted
        self._width = row.count("?,") + row.count("?)")
        self._text = cache(self._write)

    def execute(self, db: apsw.Connection, shared: tuple[Any, ...], values: Sequence[Any]) -> None:
        """`values` are the rows' own bindings, one row after the other."""
        start, width = 0, self._width
        while rows_left := (len(values) - start) // width:
            rows = min(_MOST_ROWS, 1 << (rows_left.bit_length() - 1))
            end = start + rows * width
            db.execute(self._text(rows), (*shared, *values[start:end]))
            if self._counted:
                shared = (shared[0] + rows, *shared[1:])
            start = end

    def _write(self, rows: int) -> str:
        lines = ",".join(self._row.replace("{n}", str(n)) for n in range(rows))
        return f"{self._head} VALUES {lines} {self._tail}"
