"""The entries of an XML body, whole, malformed or cut, whatever the shape of its results.

Expat, in one pass: what came before a cut has been seen already, each entry's bytes are known by their offsets, and no
tree of the whole is built. A document type declaration is refused where it begins, so there are no entities but the
five of XML itself, and nothing external can be asked for. Depth and size of an entry are bounded. An entry in which
there is an error is read tolerantly (`read_entry`); then, or if that fails at the next entry, reading begins anew
inside the elements that were open around it.

Shapes: ``<root><results><result/>…``, ``<root><results><results/>…`` and the flat ``<root><results/><results/>…``: an
entry is a `result` or `results` that holds no other.
"""

import codecs
import re
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple
from xml.parsers import expat

from relay.domain.elements import Element, entry_fields
from relay.domain.fields import FieldType
from relay.domain.salvage import MOST_ENTRY_BYTES, MOST_REJECTED, TOO_LARGE, Piece
from relay.domain.scan import skip_blank
from relay.domain.source_elements import ReadEntry, read_entry
from relay.domain.source_text import source_text
from relay.domain.values import Source

_ENTRY_NAMES = frozenset({"result", "results"})
_EMPTY_ROOT = re.compile(r".*(?:Reports?|Logs)(?:Response)?", re.IGNORECASE)
_ENTRY_START = re.compile(rb"<(?:[\w.-]++:)?results?[\s/>]")
_TAGS_ONLY = re.compile(rb"\s*+(?:<[^>]*+>\s*+)*+(?:<[^>]*+)?")
_PART_OF_TAG = re.compile(rb"\s*+<[/\w:.-]*+\s*+")
_DECLARED = re.compile(rb"""<\?xml[^>]{1,200}?encoding\s*=\s*["']([\w.-]{1,40})["']""")
_EVERY_BYTE = bytes(range(256))
_ASCII = rb"\u0041 \101" + bytes(range(91))
_CUT_CODES = frozenset({3, 5, 6})  # no element found, unclosed token, partial character
_CUT = "the body ends in the middle of an entry"
_MOST_OPEN = 10_000
"""Expat itself needs memory for every element that is open."""
_MOST_AROUND_BYTES = 1024
"""Names of the elements around an entry: they are parsed again after every error, of which there may be many."""
_FIRST_BYTES = 16 * 1024
_MOST_BYTES = 1024 * 1024
"""The parser copies what it is given: little at first, as the next error may be near."""

Emit = Callable[[Piece], None]


class _Refused(Exception):
    """A document type declaration."""


class _TooDeep(Exception):
    """More elements are open than is sane."""


class _Stop(NamedTuple):
    """Where and why parsing stopped before the end of the document."""

    at: int
    reason: str


class XmlSalvage:
    """Call `read` first; then `complete` and `reason` say how the body as a whole was."""

    def __init__(self, body: bytes, *, kind: str, most_levels: int) -> None:
        self._body, self._encoding = _with_encoding(body)
        self._fields = entry_fields(kind)
        self._most_levels = most_levels
        self._emitted = 0
        self._rejected = 0
        self._emit: Emit = _ignore
        self.complete = False
        self.reason = ""

    def read(self, emit: Emit) -> None:
        """Give every entry to `emit`, in order, and what cannot be read."""
        self._emit = emit
        start: int | None = skip_blank(self._body, 0)
        around: Sequence[str] = ()
        while start is not None:
            run = _Run(self._body, self._encoding, self._fields, self._most_levels, self._take)
            stop = run.parse(start, around)
            if stop is None:
                self._settle(run)
                return
            start, around = self._resumed(run, stop)

    def _settle(self, run: "_Run") -> None:
        """The document is whole."""
        root = run.root
        empty = root is not None and not root.members and _EMPTY_ROOT.fullmatch(root.name)
        if self._emitted or run.collections or empty:
            self.complete = True
        else:
            self._give_up(self._body, "no results collection")

    def _resumed(self, run: "_Run", stop: _Stop) -> tuple[int | None, Sequence[str]]:
        """Where to begin again after an error, and inside which elements; None: nowhere."""
        if stop.reason == _DTD:
            self._give_up(self._body, stop.reason)
            return None, ()
        entry, around = run.broken_entry()
        start = entry.start if entry else stop.at
        following = None
        if sum(map(len, around)) <= _MOST_AROUND_BYTES:
            if stop.reason != _ENDS and (mended := self._mended(run)):
                return mended
            following = _ENTRY_START.search(self._body, max(stop.at, start + 1)) if around else None
        if following is None or self._rejected >= MOST_REJECTED:
            self._end_early(run, stop, start, in_entry=entry is not None)
            return None, ()
        self._lose(self._body[start : following.start()].strip(), stop.reason)
        return following.start(), around

    def _mended(self, run: "_Run") -> tuple[int, Sequence[str]] | None:
        """Where the entry ends that the error is in, and what is around it, if the entry can be read all the same."""
        start, around = run.innermost()
        following = _ENTRY_START.search(self._body, start + 1) if around else None
        limit = min(following.start() if following else len(self._body), start + MOST_ENTRY_BYTES)
        entry = self._read_tolerantly(start, limit) if around else None
        if entry is None:
            return None
        self._take(Piece(self._body[start : entry.end], entry.members))
        return entry.end, around

    def _read_tolerantly(self, start: int, limit: int) -> ReadEntry | None:
        return read_entry(
            self._body,
            start,
            limit,
            encoding=self._encoding or "utf-8",
            fields=self._fields,
            most_levels=self._most_levels,
        )

    def _end_early(self, run: "_Run", stop: _Stop, start: int, *, in_entry: bool) -> None:
        """Nothing more can be read: what is left is kept, unless it is nothing."""
        rest = self._body[start:].strip()
        if in_entry:
            self._give_up(rest, _CUT if stop.reason == _ENDS else stop.reason)
        elif self._emitted or run.collections or run.results_open:
            self.complete = run.collected
            self.reason = "" if run.collected else stop.reason
            if not _PART_OF_TAG.fullmatch(rest):
                self._lose(rest, "bytes after the last entry")
        elif stop.reason == _ENDS and _TAGS_ONLY.fullmatch(self._body):
            self.reason = "the body ends before its first report"
        else:
            self._give_up(self._body, stop.reason)

    def _give_up(self, raw: bytes, reason: str) -> None:
        self.reason = reason
        self._lose(raw, reason)

    def _lose(self, raw: bytes, reason: str) -> None:
        if raw:
            self._take(Piece(raw, None, reason))

    def _take(self, piece: Piece) -> None:
        self._emitted += 1
        self._rejected += piece.entry is None or "messageId" not in piece.entry
        self._emit(piece)


