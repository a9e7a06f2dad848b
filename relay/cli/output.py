"""What goes to the terminal: answers to standard output, complaints to standard error."""

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
    sys.stdout.write(orjson.dumps(value, option=orjson.OPT_INDENT_2).decode() + "\n")
