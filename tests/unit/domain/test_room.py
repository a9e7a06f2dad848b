"""The bounds at which nothing more is taken in."""

import pytest

from relay.domain.room import NoRoom, no_room
from relay.observe.redact import Redactor


@pytest.mark.parametrize(
    ("unpublished", "free_bytes", "expected"),
    [
        (9, 100, None),
        (10, 100, NoRoom("unpublished", "10 reports are not yet published, max_unpublished is 10")),
        (
            10,
            99,
            NoRoom("disk", "the journal's disk is nearly full: 99 bytes free, min_free_bytes is 100 bytes"),
        ),
    ],
)
def test_no_room(unpublished: int, free_bytes: int, expected: NoRoom | None) -> None:
    assert no_room(unpublished=unpublished, free_bytes=free_bytes, max_unpublished=10, min_free_bytes=100) == expected


def test_a_log_that_masks_phone_numbers_leaves_the_figures_readable() -> None:
    disk = no_room(unpublished=0, free_bytes=9_990_144, max_unpublished=10, min_free_bytes=268_435_456)
    stream = no_room(unpublished=10_000_001, free_bytes=1, max_unpublished=10_000_000, min_free_bytes=0)
    assert disk is not None
    assert Redactor().text(disk.message) == (
        "the journal's disk is nearly full: 9.5 MiB free, min_free_bytes is 256.0 MiB"
    )
    assert stream is not None
    assert Redactor().text(stream.message) == (
        "10,000,001 reports are not yet published, max_unpublished is 10,000,000"
    )
