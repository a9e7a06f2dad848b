"""Gaps, the scans that serve them, and reports found in the logs."""

import pytest
from msgspec.structs import replace

from relay.domain.figures import Recorded
from relay.domain.gaps import EndedGap, GapEnding, OpenGap, Scan, StreamGaps
from relay.domain.history import GapState
from relay.domain.log_rows import FoundRow
from relay.domain.report import EntryType, GapCause, Origin, Report
from relay.journal.sqlite import SqliteJournal
from relay.ports import JournalError, Lease, LeaseLost, LogsRecorded, NewScan, ScanProgress
from tests.conformance.journals import SMS, T0, VOICE, Opener, Relay, fetch, own, report


async def lease_of(relay: Relay) -> Lease:
    return await relay.journal.acquire_lease(f"reconcile/{relay.stream}")


async def lose_a_read(relay: Relay, at_ms: int, cause: GapCause = GapCause.TIMEOUT) -> None:
    await relay.journal.mark_poll(relay.lease, relay.stream, at_ms)
    await relay.journal.end_poll(relay.lease, relay.stream, at_ms + 10, cause, success=False)


async def drain(relay: Relay, at_ms: int) -> None:
    await relay.journal.mark_poll(relay.lease, relay.stream, at_ms)
    await relay.journal.end_poll(relay.lease, relay.stream, at_ms + 10, None, success=True)


async def state(relay: Relay) -> StreamGaps:
    gaps = await relay.journal.open_gaps(relay.stream)
    assert gaps is not None
    return gaps


async def record(
    relay: Relay,
    lease: Lease,
    *found: FoundRow,
    earlier: tuple[Report, ...] = (),
    progress: ScanProgress | None = None,
    at_ms: int = T0 + 900,
) -> LogsRecorded:
    return await relay.journal.record_logs(lease, relay.stream, found, earlier, progress, at_ms)


async def with_scan(relay: Relay, *, count: int = 1) -> Lease:
    """Lost reads, and scan 1 for their gaps, from T0 + 1000 down."""
    for number in range(count):
        await drain(relay, T0 + 100 * number)
        await lose_a_read(relay, T0 + 100 * number + 50)
    lease = await lease_of(relay)
    scan = NewScan(range(1, count + 1), T0 + 1000, T0 - 500)
    await relay.journal.begin_scan(lease, relay.stream, scan)
    return lease


# --- what is known ---


async def test_nothing_is_told_before_the_cursor_was_confirmed(journal: SqliteJournal) -> None:
    lease = await journal.acquire_lease("stream/acme/sms")
    await journal.open_stream(lease, SMS, T0)
    assert await journal.open_gaps(SMS) is None
    with pytest.raises(JournalError):
        await journal.record_logs(lease, SMS, [FoundRow(report("a"), None)], [], None, T0)
    await journal.confirm_cursor(lease, SMS, 0, "c", T0)
    assert await journal.open_gaps(SMS) == StreamGaps(None, None, None, (), ())


async def test_an_open_gap_with_all_that_decides_whether_it_is_settled(relay: Relay) -> None:
    await lose_a_read(relay, T0)
    await drain(relay, T0 + 100)
    await lose_a_read(relay, T0 + 200)
    await relay.journal.append_fetch(relay.lease, SMS, fetch(at_ms=T0 + 900), None)
    await relay.journal.append_fetch(relay.lease, SMS, fetch(at_ms=T0 + 990), None)
    assert await state(relay) == StreamGaps(
        first_poll_at_ms=T0,
        drained_at_ms=T0 + 100,
        pending_since_ms=T0 + 800,
        gaps=(OpenGap(1, T0, T0 + 10, None, None), OpenGap(2, T0 + 100, T0 + 210, T0 + 100, None)),
        scans=(),
    )


async def test_streams_have_gaps_of_their_own(relay: Relay) -> None:
    voice = await own(relay.journal, VOICE)
    await lose_a_read(voice, T0)
    assert (await state(relay)).gaps == ()
    assert [gap.id for gap in (await state(voice)).gaps] == [1]


async def test_delays_from_sending_to_receiving(relay: Relay) -> None:
    def sent(message_id: str, text: str) -> Report:
        return replace(report(message_id), value=f'{{"messageId":"{message_id}","sentAt":{text}}}'.encode())

    moments = ('"2023-11-14T23:13:19.000+01:00"', '"2023-11-14T22:13:25Z"', '"yesterday"', "7", "null")
    await relay.receive(*(sent(f"m-{n}", text) for n, text in enumerate(moments)), report("bare"), at_ms=T0)
    lease = await lease_of(relay)
    await record(relay, lease, FoundRow(sent("logs", '"2023-11-14T22:00:00Z"'), None))
    # T0 is 22:13:20 UTC: one took a second, one was sent "after" it was received.
    assert sorted(await relay.journal.arrival_delays_ms(SMS, 100)) == [0, 1000]
    assert await relay.journal.arrival_delays_ms(SMS, 2) == []
    assert await relay.journal.arrival_delays_ms(VOICE, 2) == []


