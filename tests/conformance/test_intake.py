from relay.domain.report import Decoded, GapCause, Origin
from relay.journal.sqlite import SqliteJournal
from tests.conformance.journals import SMS, T0, VOICE, Opener, Relay, fetch, own, report


async def test_a_new_stream_knows_nothing(journal: SqliteJournal) -> None:
    lease = await journal.acquire_lease("stream/acme/sms")
    assert await journal.open_stream(lease, SMS, T0) == (None, None, None, 0, None)


async def test_a_mark_outlives_the_process_and_becomes_a_gap(reopen: Opener) -> None:
    journal = await reopen()
    relay = await own(journal)
    await journal.mark_poll(relay.lease, SMS, T0)
    await journal.end_poll(relay.lease, SMS, T0 + 50, None, success=True)
    await journal.mark_poll(relay.lease, SMS, T0 + 1000)
    await journal.close()

    journal = await reopen()
    lease = await journal.acquire_lease("stream/acme/sms")
    state = await journal.open_stream(lease, SMS, T0 + 9000)

    assert state == (T0, T0 + 50, T0 + 1000, 0, T0)
    (gap,) = await journal.list_gaps(SMS)
    assert (gap.cause, gap.since_ms, gap.until_ms, gap.opened_at_ms) == (
        GapCause.INTERRUPTED,
        T0,
        T0 + 9000,
        T0 + 9000,
    )
    assert (await journal.open_stream(lease, SMS, T0 + 9500)).interrupted_poll_at_ms is None
    assert len(await journal.list_gaps(SMS)) == 1


async def test_a_second_mark_without_an_end_is_a_gap(relay: Relay) -> None:
    await relay.journal.mark_poll(relay.lease, SMS, T0)
    await relay.journal.mark_poll(relay.lease, SMS, T0 + 500)
    assert await relay.causes() == [(GapCause.INTERRUPTED, 1, T0, T0 + 500)]


async def test_an_appended_fetch_clears_the_mark(relay: Relay) -> None:
    await relay.journal.mark_poll(relay.lease, SMS, T0)
    await relay.journal.append_fetch(relay.lease, SMS, fetch(), None)
    assert (await relay.journal.open_stream(relay.lease, SMS, T0)).interrupted_poll_at_ms is None


async def test_a_push_leaves_the_mark_of_the_poll_alone(relay: Relay) -> None:
    await relay.journal.mark_poll(relay.lease, SMS, T0)
    await relay.journal.append_fetch(relay.lease, SMS, fetch(origin=Origin.PUSH), None)
    assert (await relay.journal.open_stream(relay.lease, SMS, T0)).interrupted_poll_at_ms == T0


async def test_a_failed_read_is_a_gap_since_the_last_good_answer_was_asked_for(relay: Relay) -> None:
    await relay.journal.mark_poll(relay.lease, SMS, T0)
    await relay.journal.end_poll(relay.lease, SMS, T0 + 100, None, success=True)
    await relay.journal.mark_poll(relay.lease, SMS, T0 + 1000)
    await relay.journal.end_poll(relay.lease, SMS, T0 + 3000, GapCause.TIMEOUT, success=False)

    (gap,) = await relay.journal.list_gaps(SMS)
    assert (gap.cause, gap.since_ms, gap.until_ms, gap.drained_at_ms) == (GapCause.TIMEOUT, T0, T0 + 3000, T0)


async def test_while_nothing_good_comes_a_gap_grows_and_does_not_multiply(relay: Relay) -> None:
    for n in range(1, 4):
        await relay.journal.mark_poll(relay.lease, SMS, T0 + n * 1000)
        await relay.journal.end_poll(relay.lease, SMS, T0 + n * 1000 + 500, GapCause.HTTP_STATUS, success=False)
    await relay.journal.mark_poll(relay.lease, SMS, T0 + 4000)
    await relay.journal.end_poll(relay.lease, SMS, T0 + 4100, GapCause.TIMEOUT, success=False)
    assert await relay.causes() == [
        (GapCause.HTTP_STATUS, 3, T0 + 1000, T0 + 3500),
        (GapCause.TIMEOUT, 1, T0 + 1000, T0 + 4100),
    ]

    await relay.journal.mark_poll(relay.lease, SMS, T0 + 5000)
    await relay.journal.end_poll(relay.lease, SMS, T0 + 5100, None, success=True)
    await relay.journal.mark_poll(relay.lease, SMS, T0 + 6000)
    await relay.journal.end_poll(relay.lease, SMS, T0 + 6100, GapCause.HTTP_STATUS, success=False)
    assert (await relay.causes())[2:] == [(GapCause.HTTP_STATUS, 1, T0 + 5000, T0 + 6100)]


