"""What reaches a terminal cannot command it."""

import json

import pytest

from relay.cli.output import print_json, visible
from relay.domain.sizes import size


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain [bold]ü 漢[/bold]", "plain [bold]ü 漢[/bold]"),
        ("\x1b[31mred\x07", "\\x1b[31mred\\x07"),
        ("a\r\nb\tc", "a\\r\\nb\\tc"),
        ("\x9b2J\x7f", "\\x9b2J\\x7f"),
        ("\u202eabc\u2066", "\\u202eabc\\u2066"),
        ("\ud800", "\\ud800"),
    ],
)
def test_what_is_no_mark_is_escaped(text: str, shown: str) -> None:
    assert visible(text) == shown


def test_lines_may_be_kept() -> None:
    assert visible("a\nb\x1b", keep="\n") == "a\nb\\x1b"


def test_json_is_escaped_and_means_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    value = {"reason": "ü \x1b[2J \x9b \x7f \u202e \U000e0001", "list": [1]}
    print_json(value)
    printed = capsys.readouterr().out
    assert json.loads(printed) == value
    assert "\\u001b[2J \\u009b \\u007f \\u202e \\udb40\\udc01" in printed
    assert "ü" in printed


@pytest.mark.parametrize(
    ("count", "told"),
    [
        (0, "0 bytes"),
        (8192, "8,192 bytes"),
        (1_048_575, "1,048,575 bytes"),
        (1_048_576, "1.0 MiB"),
        (40_000_000_000, "37.3 GiB"),
        (3_300_000_000_000, "3.0 TiB"),
    ],
)
def test_sizes_are_legible(count: int, told: str) -> None:
    assert size(count) == told
