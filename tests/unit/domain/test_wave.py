"""What is a recording, byte by byte."""

import struct

import pytest

from relay.domain.wave import HEAD_BYTES, NotARecording, Sound, read_sound


def fmt(
    *, tag: int = 1, channels: int = 1, rate: int = 8000, block: int | None = None, bits: int = 16, more: bytes = b""
) -> bytes:
    block = channels * 2 if block is None else block
    content = struct.pack("<HHIIHH", tag, channels, rate, rate * block, block, bits) + more
    return chunk(b"fmt ", content)


def chunk(name: bytes, content: bytes, *, says: int | None = None) -> bytes:
    length = len(content) if says is None else says
    return name + struct.pack("<I", length) + content + b"\0" * (len(content) % 2)


def riff(*chunks: bytes) -> bytes:
    inner = b"WAVE" + b"".join(chunks)
    return b"RIFF" + struct.pack("<I", len(inner)) + inner


def read(body: bytes) -> Sound:
    return read_sound(body[:HEAD_BYTES], len(body))


EXTENSIBLE = struct.pack("<HHI", 22, 16, 4)
PCM_GUID = bytes.fromhex("0100000000001000800000aa00389b71")
FLOAT_GUID = bytes.fromhex("0300000000001000800000aa00389b71")


@pytest.mark.parametrize(
    ("body", "channels", "seconds"),
    [
        (riff(fmt(), chunk(b"data", b"\1\0" * 8000)), 1, 1.0),
        (riff(fmt(channels=2), chunk(b"data", b"\1\0" * 8000)), 2, 0.5),
        (riff(fmt(), chunk(b"data", b"")), 1, 0.0),
        (riff(fmt(), chunk(b"data", b"\1\0" * 4)), 1, 0.001),  # half a millisecond is rounded
        (riff(chunk(b"LIST", b"abc"), fmt(), chunk(b"fact", b"abcd"), chunk(b"data", b"\0" * 16_000)), 1, 1.0),
        (riff(fmt(), chunk(b"data", b"\0" * 160), chunk(b"LIST", b"after")), 1, 0.01),
        (riff(fmt(tag=0xFFFE, more=EXTENSIBLE + PCM_GUID), chunk(b"data", b"\0" * 160)), 1, 0.01),
        (riff(fmt(), chunk(b"data", b"\0" * 1_600_000)), 1, 100.0),
    ],
)
def test_recordings(body: bytes, channels: int, seconds: float) -> None:
    sound = read(body)
    assert sound.channels == channels
    assert sound.seconds == pytest.approx(seconds, abs=0.00051)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "it is not RIFF/WAVE"),
        (b"<html>Not found</html>", "it is not RIFF/WAVE"),
        (b"RIFX" + riff(fmt())[4:], "it is not RIFF/WAVE"),
        (b"RIFF\0\0\0\0AVI LIST", "it is not RIFF/WAVE"),
        (riff(), "there is no sound in it"),
        (riff(fmt()), "there is no sound in it"),
        (riff(fmt())[:30], "its format is cut"),
        (riff(fmt(), chunk(b"LIST", b"\0" * HEAD_BYTES), chunk(b"data", b"")), "there is no sound in it"),
        (riff(chunk(b"data", b"\0" * 4), fmt()), "the sound comes before its format"),
        (riff(chunk(b"fmt ", b"\1\0"), chunk(b"data", b"")), "its format is cut"),
        (riff(fmt(tag=7), chunk(b"data", b"")), "its format is 0x0007, not PCM"),
        (riff(fmt(tag=3, bits=32), chunk(b"data", b"")), "its format is 0x0003, not PCM"),
        (riff(fmt(tag=0xFFFE, more=EXTENSIBLE + FLOAT_GUID), chunk(b"data", b"")), "its format is 0xfffe, not PCM"),
        (riff(fmt(bits=8, block=1), chunk(b"data", b"")), "it has 8 bit at 8000 Hz, not 16 bit at 8000 Hz"),
        (riff(fmt(rate=44100), chunk(b"data", b"")), "it has 16 bit at 44100 Hz, not 16 bit at 8000 Hz"),
        (riff(fmt(channels=0, block=0), chunk(b"data", b"")), "it has 0 channels in blocks of 0 bytes"),
        (riff(fmt(channels=6), chunk(b"data", b"")), "it has 6 channels in blocks of 12 bytes"),
        (riff(fmt(channels=2, block=2), chunk(b"data", b"")), "it has 2 channels in blocks of 2 bytes"),
        (riff(fmt(), chunk(b"data", b"\0" * 10, says=12)), "it is cut: 10 bytes of sound instead of 12"),
        (riff(fmt(), chunk(b"data", b"\0" * 8, says=0xFFFFFFFF)), "it is cut: 8 bytes of sound instead of 4294967295"),
        (riff(fmt(channels=2), chunk(b"data", b"\0" * 6)), "its last sample is cut"),
    ],
)
def test_what_is_none(body: bytes, reason: str) -> None:
    with pytest.raises(NotARecording) as raised:
        read(body)
    assert str(raised.value) == reason


def test_a_recording_cut_anywhere_is_none() -> None:
    whole = riff(fmt(), chunk(b"LIST", b"abc"), chunk(b"data", b"\1\0" * 40))
    for cut in range(len(whole)):
        with pytest.raises(NotARecording):
            read(whole[:cut])
