"""Comparing on demand, among fakes: what is found missing, what is appended, how a run ends."""

import asyncio

import pytest

from relay.domain.comparison import ComparisonRequest, MissingReport, Place, RunState
from relay.domain.gaps import OpenGap
from relay.ports import ComparisonRefused, LogsRefused, LogsUnavailable
from relay.stages.reconcile import ComparisonRuns
from relay.stages.reconcile.comparison import shortest_duration
from tests.unit.stages.reconcile_fakes import HOUR_MS, MINUTE_MS, NOW_MS, STREAM, Bench, row

DAY = ComparisonRequest(since_seconds=86400)
FIRST_POLL_MS = NOW_MS - 10 * HOUR_MS
GAP = OpenGap(1, NOW_MS - 31 * MINUTE_MS, NOW_MS - 30 * MINUTE_MS, NOW_MS - 31 * MINUTE_MS, None)


def bench(**given: object) -> Bench:
    """A gap half an hour ago, a first poll ten hours ago, a queue that is empty now; four rows are missing."""
    made = Bench(GAP, first_poll_ms=FIRST_POLL_MS, **given)
    for message_id, sent_ms in (
        ("known", NOW_MS - HOUR_MS),
        ("in the gap", NOW_MS - 31 * MINUTE_MS),
        ("elsewhere", NOW_MS - 3 * HOUR_MS),
        ("earlier", NOW_MS - 12 * HOUR_MS),
        ("too old", NOW_MS - 25 * HOUR_MS),
        ("may still come", NOW_MS - 9 * MINUTE_MS),
    ):
        made.logs.add(row(message_id, sent_ms=sent_ms), sent_ms=sent_ms)
    made.logs.add(row("pending", sent_ms=NOW_MS - HOUR_MS, final=False), sent_ms=NOW_MS - HOUR_MS)
    made.journal.known.add(("known", "5:0"))
    return made


async def compared(made: Bench, request: ComparisonRequest) -> list[MissingReport]:
    missing: list[MissingReport] = []
    await made.comparison.run(request, missing.extend)
    return missing


async def test_missing_reports_are_told_with_where_they_stand_and_appended() -> None:
    made = bench()
    missing = await compared(made, DAY)
    assert [(one.message_id, one.place, one.appended) for one in missing] == [
        ("in the gap", Place.GAP, True),
        ("elsewhere", Place.ELSEWHERE, True),
        ("earlier", Place.EARLIER, False),
    ]
    sent_ms = NOW_MS - 31 * MINUTE_MS
    assert missing[0] == MissingReport(STREAM, "in the gap", "5:0", sent_ms, sent_ms + 1000, Place.GAP, True)
    assert [(one.report.message_id, one.gap_id) for one in made.journal.appended] == [
        ("in the gap", 1),
        ("elsewhere", None),
    ]
    progress = made.comparison.progress
    assert (progress.state, progress.rows, progress.missing, progress.appended) == (RunState.DONE, 5, 3, 2)
    assert (progress.since_ms, progress.until_ms) == (NOW_MS - 24 * HOUR_MS, NOW_MS - 10 * MINUTE_MS)
    assert (progress.compared_from_ms, progress.calls_left) == (NOW_MS - 24 * HOUR_MS, 0)
    assert made.wakes == 1


async def test_a_dry_run_appends_nothing() -> None:
    made = bench()
    missing = await compared(made, DAY._replace(dry_run=True, include_earlier=True))
    assert [one.message_id for one in missing] == ["in the gap", "elsewhere", "earlier"]
    assert not any(one.appended for one in missing)
    assert made.journal.records == 0
    assert made.wakes == 0


async def test_earlier_ones_are_appended_if_asked_for() -> None:
    made = bench()
    await compared(made, DAY._replace(include_earlier=True))
    assert [one.report.message_id for one in made.journal.appended] == ["in the gap", "elsewhere", "earlier"]


async def test_gaps_are_left_to_their_stage() -> None:
    made = bench()
    await compared(made, DAY)
    assert made.journal.ended == []
    assert made.journal.scans == {}


async def test_no_more_is_compared_than_the_lookback() -> None:
    made = bench(lookback_hours=2)
    assert [one.message_id for one in await compared(made, DAY)] == ["in the gap"]


async def test_overlapping_spans_tell_a_report_once() -> None:
    made = Bench(first_poll_ms=FIRST_POLL_MS)
    for number in range(3000):
        sent_ms = NOW_MS - HOUR_MS - number // 40
        made.logs.add(row(f"m-{number}", sent_ms=sent_ms), sent_ms=sent_ms)
    missing = await compared(made, DAY._replace(dry_run=True))
    assert sorted(one.message_id for one in missing) == sorted(f"m-{number}" for number in range(3000))
    assert made.comparison.progress.missing == 3000


async def test_a_hole_is_told() -> None:
    made = Bench(first_poll_ms=FIRST_POLL_MS)
    made.logs.add(*(row(f"m-{n}", sent_ms=NOW_MS - HOUR_MS) for n in range(1001)), sent_ms=NOW_MS - HOUR_MS)
    await compared(made, DAY)
    assert (made.comparison.progress.state, made.comparison.progress.holes) == (RunState.INCOMPLETE, 3)


