"""Kafka's record batches (magic 2), written for records of one stream: what neighbours share is encoded once.

aiokafka's own builder encodes each header of each record, which costs three times as much.
"""

from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from struct import Struct

from aiokafka.codec import gzip_encode, lz4_encode, snappy_encode, zstd_encode
from aiokafka.producer.message_accumulator import BatchBuilder
from aiokafka.record.util import calc_crc32c

from relay.ports import Record

_HEAD = Struct(">qiibI")
"""Base offset, length of what follows it, leader epoch, magic, checksum of what follows that."""
_CHECKED = Struct(">hiqqqhii")
"""Attributes, last offset, first and last timestamp, producer's id and epoch, its first sequence, count of records."""
_HEADER_BYTES = _HEAD.size + _CHECKED.size
_LENGTH_FROM_BYTES = 12
_MAGIC = 2
_NO_LEADER_EPOCH = -1
_TRANSACTIONAL = 0x10
_COMPRESSED: Mapping[int, Callable[[bytes], bytes]] = {1: gzip_encode, 2: snappy_encode, 3: lz4_encode, 4: zstd_encode}


def _varint(number: int) -> bytes:
    """As Kafka writes numbers in a record: zigzag, seven bits a byte."""
    left = (number << 1) ^ (number >> 63)
    written = bytearray()
    while left > 0x7F:
        written.append(left & 0x7F | 0x80)
        left >>= 7
    written.append(left)
    return bytes(written)


class _AnyVarints:
    """Those of all numbers."""

    def __getitem__(self, number: int) -> bytes:
        return _varint(number)


_varints = _AnyVarints()
_SMALL = 1 << 13
_small_varints = [_varint(number) for number in range(_SMALL)]
"""Those that nearly all records need, already made."""
_LONGEST_IDS_BYTES = 4096
"""Key and `ce_id` are made of a messageId of 256 characters at most, or of a stream's name; with all numbers."""
_ID_NAME = _varint(5) + b"ce_id"
_SEQ_NAMES = [_varint(9) + b"relay_seq" + _varint(digits) for digits in range(20)]
"""By the digits of the number that follows, of 64 bits at most."""


class RecordBatch(BatchBuilder):  # type: ignore[misc]
    """What aiokafka's accumulator takes for a batch of its own."""

    def __init__(self, batch_bytes: int, codec: int, *, is_transactional: bool = False) -> None:
        self._most_bytes = batch_bytes - _HEADER_BYTES
        self._codec = codec
        self._transactional = _TRANSACTIONAL if is_transactional else 0
        self._pieces: list[bytes] = []
        self._records_bytes = 0
        self._count = 0
        self._first_ms = self._last_ms = 0
        self._producer = (-1, -1, 0)
        self._built: bytes | None = None

    def extend(self, records: Sequence[Record], start: int) -> int:
        """Take the records from `start` on as far as they fit, the first of a batch whatever its size; the place of
        the first that was not taken."""
        if not self._count:
            self._first_ms = self._last_ms = records[start].timestamp_ms
        pieces, most_bytes = self._pieces, self._most_bytes
        offset, records_bytes = self._count, self._records_bytes
        lead, lead_ms, last_ms, shared, shared_by, most_small_bytes = b"", -1, self._last_ms, b"", None, 0
        for record in islice(records, start, None):
            key, value, id_, common, timestamp_ms = (
                record.key,
                record.value,
                record.id,
                record.common,
                record.timestamp_ms,
            )
            if common is not shared_by:
                shared, shared_by = _headers(common), common
                most_small_bytes = _SMALL - _LONGEST_IDS_BYTES - len(shared)
            if timestamp_ms != lead_ms:
                lead, lead_ms = b"\0" + _varint(timestamp_ms - self._first_ms), timestamp_ms
            number = b"%d" % record.seq
            varints = _small_varints if len(value) < most_small_bytes and offset < _SMALL else _varints
            delta, key_length, value_length = varints[offset], varints[len(key)], varints[len(value)]
            id_length, seq_name = varints[len(id_)], _SEQ_NAMES[len(number)]
            record_bytes = (
                len(lead) + len(delta) + len(key_length) + len(key) + len(value_length) + len(value)
                + len(shared) + len(id_length) + len(id_) + len(seq_name) + len(number)
            )  # fmt: skip
            length = varints[record_bytes]
            with_it_bytes = records_bytes + len(length) + record_bytes
            if offset and with_it_bytes > most_bytes:
                break  # before its timestamp counts
            if timestamp_ms > last_ms:  # noqa: PLR1730 - for every report, a call of max costs several times as much
                last_ms = timestamp_ms
            pieces += (
                length, lead, delta, key_length, key, value_length, value, shared, id_length, id_, seq_name, number,
            )  # fmt: skip
            records_bytes = with_it_bytes
            offset += 1
        taken = offset - self._count
        self._count, self._records_bytes, self._last_ms = offset, records_bytes, last_ms
        return start + taken

    def close(self) -> None:
        """Nothing is added to it behind our back: `append` is for records sent one by one, which nobody does."""

    def closed(self) -> bool:
        return True

    def record_count(self) -> int:
        return self._count

    def size(self) -> int:
        return _HEADER_BYTES + self._records_bytes if self._built is None else len(self._built)

    def _set_producer_state(self, producer_id: int, producer_epoch: int, base_sequence: int) -> None:
        self._producer = (producer_id, producer_epoch, base_sequence)

    def _build(self) -> bytes:
        if self._built is None:
            self._built = self._written()
            self._pieces = []
        return self._built

    def _written(self) -> bytes:
        records = b"".join(self._pieces)
        attributes = self._transactional
        if self._codec:
            compressed = _COMPRESSED[self._codec](records)
            if len(compressed) < len(records):
                records, attributes = compressed, attributes | self._codec
        checked = _CHECKED.pack(
            attributes, self._count - 1, self._first_ms, self._last_ms, *self._producer, self._count
        )
        checked += records
        length = _HEADER_BYTES - _LENGTH_FROM_BYTES + len(records)
        return _HEAD.pack(0, length, _NO_LEADER_EPOCH, _MAGIC, calc_crc32c(checked)) + checked


def _headers(common: Sequence[tuple[str, bytes]]) -> bytes:
    """The headers of a record as far as the value of `ce_id`; `relay_seq` follows that."""
    encoded = [_varint(len(common) + 2)]
    for name, value in common:
        written = name.encode()
        encoded += (_varint(len(written)), written, _varint(len(value)), value)
    return b"".join([*encoded, _ID_NAME])