class _Run:
    """One pass of the parser over a document, or over the rest of one."""

    def __init__(
        self, body: bytes, encoding: str | None, fields: Mapping[str, FieldType], most_levels: int, emit: Emit
    ) -> None:
        self._body = body
        self._encoding = encoding
        self._fields = fields
        self._most_levels = most_levels
        self._emit = emit
        self._parser = expat.ParserCreate(encoding)
        self._shift = 0
        self._open: list[Element] = []
        self._skipped = 0
        self._entry: Element | None = None
        self._most_open = most_levels
        self.root: Element | None = None
        self.collections = 0
        """How many whole `results` were seen, be they collections or entries."""
        self._collection_closed = False

    @property
    def collected(self) -> bool:
        """A whole collection was read: it was closed, or everything was."""
        return not self._open or (self._collection_closed and len(self._open) == 1)

    @property
    def results_open(self) -> bool:
        return len(self._open) > 1 and self._open[1].collects

    def parse(self, start: int, around: Sequence[str]) -> _Stop | None:
        """Parse from `start` to the end, inside the elements `around`. None: the document ended well."""
        parser = self._parser
        parser.buffer_text = True
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._characters
        parser.StartDoctypeDeclHandler = _refuse
        wrapper = "".join(f"<{name}>" for name in around).encode()
        try:
            if wrapper:
                parser.Parse(wrapper, False)
                for element in self._open[1:]:
                    element.entries = 1
            self._shift = start - len(wrapper)
            self._feed(start)
        except expat.ExpatError as error:
            reason = _ENDS if error.code in _CUT_CODES else f"not valid XML: {expat.ErrorString(error.code)}"
            return _Stop(parser.ErrorByteIndex + self._shift, reason)
        except _Refused:
            return _Stop(self._at(), _DTD)
        except _TooDeep:
            return _Stop(self._at(), "nested too deep")
        except (ValueError, LookupError):
            return _Stop(start, "not in an encoding that can be read")
        return None

    def _feed(self, start: int) -> None:
        body, size = memoryview(self._body), _FIRST_BYTES
        while len(body) - start > size:
            self._parser.Parse(body[start : start + size], False)
            start += size
            size = min(2 * size, _MOST_BYTES)
        self._parser.Parse(body[start:], True)

    def innermost(self) -> tuple[int, list[str]]:
        """Where the innermost element begins that may be an entry, and the names around it: none if there is none."""
        collecting = [element for element in self._open if element.collects]
        if len(collecting) < 2 or collecting[-1].entries:
            return 0, []
        return collecting[-1].start, [element.qname for element in collecting[:-1]]

    def broken_entry(self) -> tuple[Element | None, list[str]]:
        """The entry that was open when parsing stopped, if any, and the names of what was open around it."""
        collecting = [element for element in self._open if element.collects]
        around = [element.qname for element in collecting]
        if len(collecting) < 2 or collecting[-1].entries:
            return None, around
        innermost = collecting[-1]
        if innermost.name == "result" or innermost.members or len(self._open) > len(collecting):
            return innermost, around[:-1]
        return None, around

    def _start(self, qname: str, attributes: dict[str, str]) -> None:
        if self._skipped or self._too_much():
            self._skip()
            return
        parent = self._open[-1] if self._open else None
        element = self._opened(qname, attributes, parent)
        if parent is not None and parent.collects:
            if element.collects:
                parent.entries += 1
            elif len(self._open) > 1 and self._entry is None:
                self._entry = parent
                self._most_open = len(self._open) + self._most_levels
        self._open.append(element)

    def _opened(self, qname: str, attributes: dict[str, str], parent: Element | None) -> Element:
        if parent is None:
            return Element(qname, attributes, self._at(), {}, collects=True)
        element = Element(qname, attributes, self._at(), {}, collects=False)
        may_hold = parent.collects and (len(self._open) == 1 or (parent.name == "results" and not parent.members))
        element.collects = element.name in _ENTRY_NAMES and may_hold and self._entry is None
        element.fields = self._fields if element.collects else parent.fields_of(element.name)
        return element

    def _too_much(self) -> bool:
        entry = self._entry
        return len(self._open) >= self._most_open or (entry is not None and self._at() - entry.start > MOST_ENTRY_BYTES)

    def _skip(self) -> None:
        """Elements that lie too deep are not built: the member of the entry that holds them becomes text."""
        self._skipped += 1
        if self._skipped > _MOST_OPEN:
            raise _TooDeep
        if self._entry is not None:
            place = self._open.index(self._entry) + 1
            if place < len(self._open):
                self._open[place].deep = True

    def _characters(self, text: str) -> None:
        if not self._skipped and self._open and not self._open[-1].collects:
            self._open[-1].text.append(text)

    def _end(self, _qname: str) -> None:
        if self._skipped:
            self._skipped -= 1
            return
        element = self._open.pop()
        if not self._open:
            self.root = element
        elif element.collects:
            self._close_results(element)
        else:
            self._close_member(element, self._open[-1])

    def _close_results(self, element: Element) -> None:
        self.collections += 1
        outermost = len(self._open) == 1
        if element.entries or (outermost and element.name == "results" and not element.members):
            self._collection_closed = self._collection_closed or outermost
            return
        self._entry = None
        self._most_open = self._most_levels
        raw = self._source(element)
        too_large = len(raw) > MOST_ENTRY_BYTES
        self._emit(Piece(raw, None, TOO_LARGE) if too_large else Piece(raw, element.completed()))

    def _close_member(self, element: Element, parent: Element) -> None:
        if len(self._open) == 1:  # something beside the results
            parent.members[element.name] = None
        elif element.deep:
            parent.add(element.name, Source(source_text(self._source(element))))
        else:
            parent.add(element.name, element.value_as(parent.fields.get(element.name)))

    def _source(self, element: Element) -> bytes:
        """The bytes of the element that is being closed. An empty one (``<a/>``) is closed where it has ended."""
        at = self._at()
        end = self._body.find(b">", at) + 1 if self._body.startswith(b"</", at) else at
        return self._body[element.start : end]

    def _at(self) -> int:
        return self._parser.CurrentByteIndex + self._shift


