"""The models as a tree of sections: for messages, the schema and the reference."""

from collections.abc import Iterator
from functools import cache
from types import UnionType
from typing import Annotated, Any, NamedTuple, Union, get_args, get_origin

from pydantic.fields import FieldInfo

from relay.config.error import KeyPath
from relay.config.fields import Section
from relay.config.model import Config
from relay.config.secret import Secret


class Key(NamedTuple):
    """One key with the path of its section, without indexes: `sources.poll`, `limit`."""

    section: str
    name: str
    field: FieldInfo

    @property
    def path(self) -> str:
        return f"{self.section}.{self.name}" if self.section else self.name


def keys(section: type[Section] = Config, path: str = "") -> Iterator[Key]:
    """Every key of the configuration, a section's own before those of the sections in it."""
    for name, field in section.model_fields.items():
        yield Key(path, name, field)
    for name, field in section.model_fields.items():
        inner = section_of(field.annotation)
        if inner is not None:
            yield from keys(inner, f"{path}.{name}" if path else name)


def section_at(path: KeyPath) -> type[Section] | None:
    """The section that a key path with indexes leads to."""
    section: type[Section] | None = Config
    for part in path:
        if isinstance(part, int) or section is None:
            continue
        field = section.model_fields.get(part)
        section = section_of(field.annotation) if field else None
    return section


def section_of(annotation: Any) -> type[Section] | None:
    """The section that a field holds: itself, several of it, or perhaps none."""
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return annotation
    if get_origin(annotation) in (Annotated, Union, UnionType, tuple):
        for part in get_args(annotation):
            section = section_of(part)
            if section is not None:
                return section
    return None


def is_secret(path: KeyPath) -> bool:
    """Whether a key path with indexes leads to a secret; the `file` of one is none."""
    section: type[Section] | None = Config
    for part in path:
        if isinstance(part, int) or section is None:
            continue
        field = section.model_fields.get(part)
        if field is not None and _mentions(field.annotation, Secret):
            return path[-1] != "file"
        section = section_of(field.annotation) if field else None
    return False


def _mentions(annotation: Any, wanted: type) -> bool:
    return annotation is wanted or any(_mentions(part, wanted) for part in get_args(annotation))


@cache
def sections_off_by_default() -> frozenset[str]:
    """Names of the sections that are disabled unless they say `enabled: true`."""
    return frozenset(
        key.section.rpartition(".")[2] for key in keys() if key.name == "enabled" and key.field.default is False
    )
