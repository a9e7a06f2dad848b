"""Tables that lose nothing: no cell is cut or broken, whatever the width of the terminal; without one, a row a line."""

import io
import shutil
import sys
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from rich.cells import cell_len
from rich.console import Console
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from relay.cli.output import visible

GAP = "  "
INDENT = "    "
UNBOUNDED = 1 << 20
"""Columns: wider than any row."""


class Column(NamedTuple):
    """`right`: numbers. The last may be a `note`, a long text: it gets lines of its own where it does not fit."""

    title: str
    right: bool = False
    note: bool = False


Rows = Sequence[Sequence[str]]


def print_table(columns: Sequence[Column], rows: Rows) -> None:
    """As wide as it is, unless somebody looks at it on a terminal that is narrower."""
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    sys.stdout.write("".join(line + "\n" for line in table_lines(columns, rows, width)))


def table_lines(columns: Sequence[Column], rows: Rows, width: int | None) -> Iterator[str]:
    """One line for each row, if it fits; else the notes below their rows; else one line for each cell."""
    shown = [[visible(cell) for cell in row] for row in rows]
    grid = _grid(columns, shown)
    if _fits(grid, width):
        yield from grid
    elif columns[-1].note and _fits(short := _grid(columns[:-1], shown), width):
        yield from _with_notes(short, shown)
    else:
        yield from _blocks(columns, shown)


def _grid(columns: Sequence[Column], rows: Rows) -> list[str]:
    """Titles, a rule and the rows, each a line; cells beyond the columns are left out."""
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, len(GAP), 0, 0))
    for column in columns:
        table.add_column(justify="right" if column.right else "left", no_wrap=True)
    table.add_row(*(column.title for column in columns))
    table.add_row(*(Rule(characters="-", style="") for _ in columns))
    for row in rows:
        table.add_row(*map(Text, row[: len(columns)]))
    written = io.StringIO()
    Console(file=written, width=UNBOUNDED, color_system=None).print(table)
    return [line.rstrip() for line in written.getvalue().splitlines()]


def _fits(lines: Sequence[str], width: int | None) -> bool:
    return width is None or max(map(cell_len, lines)) <= width


def _with_notes(grid: Sequence[str], rows: Rows) -> Iterator[str]:
    title, rule, *lines = grid
    yield from (title, rule)
    for line, row in zip(lines, rows, strict=True):
        yield line
        if row[-1]:
            yield INDENT + row[-1]


def _blocks(columns: Sequence[Column], rows: Rows) -> Iterator[str]:
    """The terminal may still fold a cell that is longer than its line; copied, it is whole."""
    widest = max(cell_len(column.title) for column in columns)
    for at, row in enumerate(rows):
        yield from [""] if at else []
        yield from (f"{column.title:{widest}}{GAP}{cell}" for column, cell in zip(columns, row, strict=True) if cell)
