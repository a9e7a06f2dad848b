"""What is written about the configuration elsewhere, made from the models: schemas for editors and helm, the README."""

import json
from enum import Enum
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from relay.config.fields import Section
from relay.config.later import LATER
from relay.config.model import Config
from relay.config.outline import Key, keys, section_of

BEGIN = "<!-- configuration reference: begin (made by `python -m relay.config reference`) -->"
END = "<!-- configuration reference: end -->"

EXPANDED = {"type": "string", "pattern": r"\$\{[A-Za-z_]"}
"""What an editor must let pass where a number stands: it comes from the environment."""


def json_schema() -> str:
    """The JSON Schema (2020-12) of the file as people write it, references to the environment included."""
    schema = Config.model_json_schema()
    about = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "relay configuration"}
    return json.dumps(_references_allowed({**about, **schema, "title": about["title"]}), indent=2) + "\n"


def _references_allowed(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_references_allowed(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    inner = {key: _references_allowed(value) for key, value in schema.items()}
    if not ("enum" in schema or "pattern" in schema or schema.get("type") in ("integer", "number", "boolean")):
        return inner
    outside = {key: inner.pop(key) for key in ("description", "default", "title") if key in inner}
    return {"anyOf": [inner, EXPANDED], **outside}


def chart_schema(text: str) -> str:
    """`text` (values.schema.json of the chart) with the keys under `config` made anew.

    Keys alone, not their values: those relay checks, once references to the environment are expanded.
    """
    schema = json.loads(text)
    schema["properties"]["config"]["allOf"] = [_only_keys(Config)]
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def _only_keys(section: type[Section]) -> dict[str, Any]:
    """Says nothing about what is no mapping."""
    properties: dict[str, Any] = {}
    for name, field in section.model_fields.items():
        inner = section_of(field.annotation)
        known = _only_keys(inner) if inner is not None else {}
        properties[name] = {"items": known} if known and _is_list(field) else known
    return {"additionalProperties": False, "properties": properties}


def _is_list(field: FieldInfo) -> bool:
    return "tuple" in repr(field.annotation)


def markdown() -> str:
    """One table for each section, every key in it."""
    tables: dict[str, list[Key]] = {}
    for key in keys():
        tables.setdefault(key.section, []).append(key)
    printed: dict[int, str] = {}
    texts = []
    for section, rows in tables.items():
        same = printed.setdefault(id(rows[0].field), section)
        texts.append(_table(section, rows) if same == section else f"#### `{section}`\n\nAs `{same}`.")
    return "\n\n".join(texts) + "\n"


def documented(text: str) -> str:
    """`text` (a README) with the part between the markers made anew. Raises ValueError if it has no markers."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the text has no lines {BEGIN} and {END}")
    return f"{before}{BEGIN}\n\n{markdown()}\n{END}{after}"


def _table(section: str, rows: list[Key]) -> str:
    lines = [
        f"#### `{section}`" if section else "#### Top level",
        "",
        "| key | value | default | |",
        "| --- | --- | --- | --- |",
    ]
    lines += [f"| `{key.name}` | {_kind(key)} | {_default(key)} | {_description(key)} |" for key in rows]
    return "\n".join(lines)


def _kind(key: Key) -> str:
    section = section_of(key.field.annotation)
    if section is not None:
        return "list" if _is_list(key.field) else "mapping"
    return " or ".join(dict.fromkeys(_words(key.field.annotation)))


def _words(annotation: Any) -> list[str]:
    origin = get_origin(annotation)
    if origin is Literal:
        return [" ".join(f"`{value}`" for value in get_args(annotation))]
    if origin in (Union, UnionType):
        return [word for part in get_args(annotation) if part is not type(None) for word in _words(part)]
    if origin is tuple:
        return ["list"]
    if origin is dict:
        return ["mapping"]
    if origin is not None:
        return _words(get_args(annotation)[0])
    names = {int: "whole number", float: "number", bool: "`true` `false`", str: "text", Path: "path"}
    return [names.get(annotation, "secret")]


def _default(key: Key) -> str:
    default = key.field.default
    if key.field.is_required():
        return "required"
    if default is PydanticUndefined or default is None or section_of(key.field.annotation) is not None:
        return ""
    if isinstance(default, bool):
        return f"`{str(default).lower()}`"
    if isinstance(default, float):
        return f"`{default:.10g}`"
    if isinstance(default, tuple):
        return f"`{list(default)}`"
    return f"`{default.value if isinstance(default, Enum) else default}`"


def _description(key: Key) -> str:
    text = str(key.field.description)
    later = next((row for row in LATER if row.key == key.path), None)
    return text if later is None else f"{text} ({later.what}: not yet available)"
