"""The bounds at which nothing more is taken in."""

import pytest

from relay.domain.room import NoRoom, no_room


@pytest.mark.parametrize(
    ("unpublished", "free_bytes", "expected"),
    [
        (9, 100, None),
        (10, 100, NoRoom("unpublished", "10 reports are not yet published, max_unpublished is 10")),
        (
            10,
            99,
            NoRoom("disk", "the journal's disk is nearly full: 99 bytes free, min_free_bytes is 100"),
        ),
    ],
)
def test_no_room(unpublished: int, free_bytes: int, expected: NoRoom | None) -> None:
    assert no_room(unpublished=unpublished, free_bytes=free_bytes, max_unpublished=10, min_free_bytes=100) == expected
