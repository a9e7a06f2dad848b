"""A body on its way in, taken piece by piece: bounded, its content coding removed as far as it goes."""

import zlib
from typing import Final

GZIP_MAGIC: Final = b"\x1f\x8b"
GZIP_WINDOW_BITS: Final = 16 + zlib.MAX_WBITS
SLICE_BYTES: Final = 16 * 1024
"""Inflated at once: after damage at most this much is gone through byte by byte."""


class BodyTooLarge(Exception):
    """The body, as received or decoded, is larger than allowed; what fits was kept."""


class BodyBuffer:
    """Collects a body of at most `max_bytes`, inflating gzip and deflate on the way.

    What the bytes are decides, not what the label says: a body that begins like gzip is inflated without a label, and
    one labelled gzip that does not begin so is taken as it is. An unknown coding is kept as received. Damaged or cut
    compressed data gives up all that can be inflated.
    """

    def __init__(self, content_encoding: str, max_bytes: int) -> None:
        self._label = content_encoding.strip().lower()
        self._max_bytes = max_bytes
        self._pieces: list[bytes] = []
        self._size = 0
        self._received = 0
        self._head = b""
        self._begun = False
        self._inflater: zlib._Decompress | None = None
        self.problem = ""
        """What was odd about the coding, for the log."""
        self.damaged = False
        """The compressed data is broken or cut: the body is not whole."""

    def feed(self, piece: bytes) -> None:
        """Take in what came. Raises BodyTooLarge; the bound holds for both the received and the decoded size."""
        if not self._begun:
            self._head += piece
            if len(self._head) < len(GZIP_MAGIC):
                return
            piece = self._begin()
        self._received += len(piece)
        if self._inflater is None:
            self._keep(piece)
        elif not self.damaged:
            self._inflate(piece)
        if self._received > self._max_bytes:
            raise BodyTooLarge(f"more than {self._max_bytes} bytes received")

    def finish(self) -> None:
        """No more will come, for whatever reason."""
        if not self._begun and self._head:
            self._keep(self._begin())
        if self._inflater is not None and not self._inflater.eof and not self.damaged:
            self.damaged = True
            self.problem = "compressed body ended early"

    @property
    def size_bytes(self) -> int:
        """Of what `content` would answer now."""
        return self._size

    def content(self) -> bytes:
        """All that is there, decoded."""
        return self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)

    def _begin(self) -> bytes:
        self._begun = True
        head, self._head = self._head, b""
        if head.startswith(GZIP_MAGIC):
            self._inflater = zlib.decompressobj(GZIP_WINDOW_BITS)
        elif self._label == "deflate":
            self._inflater = zlib.decompressobj(zlib.MAX_WBITS if _is_zlib_header(head) else -zlib.MAX_WBITS)
        elif self._label not in ("", "identity"):
            self.problem = f"content-encoding {self._label[:40]!r} does not fit the body, kept as received"
        return head

    def _inflate(self, piece: bytes) -> None:
        for start in range(0, len(piece), SLICE_BYTES):
            rest = piece[start : start + SLICE_BYTES]
            while rest and not self.damaged:
                rest = self._inflate_slice(rest)

    def _inflate_slice(self, data: bytes) -> bytes:
        """Inflate and keep; answers what belongs to the next gzip member."""
        inflater = self._inflater
        if inflater is None or inflater.eof:
            return self._next_member(data)
        before = inflater.copy()
        try:
            decoded = inflater.decompress(data, self._max_bytes - self._size + 1)
        except zlib.error as error:
            self.damaged = True
            self.problem = f"compressed body is damaged: {error}"
            self._salvage(before, data)
            return b""
        self._keep(decoded)
        return inflater.unused_data

    def _next_member(self, data: bytes) -> bytes:
        # Gzip may be several members in a row; anything else after the end is padding and carries nothing.
        data, self._head = self._head + data, b""
        if len(data) < len(GZIP_MAGIC):
            self._head = data
            return b""
        if not data.startswith(GZIP_MAGIC):
            return b""
        self._inflater = zlib.decompressobj(GZIP_WINDOW_BITS)
        return data

    def _salvage(self, inflater: "zlib._Decompress", data: bytes) -> None:
        # A failing decompress() also drops what it had inflated before the bad byte: go there byte by byte.
        for index in range(len(data)):
            try:
                self._keep(inflater.decompress(data[index : index + 1], self._max_bytes - self._size + 1))
            except zlib.error:
                return

    def _keep(self, decoded: bytes) -> None:
        room = self._max_bytes - self._size
        kept = decoded if len(decoded) <= room else decoded[:room]
        if kept:
            self._pieces.append(kept)
            self._size += len(kept)
        if len(decoded) > room:
            raise BodyTooLarge(f"more than {self._max_bytes} bytes")


def _is_zlib_header(head: bytes) -> bool:
    return head[0] & 0x0F == zlib.DEFLATED and int.from_bytes(head[:2]) % 31 == 0
