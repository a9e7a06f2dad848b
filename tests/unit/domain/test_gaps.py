"""Tables: when a gap is settled, which reports it may have lost, how it ends, what is done next."""

import pytest

from relay.domain.gap_moves import BeginScan, EndGaps, Wait, Walk, next_move, uncomparable
from relay.domain.gaps import (
    GapEnding,
    OpenGap,
    RecoveryPolicy,
    Scan,
    StreamGaps,
    Window,
    endings,
    gap_of,
    is_expired,
    settled_until_ms,
    window,
)
from relay.domain.history import GapState

SECOND = 1000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
NOW = 1_700_000_000_000
POLICY = RecoveryPolicy(settle_ms=10 * MINUTE, lookback_ms=48 * HOUR)
FIRST_POLL = NOW - 40 * HOUR


def gap(
    id_: int = 1,
    *,
    since: int = NOW - 61 * MINUTE,
    until: int = NOW - HOUR,
    drained: int | None = NOW - 62 * MINUTE,
    scan: int | None = None,
) -> OpenGap:
    return OpenGap(id_, since, until, drained, scan)


def stream(
    *gaps: OpenGap,
    scans: tuple[Scan, ...] = (),
    drained: int | None = NOW - SECOND,
    pending: int | None = None,
    first_poll: int | None = FIRST_POLL,
) -> StreamGaps:
    return StreamGaps(first_poll, drained, pending, gaps, scans)


def scan(id_: int = 1, *, upper: int = NOW - 50 * MINUTE, front: int = NOW - 2 * HOUR, position: int) -> Scan:
    return Scan(id_, upper, front, position)


@pytest.mark.parametrize(
    ("settle_seconds", "before_ms", "after_ms"), [(600, 600_000, 60_000), (5, 5000, 500), (3600, 3_600_000, 60_000)]
)
def test_slack_follows_the_settling_time(settle_seconds: int, before_ms: int, after_ms: int) -> None:
    policy = RecoveryPolicy(settle_seconds * 1000, HOUR)
    assert (policy.slack_before_ms, policy.slack_after_ms) == (before_ms, after_ms)


@pytest.mark.parametrize(
    ("drained", "pending", "settled"),
    [
        (None, None, NOW - 100 * MINUTE),
        (NOW, None, NOW - 10 * MINUTE),
        (NOW - 6 * MINUTE, None, NOW - 11 * MINUTE),
        (NOW - HOUR, None, NOW - 65 * MINUTE),
        (NOW - 3 * HOUR, None, NOW - 100 * MINUTE),
        (NOW, NOW + 1, NOW - 10 * MINUTE),
        (NOW, NOW, NOW - 100 * MINUTE),
        (NOW, NOW - SECOND, NOW - 100 * MINUTE),
    ],
    ids=[
        "never drained",
        "drained now",
        "a little ago",
        "an hour ago",
        "too long ago",
        "a later fetch is pending",
        "the draining fetch is pending",
        "an earlier fetch is pending",
    ],
)
def test_settled_until(drained: int | None, pending: int | None, settled: int) -> None:
    assert settled_until_ms(stream(drained=drained, pending=pending), POLICY, NOW) == settled


@pytest.mark.parametrize(
    ("since", "drained", "first_poll", "from_ms", "reach_ms"),
    [
        (NOW - HOUR, NOW - HOUR, FIRST_POLL, NOW - 70 * MINUTE, NOW - 70 * MINUTE),
        (NOW - HOUR, NOW - 2 * HOUR, FIRST_POLL, NOW - 130 * MINUTE, NOW - 130 * MINUTE),
        (NOW - HOUR, None, FIRST_POLL, FIRST_POLL, 0),
        (NOW - HOUR, NOW - HOUR, NOW - 65 * MINUTE, NOW - 65 * MINUTE, NOW - 70 * MINUTE),
        (NOW - HOUR, NOW - HOUR, None, NOW - HOUR, NOW - 70 * MINUTE),
    ],
    ids=["slack", "the queue was not empty", "it never was", "never before the first poll", "no poll"],
)
def test_a_window_begins_when_the_queue_was_last_empty(
    since: int, drained: int | None, first_poll: int | None, from_ms: int, reach_ms: int
) -> None:
    lost = gap(since=since, until=NOW - 50 * MINUTE, drained=drained)
    assert window(lost, first_poll, POLICY) == Window(1, from_ms, NOW - 49 * MINUTE, NOW - 50 * MINUTE, reach_ms)


WINDOWS = (Window(1, 100, 260, 200, 100), Window(2, 180, 360, 300, 180), Window(3, 700, 960, 900, 700))


