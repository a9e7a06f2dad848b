import json

import pytest
from msgspec.structs import replace

from relay.domain.figures import Recorded
from relay.domain.history import QuarantineFilter
from relay.domain.report import Decoded, Entry, EntryType, GapCause, Origin, Rejected
from relay.journal.sqlite import SqliteJournal
from relay.ports import LeaseLost
from tests.conformance.journals import SMS, T0, VOICE, Opener, Relay, fetch, own, report


async def test_nothing_is_offered_before_the_cursor_was_confirmed(journal: SqliteJournal) -> None:
    lease = await journal.acquire_lease("stream/acme/sms")
    await journal.append_fetch(lease, SMS, fetch(), None)
    assert await journal.claim_fetch(SMS, T0) is None
    await journal.confirm_cursor(lease, SMS, 0, "c", T0)
    assert await journal.claim_fetch(SMS, T0) is not None


async def test_a_fetch_comes_back_as_it_was(relay: Relay) -> None:
    sent = fetch(b"\x00\xffbody", at_ms=T0 + 9, origin=Origin.PUSH, estimate=7)._replace(complete=False, status=206)
    id_ = await relay.journal.append_fetch(relay.lease, SMS, sent, None)
    assert await relay.journal.claim_fetch(SMS, T0) == (id_, SMS, 1, sent)


async def test_the_oldest_fetch_comes_first_and_claims_are_counted_for_good(reopen: Opener) -> None:
    journal = await reopen()
    relay = await own(journal)
    voice = await own(journal, VOICE)
    await journal.append_fetch(voice.lease, VOICE, fetch(b"voice"), None)
    await journal.append_fetch(relay.lease, SMS, fetch(b"one"), None)
    await journal.append_fetch(relay.lease, SMS, fetch(b"two"), None)
    assert await _claim(relay) == (b"one", 1)
    assert await _claim(relay) == (b"one", 2)
    await journal.close()

    relay = await own(await reopen())
    assert await _claim(relay) == (b"one", 3)


async def test_a_fetch_that_was_not_claimed_before_the_end_counts_as_if_it_had_been(reopen: Opener) -> None:
    journal = await reopen()
    relay = await own(journal)
    await journal.append_fetch(relay.lease, SMS, fetch(b"one"), None)
    await journal.append_fetch(relay.lease, SMS, fetch(b"two"), None)
    assert await _claim(relay) == (b"one", 1)
    await journal.close()

    relay = await own(await reopen())
    claimed = await relay.journal.claim_fetch(SMS, T0)
    assert claimed is not None
    assert (claimed.fetch.body, claimed.claims) == (b"one", 2)
    await relay.journal.record_reports(claimed, Decoded([report("a")], True), None)
    assert await _claim(relay) == (b"two", 2)


async def _claim(relay: Relay) -> tuple[bytes, int]:
    claimed = await relay.journal.claim_fetch(SMS, T0)
    assert claimed is not None
    return claimed.fetch.body, claimed.claims


async def test_a_claim_that_is_no_longer_ours_writes_nothing(relay: Relay) -> None:
    await relay.journal.append_fetch(relay.lease, SMS, fetch(), None)
    first = await relay.journal.claim_fetch(SMS, T0)
    second = await relay.journal.claim_fetch(SMS, T0)
    assert first is not None
    assert second is not None
    with pytest.raises(LeaseLost):
        await relay.journal.record_reports(first, Decoded([report("a")], True), None)
    await relay.journal.record_reports(second, Decoded([report("a")], True), None)
    with pytest.raises(LeaseLost):
        await relay.journal.record_reports(second, Decoded([report("b")], True), None)
    assert [entry.message_id for entry in await relay.journal.read_stream(SMS, 0, 10, 1000)] == ["a"]


async def test_reports_become_entries_in_their_order(relay: Relay) -> None:
    one, two = await relay.receive(report("a", group=None), report("b"), at_ms=T0 + 3, origin=Origin.PUSH)
    assert one == Entry(1, EntryType.REPORT, "a", 1, Origin.PUSH, T0 + 3, None, b'{"messageId":"a"}')
    assert two == Entry(2, EntryType.REPORT, "b", 1, Origin.PUSH, T0 + 3, 3, b'{"messageId":"b"}')


