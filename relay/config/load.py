"""From a file to a `Config`, or to all that is wrong with it at once."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from relay.config.cures import cure_for
from relay.config.environment import Expansion
from relay.config.error import ConfigError, KeyPath, Problem
from relay.config.later import asked_too_early
from relay.config.model import Config
from relay.config.outline import is_secret, section_at, sections_off_by_default
from relay.config.rules import broken_rules, meant
from relay.config.yaml_file import Document, read_document

NUMBER = "must be a number"
WHOLE = "must be a whole number"
YES_OR_NO = "must be true or false"
LIST = "must be a list"
MAPPING = "must be a mapping of keys"

MESSAGES = {
    "int_type": WHOLE,
    "int_parsing": WHOLE,
    "int_from_float": WHOLE,
    "int_parsing_size": "is too large",
    "float_type": NUMBER,
    "float_parsing": NUMBER,
    "finite_number": NUMBER,
    "bool_type": YES_OR_NO,
    "bool_parsing": YES_OR_NO,
    "string_type": "must be text; put it in quotes",
    "string_too_long": "must have at most {max_length} characters",
    "path_type": "must be the path of a file, as text",
    "tuple_type": LIST,
    "dict_type": MAPPING,
    "model_type": MAPPING,
    "model_attributes_type": MAPPING,
    "too_short": "must not be empty; leave the key out to use its default",
    "literal_error": "must be {expected}",
    "greater_than": "must be more than {gt:.10g}",
    "greater_than_equal": "must be at least {ge:.10g}",
    "less_than_equal": "must be at most {le:.10g}",
}


def load(path: Path, environ: Mapping[str, str]) -> Config:
    """Read, expand, validate. Raises ConfigError, whose text names file, line, key and cure of every problem."""
    document = read_document(path)
    expansion = Expansion(environ, sections_off_by_default(), is_secret=is_secret)
    values = expansion.expand(document.values)
    config, invalid = _validated(values)
    problems = [*expansion.problems, *_not_below(invalid, expansion.problems)]
    if config is not None:
        problems += _not_below([*asked_too_early(config), *broken_rules(config)], expansion.problems)
    if problems or config is None:
        raise ConfigError(str(path), _by_line(problems, document))
    return config


def _validated(values: dict[str, Any]) -> tuple[Config | None, list[Problem]]:
    try:
        return Config.model_validate(values), []
    except ValidationError as error:
        details = error.errors(include_url=False, include_input=False)
    # Outside the except: a chained validation error could show input in a traceback.
    return None, [_problem(detail) for detail in details if not _emptied_by_errors(detail, details)]


def _emptied_by_errors(detail: ErrorDetails, details: list[ErrorDetails]) -> bool:
    """A list is "too short" for pydantic when its items are wrong: those errors say it better."""
    path = detail["loc"]
    return detail["type"] == "too_short" and any(
        other["loc"][: len(path)] == path and other["loc"] != path for other in details
    )


def _problem(detail: ErrorDetails) -> Problem:
    path: KeyPath = tuple(detail["loc"])
    cure = cure_for(path, detail["type"])
    if cure is not None:
        return Problem(path, cure)
    if detail["type"] == "extra_forbidden":
        section = section_at(path[:-1])
        return Problem(path, f"unknown key; {meant(str(path[-1]), section.model_fields if section else ())}")
    if detail["type"] == "missing":
        return Problem(path, f"is required: {_description(path)}")
    template = MESSAGES.get(detail["type"])
    if template is None:
        return Problem(path, detail["msg"])
    return Problem(path, template.format_map(detail.get("ctx", {})))


def _description(path: KeyPath) -> str:
    section = section_at(path[:-1])
    field = section.model_fields.get(str(path[-1])) if section else None
    return str(field.description) if field else "see the reference"


def _not_below(problems: list[Problem], known: list[Problem]) -> Iterator[Problem]:
    """Without those at or below a key that a known problem already explains."""
    for problem in problems:
        if not any(problem.path[: len(other.path)] == other.path for other in known):
            yield problem


def _by_line(problems: list[Problem], document: Document) -> list[Problem]:
    placed = [problem._replace(line=document.line(problem.path)) for problem in problems]
    return sorted(placed, key=lambda problem: problem.line or 0)
