"""Taking in a body piece by piece, whatever its coding."""

import gzip
import zlib

import pytest

from relay.domain.body import BodyBuffer, BodyTooLarge

TEXT = b'{"results":[' + b",".join(b'{"messageId":"m-%d"}' % n for n in range(500)) + b"]}"
LARGE = 1_000_000


def taken(data: bytes, coding: str, *, piece_bytes: int = 1 << 20, max_bytes: int = LARGE) -> BodyBuffer:
    body = BodyBuffer(coding, max_bytes)
    for start in range(0, len(data), piece_bytes):
        body.feed(data[start : start + piece_bytes])
    body.finish()
    return body


@pytest.mark.parametrize("piece_bytes", [1, 2, 3, 1000, 1 << 20])
@pytest.mark.parametrize(
    ("data", "coding"),
    [
        (TEXT, ""),
        (TEXT, "identity"),
        (gzip.compress(TEXT, mtime=0), "gzip"),
        (gzip.compress(TEXT, mtime=0), " X-GZIP "),
        (gzip.compress(TEXT, mtime=0), ""),
        (gzip.compress(TEXT[:99]) + gzip.compress(TEXT[99:]), "gzip"),
        (gzip.compress(TEXT, mtime=0) + b"\0\0\0\0", "gzip"),
        (zlib.compress(TEXT), "deflate"),
        (zlib.compress(TEXT, wbits=-15), "deflate"),
        (TEXT, "gzip"),
    ],
    ids=["plain", "identity", "gzip", "x-gzip", "unlabelled", "members", "padded", "zlib", "raw", "mislabelled"],
)
def test_whole_bodies(data: bytes, coding: str, piece_bytes: int) -> None:
    body = taken(data, coding, piece_bytes=piece_bytes)
    assert body.content() == TEXT
    assert not body.damaged


@pytest.mark.parametrize("data", [b"", b"{", b"\x1f"])
def test_bodies_too_short_to_tell(data: bytes) -> None:
    body = taken(data, "gzip")
    assert (body.content(), body.damaged) == (data, False)


def test_an_unknown_coding_is_kept_as_received() -> None:
    body = taken(b"\x0b\x02\x80...", "br")
    assert body.content() == b"\x0b\x02\x80..."
    assert "br" in body.problem


def test_gzip_cut_anywhere_gives_what_can_be_inflated() -> None:
    packed = gzip.compress(TEXT, mtime=0)
    kept = []
    for end in range(2, len(packed)):
        body = taken(packed[:end], "gzip")
        assert body.damaged
        assert TEXT.startswith(body.content())
        kept.append(len(body.content()))
    assert kept == sorted(kept)
    assert kept[-1] == len(TEXT)


@pytest.mark.parametrize("at_byte", [400, 700, 1100])
def test_damaged_gzip_gives_what_lies_before_the_damage(at_byte: int) -> None:
    packed = bytearray(gzip.compress(TEXT, mtime=0))
    before = zlib.decompressobj(31).decompress(bytes(packed[:at_byte]))
    packed[at_byte : at_byte + 8] = b"\xff" * 8
    body = taken(bytes(packed), "gzip")
    assert body.damaged
    assert "damaged" in body.problem
    assert body.content().startswith(before)


def test_a_wrong_checksum_is_damage_and_loses_nothing() -> None:
    packed = bytearray(gzip.compress(TEXT, mtime=0))
    packed[-8] ^= 0xFF
    body = taken(bytes(packed), "gzip")
    assert (body.content(), body.damaged) == (TEXT, True)


@pytest.mark.parametrize(("data", "coding"), [(b"x" * 101, ""), (gzip.compress(b"x" * 101, mtime=0), "gzip")])
def test_the_bound(data: bytes, coding: str) -> None:
    body = BodyBuffer(coding, 100)
    with pytest.raises(BodyTooLarge):
        body.feed(data)
    body.finish()
    assert body.content() == b"x" * 100


def test_compressed_bytes_that_inflate_to_nothing_are_bounded_too() -> None:
    body = BodyBuffer("gzip", 1000)
    with pytest.raises(BodyTooLarge):
        body.feed(gzip.compress(b"", mtime=0) * 1000)
