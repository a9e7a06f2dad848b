"""reconcile among fakes: what it appends, how gaps end, what stops it and how it goes on."""

from itertools import pairwise

import pytest

from relay.domain.gaps import OpenGap, Scan
from relay.domain.history import GapState
from relay.domain.report import Origin, Rejected
from relay.ports import JournalFull, LogsRefused, LogsUnavailable, Pressure
from tests.unit.stages.reconcile_fakes import HOUR_MS, MINUTE_MS, NOW_MS, STREAM, Bench, row

LOST_MS = NOW_MS - HOUR_MS
"""When the read of the gap ended."""


def gap(id_: int = 1, *, lost_ms: int = LOST_MS, drained_ms: int | None = LOST_MS - MINUTE_MS) -> OpenGap:
    return OpenGap(id_, lost_ms - MINUTE_MS, lost_ms, drained_ms, None)


def states(bench: Bench) -> list[tuple[int, GapState]]:
    return [(ending.gap_id, ending.state) for ending in bench.journal.ended]


async def test_nothing_is_asked_without_a_gap() -> None:
    bench = Bench()
    assert await bench.run() == 15.0
    assert bench.logs.queries == []


async def test_nothing_happens_before_the_cursor_was_read() -> None:
    bench = Bench(gap())
    bench.journal.confirmed = False
    assert await bench.run() == 1.0
    assert bench.logs.queries == []


async def test_what_is_missing_is_appended_and_the_gap_closes_with_its_count() -> None:
    bench = Bench(gap())
    sent_ms = LOST_MS - 5000
    bench.journal.known.add(("known", "5:0"))
    bench.logs.add(
        row("lost", sent_ms=sent_ms),
        row("known", sent_ms=sent_ms),
        row("known", sent_ms=sent_ms, outcome="9:1"),
        row("on its way", sent_ms=sent_ms, final=False),
        row("done later", sent_ms=sent_ms, done_ms=LOST_MS + 2 * MINUTE_MS),
        row("done long before", sent_ms=sent_ms, done_ms=LOST_MS - HOUR_MS),
        sent_ms=sent_ms,
    )
    await bench.run()
    assert [(one.report.message_id, one.report.outcome) for one in bench.journal.appended] == [
        ("lost", "5:0"),
        ("known", "9:1"),
    ]
    assert states(bench) == [(1, GapState.CLOSED)]
    assert bench.journal.recovered == {1: 2}
    assert bench.telemetry.of("gap_ended") == [(STREAM, "closed")]
    assert (
        sum(recorded.new for _, origin, recorded in bench.telemetry.of("fetch_unpacked") if origin is Origin.LOGS) == 2
    )
    assert {recorded.duplicates for _, _, recorded in bench.telemetry.of("fetch_unpacked")} == {0}
    assert bench.wakes == 1
    assert bench.journal.scans == {}


async def test_an_idle_account_takes_few_calls() -> None:
    bench = Bench(gap())
    await bench.run()
    front, *deeper = bench.logs.queries
    # From the end of the gap with its slack, down past its beginning by the delay that nearly all reports have; each
    # bound a millisecond further, for nobody says whether bounds belong to the span.
    assert front.sent_until_ms == LOST_MS + MINUTE_MS + 1
    assert front.sent_since_ms == LOST_MS - 11 * MINUTE_MS - 1000 - 1
    assert len(deeper) == 3
    for above, below in pairwise(bench.logs.queries):
        assert above.sent_since_ms is not None
        assert below.sent_until_ms == above.sent_since_ms + 1
    assert deeper[-1].sent_since_ms == NOW_MS - 48 * HOUR_MS - 1
    assert front.limit == 1000


async def test_one_scan_serves_all_gaps_that_are_due() -> None:
    bench = Bench(gap(1), gap(2, lost_ms=LOST_MS + 5 * MINUTE_MS), gap(3, lost_ms=NOW_MS - MINUTE_MS))
    bench.logs.add(row("one", sent_ms=LOST_MS - 5000), sent_ms=LOST_MS - 5000)
    bench.logs.add(row("two", sent_ms=LOST_MS + 4 * MINUTE_MS), sent_ms=LOST_MS + 4 * MINUTE_MS)
    await bench.run()
    assert states(bench) == [(1, GapState.CLOSED), (2, GapState.CLOSED)]
    assert bench.journal.recovered == {1: 1, 2: 1}
    assert list(bench.journal.gaps) == [3]
    assert len(bench.logs.queries) == 4


async def test_full_answers_are_split_until_all_rows_were_seen() -> None:
    bench = Bench(gap())
    for number in range(5000):
        sent_ms = LOST_MS - 5000 - number
        bench.logs.add(row(f"m-{number}", sent_ms=sent_ms), sent_ms=sent_ms)
    await bench.run()
    assert len(bench.journal.appended) == 5000
    assert states(bench) == [(1, GapState.CLOSED)]
    assert len(bench.logs.queries) < 25


