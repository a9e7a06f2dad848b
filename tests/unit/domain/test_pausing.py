"""Failures in a row, and what is told of a pause."""

from relay.domain.pausing import Pause, PausedBy, Run


def run(*failures_at: float) -> Run:
    one = Run()
    for at in failures_at:
        one = one.failed("HTTP 500", at)
    return one


def test_ten_in_a_row_are_spared() -> None:
    assert not run(*range(9)).spared
    assert run(*range(10)).spared


def test_half_open_takes_ten_and_thirty_seconds() -> None:
    ten_at_once = run(*[100.0] * 10)
    assert not ten_at_once.half_open(129.9)
    assert ten_at_once.half_open(130.0)
    assert not run(*[100.0] * 9).half_open(1000.0)


def test_a_row_knows_when_it_began_and_how_it_failed_last() -> None:
    assert run(100.0, 105.0).failed("HTTP 503", 110.0) == Run(3, 100.0, "HTTP 503")


def test_why_it_is_paused_in_words() -> None:
    assert Pause(PausedBy.GONE, "HTTP 410", 0).told == "the callback says that it is gone (HTTP 410)"
    assert Pause(PausedBy.HAND, "", 0).told == "paused by hand"
    assert Pause(PausedBy.HAND, "a new version", 0).told == "paused by hand: a new version"
