"""XML elements into the values that JSON would have given.

Members are text, as nothing in XML says what is a number. An empty element of a documented number, date, flag or object
stands for null, as does one marked nil. Of a documented member that comes twice the last wins; others become a list.
"""

from collections.abc import Mapping
from typing import Any

from relay.domain.fields import GROUPS, FieldType, documented_fields, has_generations
from relay.domain.generations import NESTED, newer_fields

_NO_FIELDS: Mapping[str, FieldType] = {}
_NESTED: Mapping[str, Mapping[str, FieldType]] = {**{name: newer_fields(name) for name in NESTED}, **GROUPS}


class Element:
    """An element that is open. `fields` are the documented ones among its members."""

    __slots__ = ("attributes", "collects", "deep", "entries", "fields", "members", "name", "qname", "start", "text")

    def __init__(
        self, qname: str, attributes: dict[str, str], start: int, fields: Mapping[str, FieldType], *, collects: bool
    ) -> None:
        self.qname = qname
        self.name = local_name(qname)
        self.attributes = attributes
        self.start = start
        self.fields = fields
        self.collects = collects
        """It may still turn out to be a collection of entries."""
        self.entries = 0
        self.members: dict[str, Any] = {}
        self.text: list[str] = []
        self.deep = False

    def fields_of(self, name: str) -> Mapping[str, FieldType]:
        """The documented members of a member: there are some if this is an entry and that a
        nested object with documented fields."""
        return _NESTED.get(name, _NO_FIELDS) if self.collects else _NO_FIELDS

    def add(self, name: str, value: Any) -> None:
        if name not in self.members or name in self.fields:
            self.members[name] = value
            return
        present = self.members[name]
        if isinstance(present, list):
            present.append(value)
        else:
            self.members[name] = [present, value]

    def value_as(self, field: FieldType | None) -> Any:
        """The value of this element where it is documented as `field`."""
        text = "".join(self.text)
        if self.members:
            return self.completed(text.strip())
        if self.attributes and self._is_nil():
            return None
        if self.name == "messageId":
            return text.strip()
        return text if field is FieldType.TEXT or field is None or text.strip() else None

    def _is_nil(self) -> bool:
        return any(local_name(key) == "nil" and value in {"true", "1"} for key, value in self.attributes.items())

    def completed(self, text: str = "") -> dict[str, Any]:
        """Its members, with attributes as ``@name`` and stray text as ``#text``."""
        for key, value in self.attributes.items():
            if not key.startswith(("xmlns", "xsi:")):
                self.members.setdefault(f"@{local_name(key)}", value)
        if text:
            self.members["#text"] = text
        return self.members


def entry_fields(kind: str) -> Mapping[str, FieldType]:
    """The documented members of an entry."""
    newer = newer_fields() if has_generations(kind) else {}
    return {"messageId": FieldType.TEXT, "mccmnc": FieldType.TEXT, **newer, **documented_fields(kind)}


def local_name(qname: str) -> str:
    return qname.rpartition(":")[2]