async def test_a_server_with_a_bound_of_its_own_is_found_out() -> None:
    bench = Bench(gap())
    bench.logs.most = 100
    for number in range(2000):
        sent_ms = LOST_MS - 5000 - number
        bench.logs.add(row(f"m-{number}", sent_ms=sent_ms), sent_ms=sent_ms)
    await bench.run()
    assert len(bench.journal.appended) == 2000
    assert states(bench) == [(1, GapState.CLOSED)]


async def test_a_millisecond_that_is_full_makes_the_gap_incomplete_and_gives_what_it_has() -> None:
    bench = Bench(gap())
    sent_ms = LOST_MS - 5000
    bench.logs.add(*(row(f"m-{number}", sent_ms=sent_ms) for number in range(1200)), sent_ms=sent_ms)
    bench.logs.add(row("below", sent_ms=sent_ms - 10), sent_ms=sent_ms - 10)
    await bench.run()
    (ending,) = bench.journal.ended
    assert (ending.state, ending.compared_from_ms) == (GapState.INCOMPLETE, sent_ms + 2)
    assert len(bench.journal.appended) == 1001
    assert bench.telemetry.of("gap_ended") == [(STREAM, "incomplete")]


async def test_a_refused_limit_is_left_out() -> None:
    bench = Bench(gap())
    bench.logs.errors = [LogsRefused("the logs endpoint answered 400", 400)]
    for number in range(120):
        sent_ms = LOST_MS - 5000 - number
        bench.logs.add(row(f"m-{number}", sent_ms=sent_ms), sent_ms=sent_ms)
    await bench.run()
    assert [query.limit for query in bench.logs.queries[:3]] == [1000, None, None]
    assert len(bench.journal.appended) == 120
    assert states(bench) == [(1, GapState.CLOSED)]


async def test_unusable_rows_stop_nothing() -> None:
    bench = Bench(gap())
    bench.logs.rows.append((LOST_MS - 5000, Rejected("no messageId", b"{}")))
    bench.logs.add(row("lost", sent_ms=LOST_MS - 5000), sent_ms=LOST_MS - 5000)
    await bench.run()
    assert [one.report.message_id for one in bench.journal.appended] == ["lost"]
    assert states(bench) == [(1, GapState.CLOSED)]


# --- what another reader took ---


async def test_what_was_done_before_the_first_poll_is_never_appended() -> None:
    first_poll_ms = LOST_MS - 5 * MINUTE_MS
    bench = Bench(gap(), first_poll_ms=first_poll_ms)
    bench.logs.add(
        row("another's", sent_ms=first_poll_ms - 9000, done_ms=first_poll_ms - 1),
        row("ours", sent_ms=first_poll_ms - 9000, done_ms=first_poll_ms),
        sent_ms=first_poll_ms - 9000,
    )
    await bench.run()
    assert [one.report.message_id for one in bench.journal.appended] == ["ours"]


@pytest.mark.parametrize(
    ("known", "state"), [(True, GapState.CLOSED), (False, GapState.INCOMPLETE)], ids=["nothing missing", "missing"]
)
async def test_a_gap_of_a_queue_that_was_never_empty_is_doubtful_if_older_reports_are_missing(
    known: bool, state: GapState
) -> None:
    first_poll_ms = LOST_MS - 30_000
    bench = Bench(gap(drained_ms=None), first_poll_ms=first_poll_ms)
    sent_ms = first_poll_ms - 5 * HOUR_MS
    bench.logs.add(row("older", sent_ms=sent_ms), sent_ms=sent_ms)
    if known:
        bench.journal.known.add(("older", "5:0"))
    await bench.run()
    assert bench.journal.appended == []
    assert states(bench) == [(1, state)]


# --- gaps that cannot be compared ---


async def test_a_gap_past_what_the_logs_hold_expires() -> None:
    bench = Bench(gap(lost_ms=NOW_MS - 49 * HOUR_MS))
    await bench.run()
    assert states(bench) == [(1, GapState.EXPIRED)]
    assert bench.telemetry.of("gap_ended") == [(STREAM, "expired")]
    assert bench.logs.queries == []


