"""What is in quarantine: found, retried once, dropped; and what becomes of the stream by it."""

import json

import pytest

from relay.domain.figures import Recorded
from relay.domain.history import Quarantined, QuarantineFilter, Retried
from relay.domain.report import Decoded, Entry, EntryType, Origin, Rejected
from relay.journal.sqlite import SqliteJournal
from relay.ports import JournalError
from tests.conformance.journals import ALL, SMS, T0, VOICE, Opener, Relay, own, report, retention

NOW = T0 + 5000
DAY_MS = 86_400_000


async def only(relay: Relay, *, with_done: bool = False) -> Quarantined:
    (kept,) = await relay.journal.list_quarantine(QuarantineFilter(with_done=with_done))
    return kept


async def retried(relay: Relay, id_: int, *found: object, at_ms: int = NOW) -> Retried | None:
    return await relay.journal.retry_quarantined(id_, Decoded(list(found), True), at_ms)  # type: ignore[arg-type]


async def in_quarantine(relay: Relay) -> int:
    return (await relay.journal.figures(NOW)).streams[relay.stream].quarantine_entries


async def entries(relay: Relay, after_seq: int) -> list[Entry]:
    return await relay.journal.read_stream(relay.stream, after_seq, 100, 1 << 20)


async def test_found_by_source_kind_and_part_of_the_reason(journal: SqliteJournal) -> None:
    relay, voice = await own(journal), await own(journal, VOICE)
    await relay.receive(Rejected("messageId is empty", b"1"), Rejected("Not an Object", b"22"), origin=Origin.PUSH)
    await voice.receive(Rejected("not an object", b"333"), at_ms=T0 + 1)

    async def found(wanted: QuarantineFilter) -> list[tuple[str, int]]:
        return [(kept.stream.kind, kept.size_bytes) for kept in await journal.list_quarantine(wanted)]

    assert await found(QuarantineFilter()) == [("sms", 1), ("sms", 2), ("voice", 3)]
    assert await found(QuarantineFilter(source="acme")) == [("sms", 1), ("sms", 2), ("voice", 3)]
    assert await found(QuarantineFilter(source="other")) == []
    assert await found(QuarantineFilter(kind="voice")) == [("voice", 3)]
    assert await found(QuarantineFilter(reason="an OBJ")) == [("sms", 2), ("voice", 3)]
    assert await found(QuarantineFilter(kind="sms", reason="object")) == [("sms", 2)]
    assert await found(QuarantineFilter(reason="%")) == []


async def test_one_by_its_id(relay: Relay) -> None:
    _, bad = await relay.receive(report("a"), Rejected("no messageId", b"{}"), origin=Origin.PUSH)
    kept = await only(relay)
    fetch_id = json.loads(bad.value)["fetch"]
    assert kept == Quarantined(kept.id, SMS, 2, "no messageId", T0, fetch_id, 2, Origin.PUSH, "", None)
    assert await relay.journal.find_quarantined(kept.id) == kept
    assert await relay.journal.find_quarantined(kept.id + 1) is None
    assert await relay.journal.quarantined_bytes(kept.id + 1) is None


async def test_in_pages(relay: Relay) -> None:
    await relay.receive(*(Rejected("bad", b"%d" % n) for n in range(5)))
    first = await relay.journal.list_quarantine(limit=3)
    rest = await relay.journal.list_quarantine(after_id=first[-1].id, limit=3)
    assert [kept.seq for kept in first + rest] == [1, 2, 3, 4, 5]


async def test_what_a_retry_makes_usable_joins_the_stream(relay: Relay) -> None:
    await relay.receive(Rejected("no messageId", b"raw"), origin=Origin.PUSH)
    kept = await only(relay)
    assert await retried(relay, kept.id, report("a"), report("b")) == Retried(Recorded(new=2))
    assert await entries(relay, 1) == [
        Entry(2, EntryType.REPORT, "a", 1, Origin.PUSH, NOW, 3, b'{"messageId":"a"}'),
        Entry(3, EntryType.REPORT, "b", 1, Origin.PUSH, NOW, 3, b'{"messageId":"b"}'),
    ]
    assert await relay.journal.list_quarantine() == []
    assert await only(relay, with_done=True) == kept._replace(done_at_ms=NOW)
    assert await relay.journal.quarantined_bytes(kept.id) == b"raw"
    assert await in_quarantine(relay) == 0


async def test_a_retry_drops_what_is_known_and_remembers_what_is_new(relay: Relay) -> None:
    await relay.receive(report("a", "7:0", final=False), Rejected("bad", b"raw"))
    kept = await only(relay)
    found = report("a", "7:0", final=False), report("a"), report("b")
    assert await retried(relay, kept.id, *found) == Retried(Recorded(new=1, duplicates=1, revisions=1))
    assert [(entry.message_id, entry.type, entry.revision) for entry in await entries(relay, 2)] == [
        ("a", EntryType.COMPLETION, 2),
        ("b", EntryType.REPORT, 1),
    ]
    assert await relay.receive(report("a"), report("b")) == []


async def test_only_duplicates_are_done_too(relay: Relay) -> None:
    await relay.receive(report("a"), Rejected("bad", b"raw"))
    assert await retried(relay, (await only(relay)).id, report("a")) == Retried(Recorded(duplicates=1))
    assert await relay.journal.list_quarantine() == []
    assert await entries(relay, 2) == []


async def test_what_still_is_no_report_stays_with_the_new_reason(relay: Relay) -> None:
    await relay.receive(Rejected("old reason", b"raw"))
    kept = await only(relay)
    assert await retried(relay, kept.id, Rejected("new reason", b"raw")) == Retried(reason="new reason")
    assert await only(relay) == kept._replace(reason="new reason")
    assert await entries(relay, 1) == []
    assert await in_quarantine(relay) == 1


