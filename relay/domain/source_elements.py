"""One XML entry, read tolerantly from its source: what the parser refuses for one bad value is saved around that value.

Takes control characters, bytes that are not in the encoding, ampersands and references that stand for nothing, and a
``<`` that begins no tag; a value that holds such is a `Source`, as it was received. Nothing is expanded but the five
entities of XML itself and character references. What is broken in its tags is not guessed at. Bounded: each byte is
looked at a fixed number of times, and nesting costs a counter.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from relay.domain.elements import Element
from relay.domain.fields import FieldType
from relay.domain.values import Source

_FIRST = rb"A-Za-z_:\x80-\xff"
_NAME = rb"[" + _FIRST + rb"][\w.:\x80-\xff-]*+"
_ATTRIBUTE = rb"\s++" + _NAME + rb"\s*+=\s*+(?:\"[^\"<]*+\"|'[^'<]*+')"
_TOKEN = re.compile(
    rb"(?P<text>(?:[^<]++|<(?![" + _FIRST + rb"/!?]))++)"
    rb"|</(?P<end>" + _NAME + rb")\s*+>"
    rb"|<(?P<start>" + _NAME + rb")(?P<attributes>(?:" + _ATTRIBUTE + rb")*+)\s*+(?P<empty>/?)>"
    rb"|<!\[CDATA\[(?P<cdata>.*?)\]\]>"
    rb"|(?P<nothing><!--.*?-->|<\?.*?\?>)"
    rb"|(?P<stray><)(?![/!?])",
    re.DOTALL,
)
_ATTRIBUTES = re.compile(rb"(" + _NAME + rb")\s*+=\s*+(?:\"([^\"]*+)\"|'([^']*+)')")
_NO_CHARACTER = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_REFERENCE = re.compile(r"&(?:(lt|gt|amp|quot|apos)|#0*+(\d{1,7})|#x0*+([0-9A-Fa-f]{1,6}));|&|\]\]>")
_ENTITIES = {"lt": "<", "gt": ">", "amp": "&", "quot": '"', "apos": "'"}
_LINE_END = re.compile("\r\n?")


class ReadEntry(NamedTuple):
    """The members of an entry, and where its bytes end."""

    members: dict[str, Any]
    end: int


class _Damaged(Exception):
    """The text is not what XML allows."""


class _Broken(Exception):
    """The tags are not as they must be, or the entry nests too deep."""


class _Received(Element):
    """An element with its own text as it stood there. `bad`: some of it is damaged."""

    __slots__ = ("bad", "received", "stray")

    def __init__(self, qname: str, attributes: dict[str, Any], fields: Mapping[str, FieldType], *, entry: bool) -> None:
        super().__init__(qname, attributes, 0, fields, collects=entry)
        self.received: list[str] = []
        self.bad = False
        self.stray = False

    def value_as(self, field: FieldType | None) -> Any:
        if self.stray and (self.members or field is FieldType.GROUP):
            raise _Broken  # it is a tag that is damaged, not a text
        if not self.bad:
            return super().value_as(field)
        received = Source("".join(self.received))
        return self.completed() | {"#text": received} if self.members else received

    def whole(self) -> dict[str, Any]:
        """The members of an entry. Text between them means nothing, unless it is damaged: then who knows."""
        if self.stray:
            raise _Broken
        return self.completed() | ({"#text": Source("".join(self.received))} if self.bad else {})


def read_entry(
    body: bytes, start: int, limit: int, *, encoding: str, fields: Mapping[str, FieldType], most_levels: int
) -> ReadEntry | None:
    """The entry whose tag is at `start`; None if it is broken, does not end before `limit`, nests deeper than
    `most_levels`, or has no sound messageId."""
    reading = _Reading(encoding, fields, most_levels)
    try:
        for token in _tokens(body, start, limit):
            if reading.done_with(token):
                members = reading.entry.whole()
                return ReadEntry(members, token.end()) if isinstance(members.get("messageId"), str) else None
    except (_Broken, UnicodeDecodeError):  # a name that is not in the encoding
        pass
    return None


def _tokens(body: bytes, start: int, limit: int) -> Iterator[re.Match[bytes]]:
    """One after the other, up to what is none."""
    while token := _TOKEN.match(body, start, limit):
        yield token
        start = token.end()


class _Reading:
    """The elements that are open."""

    def __init__(self, encoding: str, fields: Mapping[str, FieldType], most_levels: int) -> None:
        self._encoding = encoding
        self._fields = fields
        self._most_levels = most_levels
        self._open: list[_Received] = []
        self.entry: _Received

    def done_with(self, token: re.Match[bytes]) -> bool:
        """Whether it closes the entry."""
        if token["start"] is not None:
            self._start(token["start"].decode(self._encoding), token["attributes"])
            return bool(token["empty"]) and self._end()
        if not self._open:
            raise _Broken  # not even the entry's own tag can be read
        if token["end"] is not None:
            if token["end"].decode(self._encoding) != self._open[-1].qname:
                raise _Broken
            return self._end()
        if token["nothing"] is None:
            self._text(token)
        return False

    def _start(self, qname: str, attributes: bytes) -> None:
        if len(self._open) >= self._most_levels:
            raise _Broken
        read = self._attributes(attributes) if attributes else {}
        if self._open:
            parent = self._open[-1]
            element = _Received(qname, read, {}, entry=False)
            element.fields = parent.fields_of(element.name)
        else:
            self.entry = element = _Received(qname, read, self._fields, entry=True)
        self._open.append(element)

    def _end(self) -> bool:
        element = self._open.pop()
        if not self._open:
            return True
        parent = self._open[-1]
        value = element.value_as(parent.fields.get(element.name))
        if element.name == "messageId" and parent is self.entry and not isinstance(value, str):
            raise _Broken
        parent.add(element.name, value)
        return False

    def _text(self, token: re.Match[bytes]) -> None:
        element = self._open[-1]
        element.received.append(token[0].decode(self._encoding, "backslashreplace"))
        literal = token["cdata"]
        element.stray |= literal is None and b"<" in token[0]
        try:
            element.text.append(self._read(token[0] if literal is None else literal, literal=literal is not None))
        except _Damaged:
            element.bad = True

    def _attributes(self, source: bytes) -> dict[str, Any]:
        read: dict[str, Any] = {}
        for name, quoted, apostrophed in _ATTRIBUTES.findall(source):
            key, value = name.decode(self._encoding), quoted or apostrophed
            if key in read:
                raise _Broken
            try:
                read[key] = self._read(value, literal=False)
            except _Damaged:
                read[key] = Source(value.decode(self._encoding, "backslashreplace"))
        return read

    def _read(self, source: bytes, *, literal: bool) -> str:
        """What the bytes say. Raises `_Damaged`."""
        try:
            text = source.decode(self._encoding)
        except UnicodeDecodeError:
            raise _Damaged from None
        if _NO_CHARACTER.search(text) or (not literal and "<" in text):
            raise _Damaged
        text = _LINE_END.sub("\n", text)
        return text if literal else _REFERENCE.sub(_meant, text)


def _meant(reference: re.Match[str]) -> str:
    entity, decimal, hexadecimal = reference.groups()
    if entity:
        return _ENTITIES[entity]
    code = int(decimal) if decimal else int(hexadecimal, 16) if hexadecimal else -1
    if not 0 <= code <= 0x10FFFF or _NO_CHARACTER.match(chr(code)):
        raise _Damaged
    return chr(code)
