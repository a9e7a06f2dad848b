"""Whether bytes are a recording: RIFF/WAVE, PCM, 16 bit (signed, little-endian), 8 kHz, one channel or two."""

import struct
from collections.abc import Iterator
from typing import NamedTuple

HEAD_BYTES = 65_536
"""The sound begins within so many bytes."""

_PCM, _EXTENSIBLE = 0x0001, 0xFFFE
_PCM_SUBFORMAT = bytes.fromhex("0100000000001000800000aa00389b71")
_SAMPLE_BYTES = 2
_RATE_HERTZ = 8000
_CHANNELS = (1, 2)


class NotARecording(ValueError):
    """The bytes are something else, or not whole; the message says what is wrong."""


class Sound(NamedTuple):
    """What a recording holds."""

    channels: int
    data_bytes: int

    @property
    def seconds(self) -> float:
        """To the millisecond."""
        return round(self.data_bytes / (_RATE_HERTZ * _SAMPLE_BYTES * self.channels), 3)


def read_sound(head: bytes, size_bytes: int) -> Sound:
    """What the file of `size_bytes` that begins with `head` holds; the head is the whole of it, or HEAD_BYTES.

    :raises NotARecording: it is none, or the sound is longer than the file.
    """
    if head[:4] != b"RIFF" or head[8:12] != b"WAVE":
        raise NotARecording("it is not RIFF/WAVE")
    channels = None
    for name, start, length in _chunks(head):
        if name == b"fmt ":
            channels = _checked_format(head[start : start + length])
        elif name == b"data":
            if channels is None:
                raise NotARecording("the sound comes before its format")
            return _checked_sound(channels, length, size_bytes - start)
    raise NotARecording("there is no sound in it")


def _chunks(head: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Name, where it starts and how long it says it is, of each chunk."""
    position = 12
    while position + 8 <= len(head):
        name, length = struct.unpack_from("<4sI", head, position)
        yield name, position + 8, length
        position += 8 + length + length % 2


def _checked_format(chunk: bytes) -> int:
    """The number of channels."""
    if len(chunk) < 16:
        raise NotARecording("its format is cut")
    tag, channels, rate_hertz, _, block_bytes, bits = struct.unpack_from("<HHIIHH", chunk)
    if tag != _PCM and not (tag == _EXTENSIBLE and chunk[24:40] == _PCM_SUBFORMAT):
        raise NotARecording(f"its format is {tag:#06x}, not PCM")
    if bits != _SAMPLE_BYTES * 8 or rate_hertz != _RATE_HERTZ:
        raise NotARecording(f"it has {bits} bit at {rate_hertz} Hz, not 16 bit at 8000 Hz")
    if channels not in _CHANNELS or block_bytes != channels * _SAMPLE_BYTES:
        raise NotARecording(f"it has {channels} channels in blocks of {block_bytes} bytes")
    return int(channels)


def _checked_sound(channels: int, length: int, left_bytes: int) -> Sound:
    if length > left_bytes:
        raise NotARecording(f"it is cut: {left_bytes} bytes of sound instead of {length}")
    if length % (channels * _SAMPLE_BYTES):
        raise NotARecording("its last sample is cut")
    return Sound(channels, length)