@pytest.mark.parametrize(
    ("done", "gap_id"),
    [
        (99, None),
        (100, 1),
        (200, 1),
        (201, 2),
        (260, 2),
        (300, 2),
        (301, 2),
        (360, 2),
        (361, None),
        (699, None),
        (960, 3),
        (961, None),
    ],
)
def test_a_report_counts_to_the_first_read_that_ended_after_it_was_done(done: int, gap_id: int | None) -> None:
    assert gap_of(done, WINDOWS) == gap_id


@pytest.mark.parametrize(
    ("until", "expired"),
    [(NOW - 48 * HOUR, False), (NOW - 48 * HOUR - MINUTE, False), (NOW - 48 * HOUR - MINUTE - 1, True)],
)
def test_expired(until: int, expired: bool) -> None:
    assert is_expired(gap(until=until), POLICY, NOW) is expired


# --- how gaps end ---

CLOSED, INCOMPLETE = GapState.CLOSED, GapState.INCOMPLETE


@pytest.mark.parametrize(
    ("position", "hole", "earlier", "reach", "state", "compared_from"),
    [
        (0, None, 0, 500, CLOSED, 1),
        (499, None, 0, 500, CLOSED, 500),
        (500, None, 0, 500, INCOMPLETE, 501),
        (0, 899, 0, 500, INCOMPLETE, 900),
        (0, 900, 0, 500, INCOMPLETE, 900),
        (0, 901, 0, 500, CLOSED, 1),
        (0, 20, 0, 500, INCOMPLETE, 21),
        (0, None, 7, 500, CLOSED, 1),
        (0, None, 0, 499, CLOSED, 1),
        (0, None, 7, 499, INCOMPLETE, 1),
    ],
    ids=[
        "all compared",
        "just far enough",
        "not far enough",
        "a hole within",
        "a hole at the end",
        "a hole after it",
        "a hole long before",
        "earlier rows are another's",
        "nothing earlier is missing",
        "earlier rows may be from the lost read",
    ],
)
def test_how_a_gap_ends(
    position: int, hole: int | None, earlier: int, reach: int, state: GapState, compared_from: int
) -> None:
    walked = Scan(1, 1000, 300, position, hole, earlier)
    lost, lost_in = OpenGap(1, 490, 840, 480, 1), Window(1, 500, 900, 840, reach)
    assert endings(walked, [lost], [lost_in]) == [GapEnding(1, 840, state, compared_from, 900)]


def test_a_gap_that_grew_past_its_scan_does_not_end() -> None:
    walked = Scan(1, 899, 300, 0)
    assert endings(walked, [OpenGap(1, 490, 840, 480, 1)], [Window(1, 500, 900, 840, 500)]) == []


# --- what is done next ---


def test_nothing_to_do() -> None:
    assert next_move(stream(), POLICY, NOW, comparing=True) == Wait(15.0)
    assert next_move(stream(), RecoveryPolicy(5 * SECOND, HOUR), NOW, comparing=True) == Wait(0.5)
    assert next_move(stream(), RecoveryPolicy(20 * SECOND, HOUR), NOW, comparing=True) == Wait(2.0)


def test_a_gap_that_is_not_settled_waits() -> None:
    young = gap(until=NOW - 9 * MINUTE)
    assert isinstance(next_move(stream(young), POLICY, NOW, comparing=True), Wait)
    pending = stream(gap(), pending=NOW - 2 * HOUR)
    assert isinstance(next_move(pending, POLICY, NOW, comparing=True), Wait)


def test_all_gaps_that_are_due_begin_one_scan() -> None:
    older = gap(1, since=NOW - 3 * HOUR, until=NOW - 2 * HOUR, drained=NOW - 3 * HOUR)
    begun = next_move(stream(older, gap(2), gap(3, until=NOW - MINUTE)), POLICY, NOW, comparing=True)
    assert begun == BeginScan([1, 2], NOW - 59 * MINUTE, NOW - 190 * MINUTE)


def test_an_expired_gap_ends_first_and_whatever_serves_it() -> None:
    old = gap(1, until=NOW - 49 * HOUR, scan=1)
    found = stream(old, gap(2), scans=(scan(position=NOW - HOUR),))
    assert next_move(found, POLICY, NOW, comparing=True) == EndGaps([GapEnding(1, NOW - 49 * HOUR, GapState.EXPIRED)])
    assert next_move(found, POLICY, NOW, comparing=False) == next_move(found, POLICY, NOW, comparing=True)


def test_switched_off_gaps_stay_open() -> None:
    assert isinstance(next_move(stream(gap()), POLICY, NOW, comparing=False), Wait)


