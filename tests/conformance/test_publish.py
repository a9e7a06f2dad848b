import json

import pytest
from msgspec.structs import replace

from relay.domain.report import EntryType, Origin, Rejected
from relay.journal.sqlite import SqliteJournal
from relay.ports import AdoptedRecord, LeaseLost, Wanted
from tests.conformance.journals import SMS, T0, VOICE, Opener, Relay, own, report

THIRD_GROUP = Wanted(frozenset({EntryType.REPORT, EntryType.REVISION}), frozenset({3}))


def adopted(seq: int, message_id: str, *, revision: int = 1, type_: EntryType = EntryType.REPORT) -> AdoptedRecord:
    return AdoptedRecord(seq, message_id, revision, type_, Origin.POLL, T0, "5:0", True, 3, b'{"from":"kafka"}')


async def test_no_cursor_is_known_of_a_new_stream(journal: SqliteJournal) -> None:
    assert await journal.local_cursor(SMS) is None
    assert await journal.read_stream(SMS, 0, 10, 1000) == []


async def test_the_local_copy_of_the_cursor_lasts(reopen: Opener) -> None:
    journal = await reopen()
    relay = await own(journal)
    await relay.receive_many(3)
    await journal.advance(relay.lease, SMS, 2, "abc", T0 + 5)
    await journal.close()
    assert await (await reopen()).local_cursor(SMS) == (2, "abc", T0 + 5)


async def test_reading_is_bounded_by_count_and_bytes_but_never_empty(relay: Relay) -> None:
    await relay.receive(*(replace(report(f"m-{n}"), value=b"v" * 100) for n in range(1, 11)))
    assert [entry.seq for entry in await relay.journal.read_stream(SMS, 3, 4, 1 << 20)] == [4, 5, 6, 7]
    assert [entry.seq for entry in await relay.journal.read_stream(SMS, 0, 10, 350)] == [1, 2, 3]
    assert [entry.seq for entry in await relay.journal.read_stream(SMS, 9, 10, 1)] == [10]
    assert await relay.journal.read_stream(SMS, 10, 10, 1000) == []


async def test_streams_are_read_apart(relay: Relay) -> None:
    voice = await own(relay.journal, VOICE)
    await relay.receive(report("s"))
    await voice.receive(report("v"))
    assert [entry.message_id for entry in await relay.journal.read_stream(SMS, 0, 10, 1000)] == ["s"]
    assert [entry.message_id for entry in await relay.journal.read_stream(VOICE, 0, 10, 1000)] == ["v"]
    assert await relay.journal.stream_names() == [SMS, VOICE]


async def test_no_seq_is_given_at_or_below_the_cursor(journal: SqliteJournal) -> None:
    relay = await own(journal, position=41)
    (entry,) = await relay.receive(report("a"))
    assert entry.seq == 42


async def test_a_refused_record_is_marked_and_its_quarantine_entry_follows(relay: Relay) -> None:
    await relay.receive(report("big"), report("b"))
    await relay.journal.refuse_record(relay.lease, SMS, 1, "MESSAGE_TOO_LARGE", T0 + 9)
    await relay.journal.refuse_record(relay.lease, SMS, 1, "MESSAGE_TOO_LARGE", T0 + 9)

    big, _, quarantined = await relay.journal.read_stream(SMS, 0, 10, 1 << 20)
    assert (big.seq, big.refused, quarantined.seq, quarantined.type) == (1, True, 3, EntryType.QUARANTINE)
    assert json.loads(quarantined.value)["reason"] == "MESSAGE_TOO_LARGE"
    (kept,) = await relay.journal.list_quarantine()
    assert await relay.journal.quarantined_bytes(kept.id) == b'{"messageId":"big"}'


async def test_a_refused_quarantine_entry_comes_again_without_bytes_and_then_no_more(relay: Relay) -> None:
    await relay.receive(Rejected("odd", b"raw"))
    await relay.journal.refuse_record(relay.lease, SMS, 1, "too large", T0)
    await relay.journal.refuse_record(relay.lease, SMS, 2, "too large", T0)

    first, second = await relay.journal.read_stream(SMS, 0, 10, 1 << 20)
    assert (first.refused, second.refused) == (True, True)
    assert (json.loads(first.value)["bytes"], json.loads(second.value)["bytes"]) == ("cmF3", "")
    (kept,) = await relay.journal.list_quarantine()
    assert await relay.journal.quarantined_bytes(kept.id) == b"raw"


