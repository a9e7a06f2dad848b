"""No cell of a table is cut or broken."""

import pytest

from relay.cli.tables import Column, print_table, table_lines

ID = "0195f0c2-7d1e-7a30-b1c4-9f0d6c1e2a77"
COLUMNS = (Column("id", right=True), Column("messageId"), Column("reason", note=True))
ROWS = [("7", ID, "HTTP 503, and a word or two on top of it"), ("12", "m-1", "")]


def test_where_it_fits_a_row_is_a_line() -> None:
    assert list(table_lines(COLUMNS, ROWS, 84)) == [
        "id  messageId                             reason",
        "--  ------------------------------------  ----------------------------------------",
        f" 7  {ID}  HTTP 503, and a word or two on top of it",
        "12  m-1",
    ]


def test_without_a_terminal_a_row_is_always_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(COLUMNS, [("7", ID, "x" * 5000)])
    assert capsys.readouterr().out.splitlines()[-1] == f" 7  {ID}  {'x' * 5000}"


def test_a_note_that_does_not_fit_gets_a_line_below() -> None:
    assert list(table_lines(COLUMNS, ROWS, 60)) == [
        "id  messageId",
        "--  ------------------------------------",
        f" 7  {ID}",
        "    HTTP 503, and a word or two on top of it",
        "12  m-1",
    ]


def test_where_an_id_would_not_fit_beside_the_others_each_cell_gets_a_line() -> None:
    assert list(table_lines(COLUMNS, ROWS, 39)) == [
        "id         7",
        f"messageId  {ID}",
        "reason     HTTP 503, and a word or two on top of it",
        "",
        "id         12",
        "messageId  m-1",
    ]


def test_wide_characters_and_commands_to_the_terminal() -> None:
    assert list(table_lines((Column("a"), Column("b")), [("漢", "1"), ("\x1b", "[red]2")], None))[2:] == [
        "漢    1",
        "\\x1b  [red]2",
    ]


def test_a_terminal_is_asked_for_its_width(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    print_table(COLUMNS, ROWS)
    assert "    HTTP 503, and a word or two on top of it\n" in capsys.readouterr().out