async def test_what_is_known_is_dropped_and_what_changed_is_a_revision(relay: Relay) -> None:
    await relay.receive(report("a", "7:0", final=False), report("b"))
    again = await relay.receive(report("b"), report("a"), report("a", "5:1"), report("a"))
    assert [(entry.seq, entry.message_id, entry.type, entry.revision) for entry in again] == [
        (3, "a", EntryType.COMPLETION, 2),
        (4, "a", EntryType.REVISION, 3),
    ]


async def test_the_same_id_twice_in_one_answer(relay: Relay) -> None:
    await relay.journal.append_fetch(relay.lease, SMS, fetch(), None)
    claimed = await relay.journal.claim_fetch(SMS, T0)
    assert claimed is not None
    decoded = Decoded([report("a"), report("a"), report("a", "9:9")], True)
    assert await relay.journal.record_reports(claimed, decoded, None) == Recorded(new=1, duplicates=1, revisions=1)


async def test_ids_are_known_after_a_restart_and_only_in_their_stream(reopen: Opener) -> None:
    journal = await reopen()
    await (await own(journal)).receive(report("a"))
    await journal.close()

    journal = await reopen()
    relay, voice = await own(journal), await own(journal, VOICE)
    assert await relay.receive(report("a"), report("b")) == [
        Entry(2, EntryType.REPORT, "b", 1, Origin.POLL, T0, 3, b'{"messageId":"b"}')
    ]
    assert [entry.seq for entry in await voice.receive(report("a"))] == [1]


async def test_a_rejected_entry_is_quarantined_whole_beside_its_neighbours(relay: Relay) -> None:
    raw = b"\xff" * 100_000
    _, bad, _ = await relay.receive(report("a"), Rejected("no messageId", raw), report("b"))
    assert (bad.seq, bad.type, bad.message_id, bad.status_group) == (2, EntryType.QUARANTINE, "", None)
    value = json.loads(bad.value)
    assert (value["source"], value["kind"], value["reason"], value["size"]) == ("acme", "sms", "no messageId", 100_000)
    (kept,) = await relay.journal.list_quarantine(QuarantineFilter(*SMS))
    assert (kept.seq, kept.reason, kept.received_at_ms, kept.size_bytes) == (2, "no messageId", T0, 100_000)
    assert kept.fetch_id == value["fetch"]
    assert await relay.journal.quarantined_bytes(kept.id) == raw


async def test_a_fetch_that_cannot_be_unpacked_is_quarantined_whole(relay: Relay) -> None:
    await relay.journal.append_fetch(relay.lease, SMS, fetch(b"poison"), None)
    claimed = await relay.journal.claim_fetch(SMS, T0)
    assert claimed is not None
    assert await relay.journal.quarantine_fetch(claimed, "boom") == Recorded(quarantined=1)
    assert await relay.journal.claim_fetch(SMS, T0) is None
    (kept,) = await relay.journal.list_quarantine()
    assert (kept.reason, await relay.journal.quarantined_bytes(kept.id)) == ("boom", b"poison")


async def test_a_gap_that_only_the_content_shows_is_opened_with_the_reports(relay: Relay) -> None:
    await relay.journal.append_fetch(relay.lease, SMS, fetch(at_ms=T0 + 5), None)
    claimed = await relay.journal.claim_fetch(SMS, T0)
    assert claimed is not None
    await relay.journal.record_reports(claimed, Decoded([report("a")], False, "cut"), GapCause.NOT_REPORTS)
    assert [cause for cause, *_ in await relay.causes()] == [GapCause.NOT_REPORTS]


@pytest.mark.parametrize("count", [1, 511, 512, 513, 1025])
async def test_answers_of_every_size(relay: Relay, count: int) -> None:
    await relay.receive_many(count)
    seqs: list[int] = []
    while page := await relay.journal.read_stream(SMS, len(seqs), 400, 1 << 20):
        assert [entry.message_id for entry in page] == [f"m-{entry.seq}" for entry in page]
        seqs += [entry.seq for entry in page]
    assert seqs == list(range(1, count + 1))
    assert await relay.receive_many(count) == []


async def test_an_empty_answer_appends_nothing(relay: Relay) -> None:
    assert await relay.receive() == []


async def test_text_of_every_script_comes_back(relay: Relay) -> None:
    odd = "\u00e9\u4e2d\U0001f600'\"\\\x7f"
    value = '{"messageId":"x","text":"\u4e2d\U0001f600"}'.encode()
    (entry,) = await relay.receive(replace(report(odd), value=value))
    assert (entry.message_id, entry.value) == (odd, value)
