"""What is wrong with a configuration, so that a person can mend it at once."""

from collections.abc import Sequence
from typing import NamedTuple

KeyPath = tuple[str | int, ...]


class Problem(NamedTuple):
    """One error: where and what. `message` says what is expected; it never repeats a value."""

    path: KeyPath
    message: str
    line: int | None = None


class ConfigError(Exception):
    """The configuration cannot be used. One line for each problem: file, line, key and cure."""

    def __init__(self, file: str, problems: Sequence[Problem]) -> None:
        self.file = file
        self.problems = tuple(problems)
        super().__init__("\n".join(_line(file, problem) for problem in problems))


def key_path(path: KeyPath) -> str:
    """`sources[0].poll.limit`"""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def _line(file: str, problem: Problem) -> str:
    place = file if problem.line is None else f"{file}:{problem.line}"
    key = key_path(problem.path)
    return f"{place}: {key}: {problem.message}" if key else f"{place}: {problem.message}"
