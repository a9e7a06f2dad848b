"""What goes to the terminal: answers to standard output, complaints to standard error."""

import re
import sys
from typing import Any

import orjson

DONE, FAILED, WRONG = 0, 1, 2
"""Exit codes; WRONG is wrong use or configuration."""


def complain(message: str, code: int = FAILED) -> int:
    """Say what is wrong; the exit code."""
    sys.stderr.write(f"{message}\n")
    return code


def print_json(value: Any) -> None:
    """What a program reads and a terminal may show: nothing in it can command the terminal."""
    text = orjson.dumps(value, option=orjson.OPT_INDENT_2).decode()
    sys.stdout.write(_BEYOND_ASCII.sub(_json_escaped, text) + "\n")


def visible(text: str, *, keep: str = "") -> str:
    """`text` with every character that is no mark on the screen (control, direction, surrogate) as its escape."""
    return "".join(
        c if c.isprintable() or c in keep else c.encode("unicode_escape", "backslashreplace").decode() for c in text
    )


_BEYOND_ASCII = re.compile(r"[^\n\x20-\x7e]")


def _json_escaped(match: re.Match[str]) -> str:
    if match[0].isprintable():
        return match[0]
    units = match[0].encode("utf-16-be")
    return "".join(f"\\u{units[at]:02x}{units[at + 1]:02x}" for at in range(0, len(units), 2))