# --- scans ---


async def test_a_scan_and_the_gaps_that_it_serves_outlive_a_restart(reopen: Opener) -> None:
    relay = await own(await reopen())
    lease = await with_scan(relay, count=2)
    await drain(relay, T0 + 400)
    await lose_a_read(relay, T0 + 500)
    await record(relay, lease, progress=ScanProgress(1, T0 + 700))
    await relay.journal.close()

    relay = await own(await reopen())
    gaps = await state(relay)
    assert [(gap.id, gap.scan_id) for gap in gaps.gaps] == [(1, 1), (2, 1), (3, None)]
    assert gaps.scans == (Scan(1, T0 + 1000, T0 - 500, T0 + 700),)


async def test_the_newest_hole_is_kept_and_earlier_rows_add_up(relay: Relay) -> None:
    lease = await with_scan(relay)
    await relay.receive(report("known"), at_ms=T0 + 600)
    found = await record(
        relay, lease, earlier=(report("x"), report("known"), report("y")), progress=ScanProgress(1, T0 + 800, T0 + 801)
    )
    assert found == LogsRecorded(Recorded(0, 0, 0, 0), 2)
    await record(relay, lease, earlier=(report("z"),), progress=ScanProgress(1, T0 + 600, T0 + 601))
    assert (await state(relay)).scans == (Scan(1, T0 + 1000, T0 - 500, T0 + 600, T0 + 801, 3),)


async def test_a_scan_that_begins_anew_forgets_how_far_it_was(relay: Relay) -> None:
    lease = await with_scan(relay)
    await record(relay, lease, earlier=(report("x"),), progress=ScanProgress(1, T0 + 800, T0 + 801))
    await drain(relay, T0 + 1000)
    await lose_a_read(relay, T0 + 1100)
    await relay.journal.begin_scan(lease, SMS, NewScan([1, 2], T0 + 2000, T0 - 400, 1))
    gaps = await state(relay)
    assert gaps.scans == (Scan(1, T0 + 2000, T0 - 400, T0 + 2000),)
    assert [(gap.id, gap.scan_id) for gap in gaps.gaps] == [(1, 1), (2, 1)]


async def test_a_scan_that_has_ended_records_nothing(relay: Relay) -> None:
    lease = await with_scan(relay)
    await relay.journal.end_gaps(lease, SMS, [], 1, T0 + 900)
    with pytest.raises(LeaseLost):
        await record(relay, lease, FoundRow(report("a"), 1), progress=ScanProgress(1, T0))
    assert await relay.journal.read_stream(SMS, 0, 10, 1000) == []
    gaps = await state(relay)
    assert (gaps.scans, gaps.gaps[0].scan_id) == ((), None)


# --- reports from the logs ---


async def test_what_is_missing_is_appended_and_counted_to_its_gap(relay: Relay) -> None:
    lease = await with_scan(relay, count=2)
    await relay.receive(report("known"), report("changed", "7:0", final=False), at_ms=T0 + 600)
    found = [
        FoundRow(report("known"), 1),
        FoundRow(report("lost", "9:1", group=2), 2),
        FoundRow(report("changed"), 1),
        FoundRow(report("other"), 2),
        FoundRow(report("nobody's"), None),
    ]
    recorded = await record(relay, lease, *found, progress=ScanProgress(1, T0 + 700), at_ms=T0 + 950)
    assert recorded == LogsRecorded(Recorded(new=3, duplicates=1, revisions=1))
    entries = await relay.journal.read_stream(SMS, 2, 10, 1000)
    assert {(entry.message_id, entry.type, entry.revision) for entry in entries} == {
        ("lost", EntryType.REPORT, 1),
        ("changed", EntryType.COMPLETION, 2),
        ("other", EntryType.REPORT, 1),
        ("nobody's", EntryType.REPORT, 1),
    }
    assert [entry.seq for entry in entries] == [3, 4, 5, 6]
    assert {(entry.origin, entry.received_at_ms) for entry in entries} == {(Origin.LOGS, T0 + 950)}
    assert [(gap.id, gap.recovered) for gap in await relay.journal.list_gaps(SMS)] == [(1, 1), (2, 2)]


