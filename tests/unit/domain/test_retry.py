"""The schedule of retries, and Retry-After."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.domain.retry import (
    equal_jitter_seconds,
    exponential_seconds,
    full_jitter_seconds,
    honoured_seconds,
    parse_retry_after,
)

NOON_MS = 1_717_243_200_000  # Sat, 01 Jun 2024 12:00:00 GMT


@pytest.mark.parametrize(
    ("failures", "seconds"),
    [(0, 5), (1, 5), (2, 10), (3, 20), (4, 40), (10, 2560), (14, 36000), (1_000_000, 36000)],
)
def test_waits_double_up_to_the_cap(failures: int, seconds: float) -> None:
    assert exponential_seconds(failures, initial_seconds=5, max_seconds=36000) == seconds


@pytest.mark.parametrize(("drawn", "full", "equal"), [(0.0, 0.0, 10.0), (0.5, 10.0, 15.0), (0.75, 15.0, 17.5)])
def test_jitter_spreads_the_wait(drawn: float, full: float, equal: float) -> None:
    assert full_jitter_seconds(3, initial_seconds=5, max_seconds=60, random=lambda: drawn) == full
    assert equal_jitter_seconds(3, initial_seconds=5, max_seconds=60, random=lambda: drawn) == equal


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("0", 0.0),
        ("120", 120.0),
        (" 120 ", 120.0),
        ("1.5", 1.5),
        ("31536000", 31_536_000.0),
        ("9" * 100, float("9" * 100)),
        ("Sat, 01 Jun 2024 12:01:30 GMT", 90.0),
        ("Sat, 01 Jun 2024 14:01:30 +0200", 90.0),
        ("Sat, 01 Jun 2024 12:01:30", 90.0),
        ("Sat, 01 Jun 2024 12:01:30 -0000", 90.0),
        ("Saturday, 01-Jun-24 12:01:30 GMT", 90.0),
        ("Sat, 01 Jun 2024 11:00:00 GMT", 0.0),
        ("Sun, 01 Jun 2025 12:00:00 GMT", 31_536_000.0),
        (None, None),
        ("", None),
        ("soon", None),
        ("-5", None),
        ("٣", None),
        ("1e9", None),
        ("inf", None),
        ("nan", None),
        ("Sat, 99 Jun 2024 12:01:30 GMT", None),
        ("Fri, 01 Jun 99999 12:01:30 GMT", None),
        ("1" * 200, None),
    ],
)
def test_retry_after_is_seconds_or_a_date(header: str | None, seconds: float | None) -> None:
    assert parse_retry_after(header, now_ms=NOON_MS) == seconds


@pytest.mark.parametrize(("asked", "honoured"), [(None, None), (0.0, 0.0), (59.0, 59.0), (31_536_000.0, 3600.0)])
def test_retry_after_is_honoured_up_to_a_cap(asked: float | None, honoured: float | None) -> None:
    assert honoured_seconds(asked, cap_seconds=3600) == honoured


@given(st.text(max_size=140))
def test_no_header_breaks_it(header: str) -> None:
    seconds = parse_retry_after(header, now_ms=NOON_MS)
    assert seconds is None or seconds >= 0
