"""The statements of the journal, named, one file for each concern."""

import re
from importlib.resources import files

_NAME = re.compile(r"^-- name: (\w+)\n", re.MULTILINE)


def load(concern: str) -> dict[str, str]:
    """The statements of ``{concern}.sql`` by the name that stands above each: ``-- name: append_fetch``."""
    _, *parts = _NAME.split(read(concern))
    return {name: statement.strip().rstrip(";") for name, statement in zip(parts[::2], parts[1::2], strict=True)}


def read(concern: str) -> str:
    return files(__name__).joinpath(f"{concern}.sql").read_text(encoding="utf-8")
