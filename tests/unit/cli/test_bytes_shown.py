"""Bytes from anywhere, as lines that cannot do anything."""

import pytest

from relay.cli.bytes_shown import shown_bytes


@pytest.mark.parametrize(
    ("raw", "lines"),
    [
        (b"", ["| "]),
        (b'{"messageId":""}', ['| {"messageId":""}']),
        ("grüß\tdich\r\nzwei [bold]".encode(), ["| grüß\\tdich\\r", "| zwei [bold]"]),
        (b"a long enough text with one \x1b[2J in it", ["| a long enough text with one \\x1b[2J in it"]),
        ("cut ü".encode()[:-1], ["| cut "]),
        (b"\x1b\x07\x00ab", ["00000000  1b 07 00 61 62                                   |...ab|"]),
        (
            b"no \xff text at all",
            [
                "00000000  6e 6f 20 ff 20 74 65 78 74 20 61 74 20 61 6c 6c  |no . text at all|",
            ],
        ),
        (
            bytes(range(0x70, 0x82)),
            [
                "00000000  70 71 72 73 74 75 76 77 78 79 7a 7b 7c 7d 7e 7f  |pqrstuvwxyz{|}~.|",
                "00000010  80 81                                            |..|",
            ],
        ),
    ],
)
def test_as_text_or_as_numbers(raw: bytes, lines: list[str]) -> None:
    assert shown_bytes(raw) == lines


def test_as_numbers_if_asked_for() -> None:
    assert shown_bytes(b"ab", as_hex=True) == ["00000000  61 62                                            |ab|"]


def test_long_lines_are_broken() -> None:
    assert [len(line) for line in shown_bytes(b"x" * 9000)] == [4002, 4002, 1002]