async def test_a_gap_that_begins_before_the_logs_do_is_incomplete() -> None:
    old = OpenGap(1, NOW_MS - 60 * HOUR_MS, NOW_MS - HOUR_MS, NOW_MS - 60 * HOUR_MS, None)
    bench = Bench(old, first_poll_ms=NOW_MS - 90 * HOUR_MS)
    bench.logs.add(row("lost", sent_ms=NOW_MS - 40 * HOUR_MS), sent_ms=NOW_MS - 40 * HOUR_MS)
    await bench.run()
    (ending,) = bench.journal.ended
    assert (ending.state, ending.compared_from_ms) == (GapState.INCOMPLETE, NOW_MS - 48 * HOUR_MS)
    assert bench.journal.recovered == {1: 1}


async def test_switched_off_it_asks_nothing_and_gaps_still_expire() -> None:
    bench = Bench(gap(), gap(2, lost_ms=NOW_MS - 49 * HOUR_MS), enabled=False)
    await bench.run()
    assert states(bench) == [(2, GapState.EXPIRED)]
    assert bench.logs.queries == []


async def test_without_a_logs_endpoint_gaps_are_incomplete() -> None:
    bench = Bench(gap(), gap(2, lost_ms=NOW_MS - MINUTE_MS))
    reconcile = bench.without_logs()
    assert await reconcile.step() == 0.0
    assert await reconcile.step() == 15.0
    assert states(bench) == [(1, GapState.INCOMPLETE)]


# --- what stops it, and how it goes on ---


async def test_logs_that_cannot_be_had_are_asked_for_later_where_it_was() -> None:
    bench = Bench(gap())
    bench.logs.errors = [LogsUnavailable("the logs endpoint answered 503")] * 3
    waits = [await bench.run() for _ in range(3)]
    assert waits == [2.5, 5.0, 10.0]
    assert list(bench.health.degraded) == ["reconcile acme/sms"]
    assert "503" in bench.health.degraded["reconcile acme/sms"]
    await bench.run()
    assert bench.health.degraded == {}
    assert states(bench) == [(1, GapState.CLOSED)]


@pytest.mark.parametrize(
    ("error", "wait_seconds"),
    [
        (LogsUnavailable("429", 900.0), 900.0),
        (LogsUnavailable("429", 1.0), 2.5),
        (LogsRefused("401", 401), 30.0),
    ],
    ids=["as long as asked", "our own at least", "refused"],
)
async def test_how_long_it_waits(error: LogsUnavailable, wait_seconds: float) -> None:
    bench = Bench(gap())
    bench.logs.errors = [error]
    assert await bench.run() == wait_seconds


@pytest.mark.parametrize("pressure", [Pressure(1000, 10**9), Pressure(0, 999)], ids=["unpublished", "disk"])
async def test_a_full_journal_is_not_filled_further(pressure: Pressure) -> None:
    bench = Bench(gap())
    bench.journal.pressure_now = pressure
    assert await bench.run() == 5.0
    assert bench.logs.queries == []
    assert list(bench.health.degraded) == ["reconcile acme/sms"]


async def test_a_walk_goes_on_where_another_process_left_it() -> None:
    bench = Bench(gap()._replace(scan_id=7))
    bench.journal.scans[7] = Scan(7, LOST_MS + MINUTE_MS, LOST_MS - HOUR_MS, LOST_MS - 30 * MINUTE_MS)
    await bench.run()
    assert bench.logs.queries[0].sent_until_ms == LOST_MS - 30 * MINUTE_MS + 1
    assert states(bench) == [(1, GapState.CLOSED)]


async def test_what_a_failed_transaction_held_is_asked_for_again() -> None:
    bench = Bench(gap())
    bench.logs.add(row("lost", sent_ms=LOST_MS - 5000), sent_ms=LOST_MS - 5000)
    record, failures = bench.journal.record_logs, [JournalFull("no room")]

    async def failing(*arguments: object) -> object:
        if failures:
            raise failures.pop()
        return await record(*arguments)

    bench.journal.record_logs = failing
    with pytest.raises(JournalFull):
        await bench.run()
    await bench.run()
    assert [one.report.message_id for one in bench.journal.appended] == ["lost"]
    assert states(bench) == [(1, GapState.CLOSED)]


async def test_new_gaps_do_not_wait_for_the_long_walk_of_old_ones() -> None:
    bench = Bench(gap(1)._replace(scan_id=1), gap(2))
    bench.journal.scans[1] = Scan(1, LOST_MS + MINUTE_MS, LOST_MS - HOUR_MS, NOW_MS - 20 * HOUR_MS)
    bench.logs.add(row("lost", sent_ms=LOST_MS - 5000), sent_ms=LOST_MS - 5000)
    assert await bench.reconcile.step() == 0.0  # begins
    assert await bench.reconcile.step() == 0.0  # walks the new one's front
    assert bench.journal.recovered == {2: 1}
    assert states(bench) == []
    await bench.run()
    assert sorted(states(bench)) == [(1, GapState.CLOSED), (2, GapState.CLOSED)]
