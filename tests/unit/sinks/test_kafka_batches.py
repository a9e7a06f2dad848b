"""Records into batches: nothing lost at the edge of a full batch, order kept within a partition."""

from collections.abc import Sequence

import pytest

from relay.ports import Record, RecordsRefused
from relay.sinks.kafka_batches import MAX_RECORD_BYTES, fill_batches
from relay.sinks.kafka_encoding import RecordBatch

CODEC_NONE = 0


class SmallBatch:
    """Takes two records, and none whose value is `never`."""

    def __init__(self) -> None:
        self.keys: list[bytes] = []

    def extend(self, records: Sequence[Record], start: int) -> int:
        taken = [record.key for record in records[start : start + 2] if record.value != b"never"]
        self.keys += taken
        return start + len(taken)


def record(seq: int, *, topic: str = "reports", key: bytes = b"abc", value: bytes = b"{}") -> Record:
    return Record(seq, topic, key, value, key, (), 1000)


def test_a_record_that_did_not_fit_begins_the_next_batch() -> None:
    records = [record(seq, key=b"k%d" % seq) for seq in range(5)]

    filled = list(fill_batches(records, {"reports": 1}, SmallBatch))

    assert [batch.batch.keys for batch in filled] == [[b"k0", b"k1"], [b"k2", b"k3"], [b"k4"]]  # type: ignore[attr-defined]


def test_topics_and_partitions_have_batches_of_their_own() -> None:
    # murmur2 (Java): abc -> 479470107, 21 -> -973932308; of 3 partitions 0 and 0, of 4 partitions 3 and 0
    records = [record(1, key=b"abc"), record(2, key=b"21"), record(3, topic="quarantine", key=b"acme/sms")]

    filled = list(fill_batches(records, {"reports": 4, "quarantine": 1}, SmallBatch))

    assert [(batch.topic, batch.partition, batch.batch.keys) for batch in filled] == [  # type: ignore[attr-defined]
        ("reports", 3, [b"abc"]),
        ("reports", 0, [b"21"]),
        ("quarantine", 0, [b"acme/sms"]),
    ]


def test_a_record_that_fits_no_batch_is_refused() -> None:
    with pytest.raises(RecordsRefused):
        list(fill_batches([record(1, value=b"never")], {"reports": 1}, SmallBatch))


def test_a_record_beyond_any_broker_is_refused_unsent() -> None:
    with pytest.raises(RecordsRefused, match="16777217"):
        list(fill_batches([record(1, value=bytes(MAX_RECORD_BYTES + 1))], {"reports": 1}, SmallBatch))


def test_a_batch_takes_one_record_of_any_size_and_none_beside_it() -> None:
    records = [record(1), record(2, value=bytes(500)), record(3)]

    filled = list(fill_batches(records, {"reports": 1}, lambda: RecordBatch(300, CODEC_NONE)))

    assert [batch.batch.record_count() for batch in filled] == [1, 1, 1]  # type: ignore[attr-defined]