async def test_adopted_records_are_entries_and_their_ids_are_known(journal: SqliteJournal) -> None:
    lease = await journal.acquire_lease("stream/acme/sms")
    records = [
        adopted(7, "a"),
        adopted(8, "b"),
        adopted(9, "a", revision=2, type_=EntryType.REVISION),
        AdoptedRecord(10, "", 1, EntryType.QUARANTINE, Origin.POLL, T0, "", False, None, b"{}"),
    ]
    await journal.adopt_published(lease, SMS, records, 10)
    await journal.adopt_published(lease, SMS, records, 10)
    relay = await own(journal, position=10)

    entries = await journal.read_stream(SMS, 0, 10, 1 << 20)
    assert [(entry.seq, entry.message_id, entry.revision, entry.value) for entry in entries] == [
        (7, "a", 1, b'{"from":"kafka"}'),
        (8, "b", 1, b'{"from":"kafka"}'),
        (9, "a", 2, b'{"from":"kafka"}'),
        (10, "", 1, b"{}"),
    ]
    received = await relay.receive(report("b"), report("a", "9:9"), report("c"))
    assert [(entry.seq, entry.message_id, entry.revision) for entry in received] == [(11, "a", 3), (12, "c", 1)]


async def test_seqs_go_on_after_adopted_records(journal: SqliteJournal) -> None:
    lease = await journal.acquire_lease("stream/acme/sms")
    await journal.adopt_published(lease, SMS, [adopted(7, "a")], 7)
    assert (await journal.open_stream(lease, SMS, T0)).last_seq == 7


async def test_entries_whose_seqs_kafka_gave_to_others_get_new_ones(relay: Relay) -> None:
    """Two relays ran on copies of one journal: what came after the second entry is not the same in both."""
    await relay.receive(report("a"), report("b"))
    await relay.publish(2)
    await relay.receive(report("c"), report("c", "9:9"), Rejected("odd", b"raw"), report("d"))
    await relay.subscribe("billing", earliest=True, wanted=THIRD_GROUP)

    displaced = await relay.journal.adopt_published(
        relay.lease, SMS, [adopted(3, "x"), adopted(4, "y"), adopted(5, "z")], 5
    )

    assert [(one.seq, one.message_id) for one in displaced] == [(7, "c"), (8, "c"), (9, "")]
    entries = await relay.journal.read_stream(SMS, 2, 10, 1 << 20)
    assert [(entry.seq, entry.message_id, entry.revision) for entry in entries] == [
        (3, "x", 1), (4, "y", 1), (5, "z", 1), (6, "d", 1), (7, "c", 1), (8, "c", 2), (9, "", 1)
    ]  # fmt: skip
    assert entries[4].value == displaced[0].value == b'{"messageId":"c"}'
    (kept,) = await relay.journal.list_quarantine()
    assert (kept.seq, await relay.journal.quarantined_bytes(kept.id)) == (9, b"raw")
    assert [life.entry.seq for life in await relay.journal.inspect("c")] == [7, 8]
    assert [life.entry.seq for life in await relay.journal.inspect("x")] == [3]
    figures = await relay.journal.figures(T0)
    assert figures.callbacks["billing"].backlog == 8
    again = [report("c"), report("c", "9:9"), report("d"), report("x"), report("e")]
    assert [(entry.seq, entry.message_id) for entry in await relay.receive(*again)] == [(10, "e")]


async def test_a_filtered_backlog_counts_what_gave_way_once(relay: Relay) -> None:
    """So many entries that the later ones are counted from their tallies."""
    await relay.receive_many(4200)
    await relay.publish(4100)
    await relay.subscribe("billing", earliest=True, wanted=THIRD_GROUP)
    await relay.journal.adopt_published(relay.lease, SMS, [adopted(seq, f"x-{seq}") for seq in (4101, 4102)], 4102)
    assert (await relay.journal.figures(T0)).callbacks["billing"].backlog == 4202


async def test_the_same_at_the_same_seq_stays_and_what_comes_twice_is_passed_over(relay: Relay) -> None:
    same, other = await relay.receive(report("a"), report("b"))
    record = adopted(same.seq, "a")._replace(value=same.value)

    displaced = await relay.journal.adopt_published(relay.lease, SMS, [record, adopted(2, "x")], 2)
    await relay.journal.pass_over(relay.lease, SMS, [one.seq for one in displaced])

    entries = await relay.journal.read_stream(SMS, 0, 10, 1 << 20)
    assert [(entry.seq, entry.message_id, entry.refused) for entry in entries] == [
        (1, "a", False),
        (2, "x", False),
        (3, other.message_id, True),
    ]


async def test_only_the_owner_of_the_stream_passes_over(relay: Relay) -> None:
    await relay.receive(report("a"))
    with pytest.raises(LeaseLost):
        await relay.journal.pass_over(relay.lease._replace(token=99), SMS, [1])
