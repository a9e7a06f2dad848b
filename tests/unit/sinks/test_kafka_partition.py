"""murmur2 as in Kafka's Java client: vectors from its own tests, and every way of computing it against the others."""

import random

import pytest
from aiokafka.partitioner import murmur2 as reference

from relay.sinks.kafka_partition import murmur2, murmur2_all, partitions_of

JAVA_VECTORS = {  # org.apache.kafka.common.utils.UtilsTest.testMurmur2, as unsigned
    b"21": -973932308,
    b"foobar": -790332482,
    b"a-little-bit-long-string": -985981536,
    b"a-little-bit-longer-string": -1486304829,
    b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
    b"abc": 479470107,
}


@pytest.mark.parametrize(("key", "expected"), JAVA_VECTORS.items())
def test_as_java_computes_it(key: bytes, expected: int) -> None:
    assert murmur2(key) == expected % 2**32
    assert murmur2_all([key] * 9) == [expected % 2**32] * 9


@pytest.mark.parametrize("length", [0, 1, 2, 3, 4, 5, 19, 36, 256])
def test_many_keys_of_one_length_at_once(length: int) -> None:
    source = random.Random(length)
    keys = [source.randbytes(length) for _ in range(50)]
    extreme = [b"\xff" * length, b"\x00" * length, b"\x80" * length]

    assert murmur2_all([*keys, *extreme]) == [reference(key) for key in [*keys, *extreme]]


def test_keys_of_mixed_lengths_keep_their_order() -> None:
    source = random.Random(7)
    keys = [source.randbytes(source.randrange(12)) for _ in range(200)]

    assert murmur2_all(keys) == [reference(key) for key in keys]


def test_partitions_are_javas() -> None:
    # toPositive(murmur2("abc")) % 6 and toPositive(murmur2("21")) % 6, computed by hand from the vectors above
    assert partitions_of([b"abc", b"21"], 6) == [479470107 % 6, (-973932308 & 0x7FFFFFFF) % 6]
    assert partitions_of([b"abc", b"21"], 1) == [0, 0]
    assert partitions_of([], 6) == []