async def test_an_incomplete_body_opens_its_gap_with_the_fetch(relay: Relay) -> None:
    await relay.journal.mark_poll(relay.lease, SMS, T0)
    cut = fetch(b'{"results":[', at_ms=T0 + 700)._replace(complete=False)
    await relay.journal.append_fetch(relay.lease, SMS, cut, GapCause.TRUNCATED)
    assert await relay.causes() == [(GapCause.TRUNCATED, 1, T0, T0 + 700)]


async def test_unread_is_one_gap_however_often_it_is_said(relay: Relay) -> None:
    await relay.journal.mark_poll(relay.lease, SMS, T0)
    await relay.journal.end_poll(relay.lease, SMS, T0 + 1, None, success=True)
    for hour in (47, 48, 49):
        await relay.journal.note_unread(relay.lease, SMS, T0 + hour * 3_600_000)
    assert await relay.causes() == [(GapCause.UNREAD, 1, T0, T0 + 47 * 3_600_000)]


HOUR_MS = 3_600_000


async def test_after_the_clock_was_put_back_a_lost_read_is_a_gap_of_now(relay: Relay) -> None:
    await relay.journal.mark_poll(relay.lease, SMS, T0 + HOUR_MS)
    await relay.journal.end_poll(relay.lease, SMS, T0 + HOUR_MS + 100, None, success=True)

    await relay.journal.mark_poll(relay.lease, SMS, T0)
    await relay.journal.end_poll(relay.lease, SMS, T0 + 3000, GapCause.TIMEOUT, success=False)

    (gap,) = await relay.journal.list_gaps(SMS)
    assert (gap.since_ms, gap.until_ms, gap.drained_at_ms) == (T0, T0 + 3000, T0)
    state = await relay.journal.open_stream(relay.lease, SMS, T0 + 4000)
    assert (state.first_poll_at_ms, state.last_success_at_ms) == (T0, T0)


async def test_a_poll_interrupted_under_a_clock_ahead_is_a_gap_of_now(relay: Relay) -> None:
    await relay.journal.mark_poll(relay.lease, SMS, T0 + HOUR_MS)
    await relay.journal.end_poll(relay.lease, SMS, T0 + HOUR_MS + 100, None, success=True)
    await relay.journal.mark_poll(relay.lease, SMS, T0 + HOUR_MS + 200)

    await relay.journal.mark_poll(relay.lease, SMS, T0)

    (gap,) = await relay.journal.list_gaps(SMS)
    assert (gap.cause, gap.since_ms, gap.until_ms, gap.drained_at_ms) == (GapCause.INTERRUPTED, T0, T0, T0)


async def test_a_good_answer_counts_once_it_was_understood(relay: Relay) -> None:
    await relay.journal.append_fetch(relay.lease, SMS, fetch(at_ms=T0 + 500), None)
    assert (await relay.journal.open_stream(relay.lease, SMS, T0)).last_success_at_ms is None

    claimed = await relay.journal.claim_fetch(SMS, T0)
    assert claimed is not None
    await relay.journal.record_reports(claimed, Decoded([report("a")], True), None)
    state = await relay.journal.open_stream(relay.lease, SMS, T0)
    assert (state.last_success_at_ms, state.drained_at_ms) == (T0 + 500, T0 + 400)


async def test_fifty_entries_may_have_left_more_in_the_queue(relay: Relay) -> None:
    await relay.receive_many(50, at_ms=T0 + 500)
    state = await relay.journal.open_stream(relay.lease, SMS, T0)
    assert (state.last_success_at_ms, state.drained_at_ms) == (T0 + 500, None)


async def test_what_is_not_reports_is_no_success(relay: Relay) -> None:
    await relay.journal.append_fetch(relay.lease, SMS, fetch(at_ms=T0 + 500), None)
    claimed = await relay.journal.claim_fetch(SMS, T0)
    assert claimed is not None
    await relay.journal.record_reports(claimed, Decoded([], False, "html"), GapCause.NOT_REPORTS)

    assert (await relay.journal.open_stream(relay.lease, SMS, T0)).last_success_at_ms is None
    assert [cause for cause, *_ in await relay.causes()] == [GapCause.NOT_REPORTS]


async def test_pressure_counts_what_kafka_has_not(relay: Relay) -> None:
    await relay.receive_many(5)
    await relay.journal.append_fetch(relay.lease, SMS, fetch(estimate=40), None)
    await relay.publish(2)
    pressure = await relay.journal.pressure(SMS)
    assert pressure.unpublished == 3 + 40
    assert pressure.free_bytes > 0
    assert (await relay.journal.pressure(VOICE)).unpublished == 0


async def test_without_kafka_the_fastest_callback_counts(journal: SqliteJournal) -> None:
    relay = await own(journal, kafka=False)
    await relay.subscribe("billing")
    await relay.subscribe("crm")
    await relay.receive_many(5)
    assert (await journal.pressure(SMS)).unpublished == 5
    await relay.attempt("crm", position=4)
    assert (await journal.pressure(SMS)).unpublished == 1