async def test_a_refusal_fails_the_stream() -> None:
    made = bench()
    made.logs.errors = [LogsRefused("the logs endpoint answered 401", 401)]
    await compared(made, DAY)
    progress = made.comparison.progress
    assert (progress.state, progress.error) == (RunState.FAILED, "the logs endpoint answered 401")


async def test_a_long_wait_fails_the_stream_and_a_short_one_does_not() -> None:
    made = bench()
    made.logs.errors = [LogsUnavailable("429", 0.01), LogsUnavailable("429", 121.0)]
    await compared(made, DAY)
    assert (made.comparison.progress.state, made.comparison.progress.calls) == (RunState.FAILED, 2)


async def test_before_the_cursor_was_read_nothing_can_be_compared() -> None:
    made = bench()
    made.journal.confirmed = False
    await compared(made, DAY)
    assert made.comparison.progress.state is RunState.FAILED


# --- runs ---


def runs(*made: Bench) -> ComparisonRuns:
    started = ComparisonRuns(lambda: NOW_MS)
    for one in made:
        started.add(one.comparison)
    return started


async def ended(started: ComparisonRuns) -> None:
    while (run := started.last()) is not None and run.state is RunState.RUNNING:  # noqa: ASYNC110 - no event tells
        await asyncio.sleep(0)


async def test_a_run_from_start_to_end() -> None:
    started = runs(bench())
    assert started.last() is None
    run = started.start(DAY)
    assert (run.state, run.streams[0].state, run.ended_at_ms) == (RunState.RUNNING, RunState.WAITING, None)
    await ended(started)
    last = started.last()
    assert last is not None
    assert (last.id, last.state, last.ended_at_ms, last.missing_kept) == (run.id, RunState.DONE, NOW_MS, 3)
    assert [one.message_id for one in started.missing(0, 2)] == ["in the gap", "elsewhere"]
    assert [one.message_id for one in started.missing(2, 2)] == ["earlier"]
    again = started.start(DAY)
    assert again.id != run.id
    assert (again.missing_kept, again.streams[0].missing) == (0, 0)
    await started.cancel()


async def test_one_run_at_a_time() -> None:
    started = runs(bench())
    started.start(DAY)
    with pytest.raises(ComparisonRefused) as refused:
        started.start(DAY)
    assert not refused.value.unknown
    await started.cancel()


@pytest.mark.parametrize("request_", [DAY._replace(source="other"), DAY._replace(kind="voice")])
async def test_what_does_not_exist_is_not_compared(request_: ComparisonRequest) -> None:
    with pytest.raises(ComparisonRefused) as refused:
        runs(bench()).start(request_)
    assert refused.value.unknown


@pytest.mark.parametrize(
    ("since_seconds", "refused"), [(300.0, True), (600.0, True), (600.001, False)], ids=["5m", "10m", "more"]
)
async def test_a_span_whose_reports_may_all_still_come_is_refused(since_seconds: float, refused: bool) -> None:
    started = runs(bench())
    if not refused:
        started.start(ComparisonRequest(since_seconds))
        await started.cancel()
        return
    with pytest.raises(ComparisonRefused, match=r"since must be more than 10m: .*settle_seconds of acme") as told:
        started.start(ComparisonRequest(since_seconds))
    assert (told.value.wrong, told.value.unknown) == (True, False)
    assert started.last() is None


async def test_a_span_that_is_not_settled_since_the_queue_is_never_empty_fails() -> None:
    made = bench()
    made.journal.drained_ms = None
    await compared(made, ComparisonRequest(since_seconds=3600.0))
    progress = made.comparison.progress
    assert (progress.state, progress.calls, progress.since_ms) == (RunState.FAILED, 0, None)
    assert "only what is older than 100m can be compared: use more than that as --since" in progress.error


@pytest.mark.parametrize(("ms", "told"), [(600_000, "10m"), (90_001, "91s"), (7_200_000, "2h"), (1, "1s")])
def test_durations_are_told_as_they_are_given(ms: int, told: str) -> None:
    assert shortest_duration(ms) == told


async def test_a_cancelled_run_says_so() -> None:
    made = bench()
    made.logs.errors = [LogsUnavailable("503", 60.0)]
    started = runs(made)
    started.start(DAY)
    while not made.logs.queries:  # noqa: ASYNC110 - no event tells
        await asyncio.sleep(0)
    await started.cancel()
    await started.cancel()
    last = started.last()
    assert last is not None
    assert (last.state, last.streams[0].state) == (RunState.CANCELLED, RunState.CANCELLED)


async def test_a_failed_stream_does_not_stop_the_next_and_a_bug_ends_the_run() -> None:
    failing, sound = bench(), bench()
    failing.logs.errors = [LogsRefused("401", 401)]
    started = runs(failing, sound)
    started.start(DAY)
    await ended(started)
    last = started.last()
    assert last is not None
    assert (last.state, [one.state for one in last.streams]) == (RunState.FAILED, [RunState.FAILED, RunState.DONE])

    failing.logs.errors = [ZeroDivisionError()]
    started.start(DAY)
    await ended(started)
    last = started.last()
    assert last is not None
    assert (last.state, last.streams[0].state) == (RunState.FAILED, RunState.FAILED)