def test_a_scan_walks_to_its_front_first() -> None:
    served = gap(scan=1)
    walked = scan(position=NOW - 70 * MINUTE)
    assert next_move(stream(served, scans=(walked,)), POLICY, NOW, comparing=True) == Walk(
        walked,
        [Window(1, NOW - 72 * MINUTE, NOW - 59 * MINUTE, NOW - HOUR, NOW - 72 * MINUTE)],
        NOW - 2 * HOUR,
        doubtful_from_ms=None,
    )


def test_then_on_to_where_the_logs_end() -> None:
    walked = scan(position=NOW - 2 * HOUR - 1)
    move = next_move(stream(gap(scan=1, drained=None), scans=(walked,)), POLICY, NOW, comparing=True)
    assert isinstance(move, Walk)
    assert (move.floor_ms, move.doubtful_from_ms) == (NOW - 48 * HOUR, 0)


def test_windows_of_a_walk_are_in_the_order_of_their_reads() -> None:
    later, sooner = gap(1, until=NOW - 60 * MINUTE, scan=1), gap(2, until=NOW - 61 * MINUTE, scan=1)
    move = next_move(stream(later, sooner, scans=(scan(position=NOW - HOUR),)), POLICY, NOW, comparing=True)
    assert isinstance(move, Walk)
    assert [one.gap_id for one in move.windows] == [2, 1]


def test_a_scan_that_is_through_ends_its_gaps() -> None:
    walked = scan(position=NOW - 48 * HOUR - 1)
    move = next_move(stream(gap(scan=1), gap(2), scans=(walked,)), POLICY, NOW, comparing=True)
    assert move == EndGaps([GapEnding(1, NOW - HOUR, CLOSED, NOW - 48 * HOUR, NOW - 59 * MINUTE)], scan_id=1)


def test_a_scan_that_serves_nobody_ends() -> None:
    assert next_move(stream(scans=(scan(position=NOW),)), POLICY, NOW, comparing=True) == EndGaps([], 1)


def test_new_gaps_wait_while_a_scan_is_before_its_front() -> None:
    walked = scan(position=NOW - HOUR)
    move = next_move(stream(gap(scan=1), gap(2), scans=(walked,)), POLICY, NOW, comparing=True)
    assert isinstance(move, Walk)


def test_new_gaps_begin_a_second_scan_beside_a_deep_one_and_it_goes_first() -> None:
    deep = scan(position=NOW - 20 * HOUR)
    assert next_move(stream(gap(scan=1), gap(2), scans=(deep,)), POLICY, NOW, comparing=True) == BeginScan(
        [2], NOW - 59 * MINUTE, NOW - 72 * MINUTE
    )
    young = scan(2, position=NOW - HOUR)
    move = next_move(stream(gap(scan=1), gap(2, scan=2), scans=(deep, young)), POLICY, NOW, comparing=True)
    assert isinstance(move, Walk)
    assert move.scan == young


def test_the_older_scan_gets_every_other_turn_so_that_it_ends_however_often_gaps_come() -> None:
    deep, young = scan(position=NOW - 20 * HOUR), scan(2, position=NOW - HOUR)
    gaps = stream(gap(scan=1), gap(2, scan=2), scans=(deep, young))
    moves = [next_move(gaps, POLICY, NOW, comparing=True, turn=turn) for turn in range(4)]
    assert [move.scan.id for move in moves if isinstance(move, Walk)] == [2, 1, 2, 1]


def test_at_its_front_the_younger_scan_gives_way() -> None:
    deep, young = scan(position=NOW - 20 * HOUR), scan(2, position=NOW - 3 * HOUR)
    move = next_move(stream(gap(scan=1), gap(2, scan=2), scans=(deep, young)), POLICY, NOW, comparing=True)
    assert isinstance(move, Walk)
    assert move.scan == deep


def test_further_gaps_join_the_younger_scan_which_begins_anew() -> None:
    deep, young = scan(position=NOW - 20 * HOUR), scan(2, position=NOW - 3 * HOUR)
    third = gap(3, since=NOW - 21 * MINUTE, until=NOW - 20 * MINUTE, drained=NOW - 21 * MINUTE)
    move = next_move(stream(gap(scan=1), gap(2, scan=2), third, scans=(deep, young)), POLICY, NOW, comparing=True)
    assert move == BeginScan([3, 2], NOW - 19 * MINUTE, NOW - 72 * MINUTE, 2)


def test_without_a_logs_endpoint_a_gap_is_incomplete_once_it_would_be_compared() -> None:
    young = gap(2, until=NOW - 9 * MINUTE)
    assert uncomparable(stream(gap(), young), POLICY, NOW) == EndGaps([GapEnding(1, NOW - HOUR, INCOMPLETE)])
    assert uncomparable(stream(young), POLICY, NOW) == Wait(15.0)