async def test_what_of_it_is_no_report_is_quarantined_anew(relay: Relay) -> None:
    await relay.receive(Rejected("could not be unpacked", b"whole body"))
    kept = await only(relay)
    result = await retried(relay, kept.id, report("a"), Rejected("no messageId", b"part"))
    assert result == Retried(Recorded(new=1, quarantined=1))
    part = await only(relay)
    assert (part.seq, part.reason, part.received_at_ms, part.fetch_id) == (3, "no messageId", NOW, kept.fetch_id)
    assert await relay.journal.quarantined_bytes(part.id) == b"part"
    assert await in_quarantine(relay) == 1
    assert [entry.type for entry in await entries(relay, 1)] == [EntryType.REPORT, EntryType.QUARANTINE]


async def test_nothing_is_retried_twice(reopen: Opener) -> None:
    journal = await reopen()
    relay = await own(journal)
    await relay.receive(Rejected("bad", b"raw"))
    id_ = (await only(relay)).id
    assert await retried(relay, id_, report("a")) is not None
    assert await retried(relay, id_, report("b")) is None
    assert await retried(relay, id_ + 1, report("b")) is None
    await journal.close()

    relay = await own(await reopen())
    assert await retried(relay, id_, report("b")) is None
    assert [entry.message_id for entry in await entries(relay, 1)] == ["a"]


async def test_no_seq_is_given_before_the_cursor_was_confirmed(reopen: Opener) -> None:
    journal = await reopen()
    relay = await own(journal)
    await relay.receive(Rejected("bad", b"raw"))
    id_ = (await only(relay)).id
    await journal.close()

    journal = await reopen()
    lease = await journal.acquire_lease(f"stream/{SMS}")
    with pytest.raises(JournalError, match="acme/sms is not confirmed"):
        await journal.retry_quarantined(id_, Decoded([report("a")], True), NOW)
    await journal.confirm_cursor(lease, SMS, 0, "cluster", T0)
    assert await journal.retry_quarantined(id_, Decoded([report("a")], True), NOW) == Retried(Recorded(new=1))


async def test_a_refused_record_is_sent_again_as_it_was(relay: Relay) -> None:
    journal = relay.journal
    await relay.receive(report("a", "7:0", final=False, group=None), report("a", group=3), origin=Origin.LOGS)
    await journal.refuse_record(relay.lease, SMS, 2, "MESSAGE_TOO_LARGE", T0)
    kept = await only(relay)
    assert (kept.seq, kept.message_id, kept.origin, kept.fetch_id) == (3, "a", Origin.LOGS, None)
    assert await retried(relay, kept.id, Rejected("whatever", b"")) == Retried(sent_again=True)
    again = Entry(4, EntryType.COMPLETION, "a", 2, Origin.LOGS, NOW, 3, b'{"messageId":"a"}')
    assert await entries(relay, 3) == [again]
    assert await in_quarantine(relay) == 0
    assert [life.entry.seq for life in await journal.inspect("a")] == [1, 2, 4]
    (later,) = await relay.receive(report("a", "9:9"))
    assert (later.seq, later.revision) == (5, 3)
    assert [life.entry.seq for life in await journal.inspect("a")] == [1, 2, 4, 5]


async def test_a_refused_record_is_sent_again_when_its_entry_is_gone(relay: Relay) -> None:
    journal = relay.journal
    await relay.receive(report("a"), report("b"))
    await journal.refuse_record(relay.lease, SMS, 1, "MESSAGE_TOO_LARGE", T0)
    await relay.publish(3)
    for at_ms in (T0, T0 + 1000):
        await journal.prune(at_ms, retention(seconds=0))
    assert await journal.inspect("b") == []
    assert await retried(relay, (await only(relay)).id) == Retried(sent_again=True)
    assert await entries(relay, 3) == [Entry(4, EntryType.REPORT, "a", 1, Origin.POLL, NOW, 3, b'{"messageId":"a"}')]


async def test_callbacks_get_what_was_retried(relay: Relay) -> None:
    await relay.subscribe("billing", earliest=True, wanted=ALL)
    await relay.receive(Rejected("bad", b"raw"))
    await retried(relay, (await only(relay)).id, report("a"))
    figures = await relay.journal.figures(NOW)
    assert figures.callbacks["billing"].oldest_backlog_at_ms == T0
    backlog = await relay.journal.backlog("billing", SMS)
    assert backlog.unread == 2


async def test_dropped_bytes_are_gone(relay: Relay) -> None:
    await relay.receive(Rejected("bad", b"1"), Rejected("bad", b"2"))
    first, second = await relay.journal.list_quarantine()
    assert await relay.journal.drop_quarantined(first.id) is True
    assert await relay.journal.drop_quarantined(first.id) is False
    assert await only(relay) == second
    assert await relay.journal.quarantined_bytes(first.id) is None
    assert await in_quarantine(relay) == 1
    await retried(relay, second.id, report("a"))
    assert await relay.journal.drop_quarantined(second.id) is True
    assert await in_quarantine(relay) == 0
    assert [entry.seq for entry in await entries(relay, 0)] == [1, 2, 3]


async def test_what_expires_is_counted_out_once(relay: Relay) -> None:
    await relay.receive(Rejected("bad", b"1"), Rejected("bad", b"2"))
    await retried(relay, (await relay.journal.list_quarantine())[0].id, report("a"))
    assert await in_quarantine(relay) == 1
    await relay.journal.prune(T0 + 31 * DAY_MS, retention())
    assert await relay.journal.list_quarantine(QuarantineFilter(with_done=True)) == []
    assert await in_quarantine(relay) == 0
