"""Tables that lose nothing: no cell is cut or broken, whatever the width of the terminal; without one, a row a line."""

import shutil
import sys
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from rich.cells import cell_len

from relay.cli.output import visible

GAP = "  "
INDENT = "    "


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
    if width is None or _width(columns, shown) <= width:
        yield from _grid(columns, shown)
    elif columns[-1].note and _width(columns[:-1], shown) <= width:
        yield from _grid_with_notes(columns[:-1], shown)
    else:
        yield from _blocks(columns, shown)


def _grid(columns: Sequence[Column], rows: Rows) -> Iterator[str]:
    widths = _widths(columns, rows)
    yield _line(columns, [column.title for column in columns], widths)
    yield GAP.join("-" * width for width in widths)
    yield from (_line(columns, row, widths) for row in rows)


def _grid_with_notes(columns: Sequence[Column], rows: Rows) -> Iterator[str]:
    header, rule, *lines = _grid(columns, rows)
    yield from (header, rule)
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


def _line(columns: Sequence[Column], cells: Sequence[str], widths: Sequence[int]) -> str:
    padded = (_padded(cell, width, column) for column, cell, width in zip(columns, cells, widths, strict=False))
    return GAP.join(padded).rstrip()


def _padded(cell: str, width: int, column: Column) -> str:
    spaces = " " * (width - cell_len(cell))
    return spaces + cell if column.right else cell + spaces


def _width(columns: Sequence[Column], rows: Rows) -> int:
    return sum(_widths(columns, rows)) + len(GAP) * (len(columns) - 1)


def _widths(columns: Sequence[Column], rows: Rows) -> list[int]:
    return [
        max(cell_len(column.title), *(cell_len(row[at]) for row in rows)) if rows else cell_len(column.title)
        for at, column in enumerate(columns)
    ]
