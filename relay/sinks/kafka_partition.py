"""Which partition a key belongs to: murmur2, as Java's default partitioner, so that topics keyed alike stay aligned.

One hash takes 10 µs in plain Python, too much for every report. The keys of a batch mostly have the same length, so
their words are laid side by side, 64 bits apart, in one long integer, and every step of the hash is done for all keys
by one operation on it: below 1 µs a key.
"""

import sys
from collections.abc import Sequence
from struct import unpack_from

_SEED = 0x9747B28C
_MULTIPLIER = 0x5BD1E995
_WORD = 0xFFFFFFFF
_LANE_BYTES = 8
_FEW_KEYS = 4
"""Below this laying the lanes out costs more than it saves."""


def partitions_of(keys: Sequence[bytes], partitions: int) -> list[int]:
    """The partition of each key among `partitions`."""
    if partitions == 1:
        return [0] * len(keys)
    return [(hash_ & 0x7FFFFFFF) % partitions for hash_ in murmur2_all(keys)]


def murmur2_all(keys: Sequence[bytes]) -> list[int]:
    """murmur2 of each key, unsigned 32 bits."""
    lengths = set(map(len, keys))
    if len(lengths) == 1:
        return _murmur2_same_length(keys, lengths.pop())
    hashes = [0] * len(keys)
    for length in lengths:
        places = [place for place, key in enumerate(keys) if len(key) == length]
        for place, hash_ in zip(places, _murmur2_same_length([keys[at] for at in places], length), strict=True):
            hashes[place] = hash_
    return hashes


def murmur2(key: bytes) -> int:
    """murmur2 of one key, as in Kafka's Java client, unsigned 32 bits."""
    length = len(key)
    words, extra = divmod(length, 4)
    hash_ = _SEED ^ length
    for word in unpack_from(f"<{words}I", key):
        mixed = word * _MULTIPLIER & _WORD
        hash_ = (hash_ * _MULTIPLIER ^ (mixed ^ mixed >> 24) * _MULTIPLIER) & _WORD
    if extra:
        hash_ = (hash_ ^ int.from_bytes(key[-extra:], "little")) * _MULTIPLIER & _WORD
    hash_ = (hash_ ^ hash_ >> 13) * _MULTIPLIER & _WORD
    return hash_ ^ hash_ >> 15


def _murmur2_same_length(keys: Sequence[bytes], length: int) -> list[int]:
    if len(keys) < _FEW_KEYS or sys.byteorder != "little":
        return [murmur2(key) for key in keys]
    count = len(keys)
    words, extra = divmod(length, 4)
    columns = _columns(keys, padding=-length % 4, width=words + bool(extra))
    word_mask = _lanes(_WORD, count)
    low_8 = _lanes(0xFF, count)
    hashes = _lanes(_SEED ^ length, count)
    for column in columns[:words]:
        # A lane holds 64 bits and the factors 32 and 31, so no product runs into its neighbour.
        mixed = column * _MULTIPLIER & word_mask
        hashes = (hashes * _MULTIPLIER ^ (mixed ^ mixed >> 24 & low_8) * _MULTIPLIER) & word_mask
    if extra:
        hashes = (hashes ^ columns[words]) * _MULTIPLIER & word_mask
    # After a shift the top of a lane holds bits of its neighbour: only what is left of its own word is kept.
    hashes = (hashes ^ hashes >> 13 & _lanes(_WORD >> 13, count)) * _MULTIPLIER & word_mask
    hashes ^= hashes >> 15 & _lanes(_WORD >> 15, count)
    return memoryview(hashes.to_bytes(count * _LANE_BYTES, "little")).cast("Q").tolist()


def _columns(keys: Sequence[bytes], *, padding: int, width: int) -> list[int]:
    """The first words of all keys as one integer, the second words, and so on; the last word padded with zeros."""
    pad = bytes(padding)
    words = memoryview(pad.join(keys) + pad).cast("I") if width else memoryview(b"")
    lanes = memoryview(bytearray(len(keys) * _LANE_BYTES))
    low_halves = lanes.cast("I")[::2]
    columns = []
    for number in range(width):
        low_halves[:] = words[number::width]
        columns.append(int.from_bytes(lanes, "little"))
    return columns


def _lanes(value: int, count: int) -> int:
    return int.from_bytes(value.to_bytes(_LANE_BYTES, "little") * count, "little")
