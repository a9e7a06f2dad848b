"""`${NAME}` and `${NAME:-default}` in the scalars of a document; `$${` stands for a plain `${`."""

import re
from collections.abc import Callable, Collection, Mapping
from typing import Any

from relay.config.error import KeyPath, Problem

REFERENCE = re.compile(r"\$(?P<escaped>\$\{)|\$\{(?P<inside>[^}]*)(?P<end>\}?)")
INSIDE = re.compile(r"(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?::-(?P<default>.*))?", re.DOTALL)


class _Unset(Exception):
    """Carries what to say about a reference that has no value: for most keys, and for secrets."""

    def __init__(self, plain: str, secret: str) -> None:
        super().__init__(plain)
        self.plain = plain
        self.secret = secret


class Expansion:
    """Replaces references by the environment's values and collects what is missing.

    A scalar that comes out empty is null, so `"${TOKEN:-}"` means: none. In a disabled section a missing variable is
    null too. `off_by_default` names the sections that are disabled unless they say `enabled: true`; for what
    `is_secret` nobody is told to write a default into the file.
    """

    def __init__(
        self, environ: Mapping[str, str], off_by_default: Collection[str], *, is_secret: Callable[[KeyPath], bool]
    ) -> None:
        self._environ = environ
        self._off_by_default = off_by_default
        self._is_secret = is_secret
        self.problems: list[Problem] = []

    def expand(self, value: Any, path: KeyPath = (), *, required: bool = True) -> Any:
        if isinstance(value, dict):
            required = required and not self._disabled(value, path)
            return {key: self.expand(item, (*path, key), required=required) for key, item in value.items()}
        if isinstance(value, list):
            return [self.expand(item, (*path, index), required=required) for index, item in enumerate(value)]
        if isinstance(value, str) and "${" in value:
            return self._text(value, path, required=required)
        return value

    def _disabled(self, section: dict[str, Any], path: KeyPath) -> bool:
        if "enabled" not in section:
            return bool(path) and path[-1] in self._off_by_default
        enabled = section["enabled"]
        if isinstance(enabled, str):
            enabled = self._text(enabled, path, required=False)
        return enabled in (False, None) or str(enabled).lower() in {"false", "no", "off", "0"}

    def _text(self, text: str, path: KeyPath, *, required: bool) -> str | None:
        try:
            return REFERENCE.sub(self._value, text) or None
        except _Unset as unset:
            if required:
                self.problems.append(Problem(path, unset.secret if self._is_secret(path) else unset.plain))
            return None

    def _value(self, reference: re.Match[str]) -> str:
        if reference["escaped"]:
            return "${"
        inside = INSIDE.fullmatch(reference["inside"])
        if inside is None or not reference["end"]:
            broken = "holds a broken reference; write ${NAME} or ${NAME:-default}, and $${ for a plain ${"
            raise _Unset(broken, broken)
        name, default = inside["name"], inside["default"]
        value = self._environ.get(name)
        if default is not None:
            return value or default
        if value is None:
            unset = f"environment variable {name} is not set; set it, or"
            raise _Unset(f"{unset} write ${{{name}:-default}}", f"{unset} keep the secret in a file: {{file: path}}")
        return value