def _with_encoding(body: bytes) -> tuple[bytes, str | None]:
    """The body, as UTF-8 if it is UTF-16, and the encoding to tell the parser, None if it finds out by itself."""
    if body.startswith((b"\xff\xfe", b"\xfe\xff")):
        return body.decode("utf-16", "replace").encode(), "utf-8"
    declared = _DECLARED.search(body, 0, 512)
    return body, _readable(declared[1].decode()) if declared else None


def _readable(declared: str) -> str:
    """The encoding if it has one byte for each character, as the parser asks for, and ASCII's are its own; else UTF-8.

    The declaration itself was read as ASCII: one that says UTF-16, as some serialisers write whatever they encode to,
    or EBCDIC, is wrong.
    """
    try:
        known = codecs.lookup(declared).name
        if _ASCII.decode(known, "replace") != _ASCII.decode():
            return "utf-8"
        one_for_each = len(_EVERY_BYTE.decode(known, "replace")) == len(_EVERY_BYTE)
    except (LookupError, ValueError):
        return "utf-8"
    return declared if one_for_each and known not in {"utf-8", "ascii"} else "utf-8"


def _refuse(*_declaration: object) -> None:
    raise _Refused


def _ignore(_piece: Piece) -> None:
    pass


_DTD = "a document type declaration is refused"
_ENDS = "the body ends before its results do"
