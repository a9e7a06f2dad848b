"""A value that must not be shown: no text form of it, no error and no log line reveals it."""

from pathlib import Path
from typing import Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from relay.config.stamp import Stamp, read_stamp

CONFIGURED = "configured"


class SecretUnreadable(Exception):
    """A secret's file cannot be read or is empty, and no earlier value is known. Names the file, never content."""


class Secret:
    """A text given in place, or kept in a file that is read again when it changed."""

    __slots__ = ("_file", "_stamp", "_value", "unread")

    def __init__(self, value: str | None = None, *, file: Path | None = None) -> None:
        if (value is None) == (file is None):
            raise ValueError("a secret is either a value or a file")
        self._value = value
        self._file = file
        self._stamp: Stamp | None = None
        self.unread = ""
        """Why the file could not be read when it was looked at last, though an earlier value is in use."""

    @property
    def file(self) -> Path | None:
        return self._file

    def reveal(self) -> str:
        """The value as of now. A file that is gone or empty for a moment (rotation) leaves the last value in use."""
        if self._file is not None:
            self._refresh(self._file)
        assert self._value is not None  # noqa: S101 - the constructor or _refresh gave it
        return self._value

    def become(self, other: "Secret") -> None:
        """From now on whoever holds this one reveals the other's value."""
        self._value, self._file, self._stamp = other._value, other._file, other._stamp  # noqa: SLF001 - alike
        self.unread = other.unread

    def _refresh(self, file: Path) -> None:
        try:
            stamp = read_stamp(file)
            if stamp == self._stamp:
                self.unread = ""
                return
            value = file.read_text(encoding="utf-8").rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            self._not_read(f"cannot read {file}: {_reason(error)}")
            return
        if value:
            self._value, self._stamp, self.unread = value, stamp, ""
        else:
            self._not_read(f"{file} is empty")

    def _not_read(self, reason: str) -> None:
        if self._value is None:
            raise SecretUnreadable(reason) from None
        self.unread = reason

    def __repr__(self) -> str:
        return f"Secret({CONFIGURED})"

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return self._file == other._file and (self._file is not None or self._value == other._value)

    def __hash__(self) -> int:
        return hash(self._file or self._value)

    def __reduce__(self) -> tuple[Any, ...]:
        raise TypeError("a secret is not pickled")

    def __copy__(self) -> "Secret":
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> "Secret":
        return self

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        del source, handler
        shown = core_schema.plain_serializer_function_ser_schema(lambda _: CONFIGURED)
        return core_schema.no_info_plain_validator_function(_parse, serialization=shown)

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        del schema, handler
        in_file = {
            "type": "object",
            "properties": {"file": {"type": "string", "minLength": 1}},
            "required": ["file"],
            "additionalProperties": False,
        }
        return {"anyOf": [{"type": "string", "minLength": 1}, in_file]}


def _parse(given: object) -> Secret:
    if isinstance(given, Secret):
        return given
    if isinstance(given, str):
        if not given:
            raise PydanticCustomError("secret_empty", "is empty; give a value, ${NAME} or {file: path}")
        return Secret(given)
    if isinstance(given, dict) and set(given) == {"file"} and isinstance(given["file"], str | Path) and given["file"]:
        return Secret(file=Path(given["file"]))
    if given is None:
        raise PydanticCustomError("secret_empty", "is empty; give a value, ${NAME} or {file: path}")
    raise PydanticCustomError("secret_type", "must be text (quote it) or {file: path}")


def _reason(error: OSError | UnicodeDecodeError) -> str:
    return error.strerror or type(error).__name__ if isinstance(error, OSError) else "it is not UTF-8 text"
