"""Bytes from anywhere as lines for a terminal: escaped text if it is text, else as hexadecimal numbers."""

from collections.abc import Iterator

from relay.cli.output import visible

ROW_BYTES = 16
MOST_LINE_CHARACTERS = 4000
MOST_ESCAPED = 0.1
"""Of the characters of a text; with more of them, numbers say more."""


def shown_bytes(raw: bytes, *, as_hex: bool = False) -> list[str]:
    """Each line begins with a mark of ours, so that no line of `raw` can pass for one of ours."""
    text = None if as_hex else _as_text(raw)
    if text is None:
        return list(_dump(raw))
    return [f"| {visible(line)}" for line in _lines(text)]


def _as_text(raw: bytes) -> str | None:
    """None if it is no UTF-8 text, but for a character that was cut at the end."""
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        if error.start < len(raw) - 3 or error.reason != "unexpected end of data":
            return None
        text = raw[: error.start].decode()
    escaped = sum(not (character.isprintable() or character in "\r\n\t") for character in text)
    return text if escaped <= MOST_ESCAPED * len(text) else None


def _lines(text: str) -> Iterator[str]:
    for line in text.split("\n"):
        for start in range(0, max(1, len(line)), MOST_LINE_CHARACTERS):
            yield line[start : start + MOST_LINE_CHARACTERS]


def _dump(raw: bytes) -> Iterator[str]:
    for start in range(0, len(raw), ROW_BYTES):
        row = raw[start : start + ROW_BYTES]
        marks = "".join(chr(byte) if 0x20 <= byte < 0x7F else "." for byte in row)
        yield f"{start:08x}  {row.hex(' '):{ROW_BYTES * 3 - 1}}  |{marks}|"