async def test_what_was_found_once_is_not_found_again(relay: Relay) -> None:
    lease = await with_scan(relay)
    for _ in range(2):
        await record(relay, lease, FoundRow(report("lost"), 1), FoundRow(report("lost"), 1))
    assert len(await relay.journal.read_stream(SMS, 0, 10, 1000)) == 1
    assert [gap.recovered for gap in await relay.journal.list_gaps(SMS)] == [1]


async def test_a_report_that_is_polled_after_all_comes_as_a_fuller_one(relay: Relay) -> None:
    await record(relay, await lease_of(relay), FoundRow(report("late"), None))
    (again,) = await relay.receive(report("late"), at_ms=T0 + 1000)
    assert (again.type, again.revision, again.origin) == (EntryType.COMPLETION, 2, Origin.POLL)


async def test_unknown_is_what_would_be_appended(relay: Relay) -> None:
    assert await relay.journal.unknown_reports(VOICE, [report("a")]) == [True]
    await relay.receive(report("a", "7:0", final=False), report("b"))
    asked = [report("a"), report("a", "7:0", final=False), report("b"), report("c")]
    assert await relay.journal.unknown_reports(SMS, asked) == [True, False, False, True]
    assert await relay.journal.unknown_reports(SMS, []) == []


async def test_who_lost_the_lease_records_nothing(relay: Relay) -> None:
    lease = await with_scan(relay)
    await lease_of(relay)
    with pytest.raises(LeaseLost):
        await record(relay, lease, FoundRow(report("a"), 1))
    with pytest.raises(LeaseLost):
        await relay.journal.end_gaps(lease, SMS, [], 1, T0)
    with pytest.raises(LeaseLost):
        await relay.journal.begin_scan(lease, SMS, NewScan([1], T0, T0))


# --- endings ---


async def test_gaps_end_each_in_its_way_and_the_scan_with_them(relay: Relay) -> None:
    lease = await with_scan(relay, count=3)
    await record(relay, lease, FoundRow(report("lost"), 1), progress=ScanProgress(1, T0))
    endings = [
        GapEnding(1, T0 + 60, GapState.CLOSED, T0 - 5000, T0 + 70),
        GapEnding(2, T0 + 160, GapState.INCOMPLETE, T0 + 40, T0 + 170),
        GapEnding(3, T0 + 260, GapState.EXPIRED),
    ]
    assert await relay.journal.end_gaps(lease, SMS, endings, 1, T0 + 2000) == [
        EndedGap(1, GapState.CLOSED, 1),
        EndedGap(2, GapState.INCOMPLETE, 0),
        EndedGap(3, GapState.EXPIRED, 0),
    ]
    gaps = await relay.journal.list_gaps(SMS)
    assert [(gap.state, gap.ended_at_ms, gap.compared_from_ms, gap.compared_until_ms) for gap in gaps] == [
        (GapState.CLOSED, T0 + 2000, T0 - 5000, T0 + 70),
        (GapState.INCOMPLETE, T0 + 2000, T0 + 40, T0 + 170),
        (GapState.EXPIRED, T0 + 2000, None, None),
    ]
    assert await state(relay) == StreamGaps(T0, T0 + 200, None, (), ())
    assert await relay.journal.end_gaps(lease, SMS, endings, None, T0 + 3000) == []


async def test_a_gap_that_grew_meanwhile_stays_open_and_is_free_again(relay: Relay) -> None:
    lease = await with_scan(relay)
    await lose_a_read(relay, T0 + 300)  # no good answer between: the same gap, further on
    ended = await relay.journal.end_gaps(lease, SMS, [GapEnding(1, T0 + 60, GapState.CLOSED)], 1, T0 + 900)
    assert ended == []
    gaps = await state(relay)
    assert [(gap.id, gap.until_ms, gap.scan_id) for gap in gaps.gaps] == [(1, T0 + 310, None)]
    assert gaps.scans == ()


async def test_gaps_of_other_scans_are_left_alone(relay: Relay) -> None:
    lease = await with_scan(relay)
    await drain(relay, T0 + 1000)
    await lose_a_read(relay, T0 + 1100)
    await relay.journal.begin_scan(lease, SMS, NewScan([2], T0 + 2000, T0))
    await relay.journal.end_gaps(lease, SMS, [GapEnding(1, T0 + 60, GapState.CLOSED)], 1, T0 + 3000)
    gaps = await state(relay)
    assert [(gap.id, gap.scan_id) for gap in gaps.gaps] == [(2, 2)]
    assert [scan.id for scan in gaps.scans] == [2]
