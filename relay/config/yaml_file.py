"""A YAML file as plain values, and the line of every key."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.constructor import DuplicateKeyError
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from relay.config.error import ConfigError, KeyPath, Problem


class Document(NamedTuple):
    """The top-level mapping, made of dict, list and scalars, and lines (from 1) by key path."""

    values: dict[str, Any]
    lines: dict[KeyPath, int]

    def line(self, path: KeyPath) -> int:
        """Of the key, or of the nearest one above it that the file has."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)


def read_document(file: Path) -> Document:
    """Raises ConfigError if the file cannot be read or is not a YAML mapping."""
    loaded = _parse(file)
    if not isinstance(loaded, CommentedMap):
        what = "is empty" if loaded is None else "must be a mapping of keys"
        raise ConfigError(str(file), [Problem((), f"{what}; begin with sources: and journal:", 1)])
    lines: dict[KeyPath, int] = {}
    return Document(dict(_entries(loaded, (), lines)), lines)


def _parse(file: Path) -> Any:
    try:
        return YAML(typ="rt", pure=True).load(file.read_text(encoding="utf-8"))
    except OSError as error:
        problem = Problem((), f"cannot be read: {error.strerror}; give the right file with --config")
    except UnicodeDecodeError:
        problem = Problem((), "is not UTF-8 text; save it as UTF-8")
    except MarkedYAMLError as error:
        problem = _syntax_problem(error)
    except YAMLError as error:
        problem = Problem((), f"is not YAML ({type(error).__name__}); control characters must be escaped in quotes")
    # Raised out here: a YAML error, chained, would show lines of the file.
    raise ConfigError(str(file), [problem])


def _syntax_problem(error: MarkedYAMLError) -> Problem:
    mark = error.problem_mark or error.context_mark
    line = mark.line + 1 if mark else None
    text = str(error.problem or error.context)
    if isinstance(error, DuplicateKeyError):
        text = text.partition(" with value")[0] + "; keep one of them"  # the rest shows both values
    else:
        text += "; check indentation and quotes"
    return Problem((), f"is not valid YAML: {text}", line)


def _entries(mapping: CommentedMap, path: KeyPath, lines: dict[KeyPath, int]) -> Iterator[tuple[str, Any]]:
    for key, value in mapping.items():
        name = str(key)
        below = (*path, name)
        position = mapping.lc.data.get(key) if mapping.lc.data else None
        if position is not None:
            lines[below] = position[0] + 1
        yield name, _plain(value, below, lines)


def _plain(value: Any, path: KeyPath, lines: dict[KeyPath, int]) -> Any:
    if isinstance(value, CommentedMap):
        return dict(_entries(value, path, lines))
    if isinstance(value, CommentedSeq):
        for index in range(len(value)):
            lines[*path, index] = value.lc.item(index)[0] + 1
        return [_plain(item, (*path, index), lines) for index, item in enumerate(value)]
    return _scalar(value)


def _scalar(value: Any) -> Any:
    for kind in (bool, int, float, str):
        if isinstance(value, kind):
            return kind(value)
    return value
