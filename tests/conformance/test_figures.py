from relay.domain.figures import StreamFigures
from relay.domain.history import DeadLetterFilter, QuarantineFilter
from relay.domain.report import EntryType, GapCause, Rejected
from relay.journal.sqlite import SqliteJournal
from relay.ports import Wanted
from tests.conformance.journals import SMS, T0, VOICE, Relay, failed, fetch, given_up, own, report


async def test_an_empty_journal(journal: SqliteJournal) -> None:
    figures = await journal.figures(T0)
    assert (figures.streams, figures.callbacks, figures.writable) == ({}, {}, True)
    assert figures.size_bytes > 0
    assert figures.free_bytes > 0


async def test_a_stream_with_everything(relay: Relay) -> None:
    await relay.receive(report("a"), Rejected("odd", b"?"), at_ms=T0 + 10)
    await relay.receive(report("b"), at_ms=T0 + 20)
    await relay.journal.append_fetch(relay.lease, SMS, fetch(at_ms=T0 + 30, estimate=7), GapCause.TRUNCATED)
    await relay.journal.end_poll(relay.lease, SMS, T0 + 40, GapCause.TIMEOUT, success=False)
    await relay.publish(2)

    assert (await relay.journal.figures(T0 + 50)).streams == {
        SMS: StreamFigures(
            fetches_pending=1,
            unpublished=1 + 7,
            oldest_unpublished_at_ms=T0 + 20,
            gaps_open=2,
            oldest_open_gap_at_ms=T0 + 30,
            quarantine_entries=1,
            last_success_at_ms=T0 + 20,
            last_seq=3,
            kafka_position=2,
        )
    }
    await relay.publish(3)
    assert (await relay.journal.figures(T0)).streams[SMS].oldest_unpublished_at_ms == T0 + 30


async def test_a_callback_over_all_its_streams(relay: Relay) -> None:
    voice = await own(relay.journal, VOICE)
    await relay.receive_many(5, at_ms=T0 + 10)
    await voice.receive_many(3, at_ms=T0 + 5)
    await relay.subscribe("billing", earliest=True)
    await voice.subscribe("billing", earliest=True)
    await relay.attempt("billing", failed(1, next_ms=T0 + 99, at_ms=T0 + 20), given_up(2), position=3)
    await voice.attempt("billing", position=1)
    assert (await relay.journal.figures(T0)).callbacks == {"billing": (1 + 2 + 2, T0 + 5, 1, 0, 0)}


async def test_a_callback_with_a_filter_is_behind_by_what_it_wants(relay: Relay) -> None:
    await relay.receive(*(report(f"d-{n}", group=3) for n in range(5)), at_ms=T0 + 10)
    await relay.receive(*(report(f"r-{n}", group=5) for n in range(2)), at_ms=T0 + 20)
    await relay.receive(*(report(f"e-{n}", group=3) for n in range(5)), at_ms=T0 + 30)
    await relay.subscribe("few", earliest=True, wanted=Wanted(frozenset({EntryType.REPORT}), frozenset({5})))
    await relay.subscribe("none", earliest=True, wanted=Wanted(frozenset({EntryType.REPORT}), frozenset({2})))
    await relay.subscribe("all", earliest=True, wanted=Wanted(frozenset({EntryType.REPORT})))
    figures = (await relay.journal.figures(T0)).callbacks
    assert {name: one[:2] for name, one in figures.items()} == {
        "few": (2, T0 + 20),
        "none": (0, None),
        "all": (12, T0 + 10),
    }


async def test_lists_come_in_pages(relay: Relay) -> None:
    await relay.receive(*(Rejected("odd", b"%d" % n) for n in range(5)))
    first = await relay.journal.list_quarantine(QuarantineFilter(*SMS), limit=3)
    rest = await relay.journal.list_quarantine(QuarantineFilter(*SMS), after_id=first[-1].id, limit=3)
    assert [entry.seq for entry in first + rest] == [1, 2, 3, 4, 5]
    assert await relay.journal.list_quarantine(QuarantineFilter(*VOICE)) == []
    assert await relay.journal.quarantined_bytes(rest[-1].id) == b"4"
    assert await relay.journal.quarantined_bytes(99) is None


async def test_dead_letters_come_in_pages(relay: Relay) -> None:
    await relay.receive_many(4)
    for callback in ("billing", "crm"):
        await relay.subscribe(callback, earliest=True)
    await relay.attempt("billing", given_up(1), given_up(2))
    await relay.attempt("crm", given_up(3))
    await relay.attempt("billing", given_up(4))
    first = await relay.journal.list_dead_letters(DeadLetterFilter("billing"), limit=2)
    rest = await relay.journal.list_dead_letters(DeadLetterFilter("billing"), after_id=first[-1].id)
    assert [letter.message_ids for letter in first + rest] == [("m-1",), ("m-2",), ("m-4",)]
    assert len(await relay.journal.list_dead_letters()) == 4


async def test_the_life_of_a_report(relay: Relay) -> None:
    voice = await own(relay.journal, VOICE)
    await relay.receive(report("a", "1:0", final=False), report("a", "2:0"))
    await voice.receive(report("a"))
    await relay.publish(1)
    await relay.subscribe("billing", earliest=True)
    await relay.attempt("billing", failed(2, next_ms=T0 + 9), position=2)

    first, second, other = await relay.journal.inspect("a")
    assert [(life.stream, life.entry.seq, life.entry.revision) for life in (first, second, other)] == [
        (SMS, 1, 1),
        (SMS, 2, 2),
        (VOICE, 1, 1),
    ]
    assert second.passages == (("billing", 2),)
    assert (second.kafka_position, first.published_at_ms, second.published_at_ms) == (1, T0, None)
    assert [(line.callback, line.state, line.attempts, line.next_attempt_at_ms) for line in second.deliveries] == [
        ("billing", "pending", 1, T0 + 9)
    ]
    assert (first.deliveries, first.attempts) == ((), ())
    assert await relay.journal.inspect("unknown") == []
