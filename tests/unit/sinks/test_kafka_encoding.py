"""Batches as they go over the wire, read back by aiokafka's own reader, which checks the checksum."""

import struct

import pytest
from aiokafka.record.memory_records import MemoryRecords

from relay.ports import Record
from relay.sinks.kafka_encoding import RecordBatch

CODECS = {"none": 0, "gzip": 1, "snappy": 2, "lz4": 3, "zstd": 4}
COMMON = (("ce_source", b"/acme/sms"), ("ce_origin", b"poll"))


def record(
    seq: int,
    *,
    id_: bytes = b"m-1",
    value: bytes = b"{}",
    at_ms: int = 1000,
    common: tuple[tuple[str, bytes], ...] = (),
) -> Record:
    return Record(seq, "reports", b"key", value, id_, common, at_ms)


def read_back(batch: RecordBatch) -> list[tuple[int, int, bytes, bytes, list[tuple[str, bytes]]]]:
    found = MemoryRecords(bytes(batch._build())).next_batch()
    assert found is not None
    assert found.validate_crc()
    return [(one.offset, one.timestamp, one.key, one.value, list(one.headers)) for one in found]


def test_records_are_written_as_they_are() -> None:
    batch = RecordBatch(1000, CODECS["none"])
    records = [
        record(7, value=b'{"messageId":"m-1"}', at_ms=1_700_000_000_123, common=COMMON),
        record(123_456_789_012, id_=b"m-2#2", at_ms=1_700_000_000_456),
    ]

    assert batch.extend(records, 0) == 2
    assert batch.record_count() == 2

    assert read_back(batch) == [
        (
            0,
            1_700_000_000_123,
            b"key",
            b'{"messageId":"m-1"}',
            [("ce_source", b"/acme/sms"), ("ce_origin", b"poll"), ("ce_id", b"m-1"), ("relay_seq", b"7")],
        ),
        (1, 1_700_000_000_456, b"key", b"{}", [("ce_id", b"m-2#2"), ("relay_seq", b"123456789012")]),
    ]


def test_lengths_of_one_byte_two_and_more() -> None:
    values = [bytes([65]) * size for size in (0, 1, 63, 64, 8191, 8192, 70_000)]
    batch = RecordBatch(1_000_000, CODECS["none"])

    batch.extend([record(seq, value=value) for seq, value in enumerate(values)], 0)

    assert [one[3] for one in read_back(batch)] == values


@pytest.mark.parametrize("around_bytes", [4000, 8100])
def test_every_length_is_right_where_short_numbers_end(around_bytes: int) -> None:
    long = (("ce_source", b"s" * 300), ("ce_origin", b"poll"))
    id_ = ("\U0001f600" * 256).encode() + b"#12"
    sizes = range(around_bytes - 300, around_bytes + 300, 7)
    batch = RecordBatch(1_000_000, CODECS["none"])

    batch.extend([record(seq, id_=id_, value=b"v" * size, common=long) for seq, size in enumerate(sizes)], 0)

    found = read_back(batch)
    assert [len(one[3]) for one in found] == list(sizes)
    assert {one[4][2] for one in found} == {("ce_id", id_)}


def test_many_small_records_are_counted_past_where_short_numbers_end() -> None:
    batch = RecordBatch(1_000_000, CODECS["none"])

    assert batch.extend([record(seq) for seq in range(9000)], 0) == 9000

    assert [(one[0], one[4][-1]) for one in read_back(batch)][8190:] == [
        (seq, ("relay_seq", b"%d" % seq)) for seq in range(8190, 9000)
    ]


def test_a_clock_that_went_back_makes_an_earlier_timestamp() -> None:
    batch = RecordBatch(1000, CODECS["none"])

    batch.extend([record(1, at_ms=5000), record(2, at_ms=1000), record(3, at_ms=9000), record(4, at_ms=8999)], 0)

    assert [one[1] for one in read_back(batch)] == [5000, 1000, 9000, 8999]
    first_ms, most_ms = struct.unpack_from(">qq", batch._build(), 27)
    assert (first_ms, most_ms) == (5000, 9000)


def test_the_last_timestamp_is_not_that_of_a_record_that_was_not_taken() -> None:
    batch = RecordBatch(150, CODECS["none"])

    assert batch.extend([record(1, at_ms=5000), record(2, at_ms=6000), record(3, value=bytes(100), at_ms=9000)], 0) == 2

    assert struct.unpack_from(">qq", batch._build(), 27) == (5000, 6000)


@pytest.mark.parametrize("codec", CODECS)
def test_a_batch_is_compressed_when_that_makes_it_smaller(codec: str) -> None:
    large, small = RecordBatch(10_000, CODECS[codec]), RecordBatch(10_000, CODECS[codec])
    value = b"report " * 1000
    large.extend([record(1, value=value)], 0)
    small.extend([record(1, value=b"x")], 0)

    assert read_back(large)[0][3] == value
    assert read_back(small)[0][3] == b"x"
    assert struct.unpack_from(">h", large._build(), 21) == (CODECS[codec],)
    if codec != "gzip":  # whose head and tail alone are longer than what they wrap
        assert struct.unpack_from(">h", small._build(), 21) == (0,)
    assert (len(large._build()) < 5000) == (codec != "none")


def test_the_producer_of_a_transaction_is_told() -> None:
    batch = RecordBatch(1000, CODECS["none"], is_transactional=True)
    batch.extend([record(1), record(2)], 0)
    batch._set_producer_state(4711, 3, 42)

    found = MemoryRecords(batch._build()).next_batch()

    assert found is not None
    assert found.is_transactional
    assert (found.producer_id, found.producer_epoch, found.base_sequence) == (4711, 3, 42)
    assert found.next_offset == 2


def test_a_batch_is_full_at_its_bytes_and_says_its_size() -> None:
    one = RecordBatch(1000, CODECS["none"])
    one.extend([record(1)], 0)
    record_bytes = one.size() - 61
    records = [record(1), record(2), record(3)]

    exact, short = (RecordBatch(61 + 2 * record_bytes - less, CODECS["none"]) for less in (0, 1))

    assert exact.extend(records, 0) == 2
    assert exact.size() == 61 + 2 * record_bytes
    assert len(exact._build()) == exact.size()
    assert short.extend(records, 0) == 1
    assert short.extend(records, 1) == 1
    assert [entry[4][-1] for entry in read_back(short)] == [("relay_seq", b"1")]
