"""Recordings of calls: pending with their report, tried again, announced once."""

import json

import pytest
from msgspec.structs import replace

from relay.domain.recordings import StoredRecording
from relay.domain.report import Decoded, Entry, EntryType, Origin, Report
from relay.journal.sqlite import SqliteJournal
from relay.ports import AdoptedRecord, JournalError, LeaseLost, PendingRecording
from tests.conformance.journals import HOUR_MS, T0, VOICE, Opener, Relay, fetch, own, retention

URL = "https://x.example/tts/3/files/a"
DAY = "2018-06-25"
STORED = StoredRecording("acme/2018/06/25/a.wav", 160_044, "ab" * 32, 10.0)
ANNOUNCED = {
    "messageId": "a",
    "source": "acme",
    "path": "acme/2018/06/25/a.wav",
    "bytes": 160_044,
    "sha256": "ab" * 32,
    "seconds": 10.0,
}


def call(message_id: str, outcome: str = "5:5000", *, url: str | None = URL) -> Report:
    members = {"messageId": message_id, "sentAt": f"{DAY}T13:38:14.730+00:00"}
    if url is not None:
        members["recordedAudioFileUrl"] = url
    return Report(message_id, outcome, 3, True, json.dumps(members, separators=(",", ":")).encode())


@pytest.fixture
async def voice(journal: SqliteJournal) -> Relay:
    relay = await own(journal, VOICE)
    assert await journal.want_recordings(relay.lease, VOICE, wanted=True)
    return relay


async def due(relay: Relay, at_ms: int = T0, *, limit: int = 10, skip: tuple[int, ...] = ()) -> list[PendingRecording]:
    return await relay.journal.due_recordings(VOICE, at_ms, limit, skip)


async def ids_due(relay: Relay, at_ms: int = T0) -> list[str]:
    return [pending.message_id for pending in await due(relay, at_ms)]


# --- what becomes pending ---


async def test_a_report_makes_its_recording_pending(voice: Relay) -> None:
    await voice.receive(call("a"), call("b", url=None))
    assert await due(voice) == [PendingRecording(1, "a", URL, DAY, 0, T0)]
    assert await voice.journal.next_recording_at_ms(VOICE, ()) == T0


async def test_a_message_has_one_recording(voice: Relay) -> None:
    await voice.receive(call("a"), call("a"), call("a", "9:5002", url=f"{URL}/2"), at_ms=T0)
    await voice.receive(call("a", "4:5003"), at_ms=T0 + 1)
    assert [(pending.message_id, pending.url) for pending in await due(voice, T0 + 1)] == [("a", URL)]


async def test_a_later_report_may_be_the_first_with_a_recording(voice: Relay) -> None:
    await voice.receive(call("a", url=None), origin=Origin.LOGS)
    await voice.receive(call("a"), at_ms=T0 + 5)
    assert await due(voice, T0 + 5) == [PendingRecording(1, "a", URL, DAY, 0, T0 + 5)]


async def test_nothing_is_pending_where_nobody_wants_it(journal: SqliteJournal) -> None:
    relay = await own(journal, VOICE)
    assert not await journal.want_recordings(relay.lease, VOICE, wanted=False)
    await relay.receive(call("a"))
    assert await journal.want_recordings(relay.lease, VOICE, wanted=True)
    await relay.receive(call("b"))
    assert await journal.want_recordings(relay.lease, VOICE, wanted=False), "there may be announcements"
    await relay.receive(call("c"))
    assert await ids_due(relay) == ["b"]


async def test_a_journal_opened_again_knows_what_is_pending(reopen: Opener) -> None:
    journal = await reopen()
    relay = await own(journal, VOICE)
    await journal.want_recordings(relay.lease, VOICE, wanted=True)
    await relay.receive(call("a"))
    await journal.close()
    relay = await own(await reopen(), VOICE)
    assert await ids_due(relay) == ["a"]


async def test_streams_have_recordings_of_their_own(voice: Relay) -> None:
    other = await own(voice.journal, VOICE._replace(source="beta"))
    await voice.receive(call("a"))
    await other.receive(call("b"))
    assert await ids_due(voice) == ["a"]
    assert await voice.journal.due_recordings(other.stream, T0, 10, ()) == []
    assert await voice.journal.next_recording_at_ms(other.stream, ()) is None


async def test_none_is_due_before_the_cursor_was_confirmed(reopen: Opener) -> None:
    journal = await reopen()
    relay = await own(journal, VOICE)
    await journal.want_recordings(relay.lease, VOICE, wanted=True)
    await relay.receive(call("a"))
    await journal.close()
    journal = await reopen()
    lease = await journal.acquire_lease(f"stream/{VOICE}")
    assert await journal.due_recordings(VOICE, T0, 10, ()) == []
    with pytest.raises(JournalError):
        await journal.record_recording(lease, VOICE, 1, STORED, T0)
    await journal.confirm_cursor(lease, VOICE, 0, "c", T0)
    assert len(await journal.due_recordings(VOICE, T0, 10, ())) == 1


# --- which are due ---


async def test_the_earliest_first_but_for_those_in_hand(voice: Relay) -> None:
    await voice.receive(call("a"), call("b"), call("c"), at_ms=T0)
    await voice.journal.postpone_recording(voice.lease, VOICE, 1, T0 + 50, "status 404")
    assert [pending.id for pending in await due(voice, T0 + 50)] == [2, 3, 1]
    assert [pending.id for pending in await due(voice, T0 + 50, limit=1)] == [2]
    assert [pending.id for pending in await due(voice, T0 + 50, skip=(2,))] == [3, 1]
    assert [pending.id for pending in await due(voice, T0 + 49)] == [2, 3]
    assert await voice.journal.next_recording_at_ms(VOICE, (2, 3)) == T0 + 50
    assert await voice.journal.next_recording_at_ms(VOICE, (1, 2, 3)) is None


async def test_attempts_are_counted(voice: Relay) -> None:
    await voice.receive(call("a"))
    for number in (1, 2):
        await voice.journal.postpone_recording(voice.lease, VOICE, 1, T0 + number, "status 404")
    assert await due(voice, T0 + 2) == [PendingRecording(1, "a", URL, DAY, 2, T0)]


# --- how they end ---


async def test_a_stored_recording_is_announced_in_its_stream(voice: Relay) -> None:
    (report,) = await voice.receive(call("a"), origin=Origin.PUSH)
    await voice.journal.record_recording(voice.lease, VOICE, 1, STORED, T0 + 700)
    (announced,) = await voice.journal.read_stream(VOICE, report.seq, 10, 1 << 20)
    assert replace(announced, value=b"") == Entry(2, EntryType.RECORDING, "a", 1, Origin.PUSH, T0 + 700, None, b"")
    assert json.loads(announced.value) == ANNOUNCED
    assert await due(voice, T0 + HOUR_MS) == []


async def test_it_is_announced_once(voice: Relay) -> None:
    await voice.receive(call("a"))
    for _ in range(2):
        await voice.journal.record_recording(voice.lease, VOICE, 1, STORED, T0)
    await voice.journal.give_up_recording(voice.lease, VOICE, 1, "too late", T0)
    await voice.journal.postpone_recording(voice.lease, VOICE, 1, T0, "too late")
    await voice.receive(call("a", "9:5002"))
    entries = await voice.journal.read_stream(VOICE, 0, 10, 1 << 20)
    assert [entry.type for entry in entries] == [EntryType.REPORT, EntryType.RECORDING, EntryType.REVISION]
    assert await due(voice, T0 + HOUR_MS) == []


async def test_what_was_given_up_is_not_tried_again(voice: Relay) -> None:
    await voice.receive(call("a"))
    await voice.journal.give_up_recording(voice.lease, VOICE, 1, "another host", T0)
    await voice.journal.record_recording(voice.lease, VOICE, 1, STORED, T0)
    await voice.receive(call("a", "9:5002"))
    assert await due(voice, T0 + HOUR_MS) == []
    assert len(await voice.journal.read_stream(VOICE, 0, 10, 1 << 20)) == 2


async def test_whoever_lost_the_stream_changes_nothing(voice: Relay) -> None:
    await voice.receive(call("a"))
    await voice.journal.acquire_lease(f"stream/{VOICE}")
    await voice.journal.confirm_cursor(await voice.journal.acquire_lease(f"stream/{VOICE}"), VOICE, 0, "cluster", T0)
    with pytest.raises(LeaseLost):
        await voice.journal.record_recording(voice.lease, VOICE, 1, STORED, T0)
    with pytest.raises(LeaseLost):
        await voice.journal.postpone_recording(voice.lease, VOICE, 1, T0 + 1, "")
    with pytest.raises(LeaseLost):
        await voice.journal.give_up_recording(voice.lease, VOICE, 1, "", T0)
    with pytest.raises(LeaseLost):
        await voice.journal.want_recordings(voice.lease, VOICE, wanted=False)
    assert await ids_due(voice) == ["a"]


async def test_the_life_of_a_message_shows_its_recording(voice: Relay) -> None:
    await voice.receive(call("a"))
    await voice.journal.record_recording(voice.lease, VOICE, 1, STORED, T0)
    await voice.receive(call("a", "9:5002"))
    lives = await voice.journal.inspect("a")
    assert [life.entry.type for life in lives] == [EntryType.REPORT, EntryType.RECORDING, EntryType.REVISION]


async def test_a_repeat_after_the_announcement_is_still_a_duplicate(voice: Relay) -> None:
    await voice.receive(call("a"))
    await voice.journal.record_recording(voice.lease, VOICE, 1, STORED, T0)
    assert await voice.receive(call("a")) == []


# --- a journal restored from a backup ---


def adopted(seq: int, message_id: str, type_: EntryType, value: bytes) -> AdoptedRecord:
    final = type_ is EntryType.REPORT
    return AdoptedRecord(seq, message_id, 1, type_, Origin.POLL, T0, "5:5000" if final else "", final, None, value)


async def test_what_kafka_has_announced_is_not_fetched_again(voice: Relay) -> None:
    records = [
        adopted(1, "a", EntryType.REPORT, call("a").value),
        adopted(2, "b", EntryType.REPORT, call("b").value),
        adopted(3, "a", EntryType.RECORDING, json.dumps(ANNOUNCED).encode()),
    ]
    await voice.journal.adopt_published(voice.lease, VOICE, records[:2], 3)
    assert await ids_due(voice) == ["a", "b"]
    await voice.journal.adopt_published(voice.lease, VOICE, records[2:], 3)
    assert await ids_due(voice) == ["b"]
    lives = await voice.journal.inspect("a")
    assert [life.entry.type for life in lives] == [EntryType.REPORT, EntryType.RECORDING]


async def test_an_announcement_in_the_same_page_as_its_report(voice: Relay) -> None:
    records = [
        adopted(1, "a", EntryType.REPORT, call("a").value),
        adopted(2, "a", EntryType.RECORDING, json.dumps(ANNOUNCED).encode()),
        adopted(3, "", EntryType.QUARANTINE, b"{}"),
    ]
    await voice.journal.adopt_published(voice.lease, VOICE, records, 3)
    assert await ids_due(voice) == []
    assert await voice.receive(call("a")) == []


async def test_an_announcement_that_gives_way_is_found_with_its_report(voice: Relay) -> None:
    await voice.receive(call("a"))
    await voice.journal.record_recording(voice.lease, VOICE, 1, STORED, T0)
    others = [adopted(seq, f"x-{seq}", EntryType.REPORT, call(f"x-{seq}").value) for seq in (1, 2)]
    await voice.journal.adopt_published(voice.lease, VOICE, others, 2)
    lives = await voice.journal.inspect("a")
    assert [(life.entry.seq, life.entry.type) for life in lives] == [(3, EntryType.REPORT), (4, EntryType.RECORDING)]
    assert await voice.receive(call("a")) == []


# --- upkeep ---


async def test_old_recordings_are_forgotten_after_their_messages(voice: Relay) -> None:
    await voice.receive(call("a"), call("b"), at_ms=T0)
    await voice.journal.record_recording(voice.lease, VOICE, 1, STORED, T0)
    await voice.journal.prune(T0 + 144 * HOUR_MS, retention(seconds=1e9))
    assert await ids_due(voice) == ["b"]
    await voice.journal.prune(T0 + 144 * HOUR_MS + 1, retention(seconds=1e9))
    assert await ids_due(voice) == []


async def test_a_broker_may_refuse_an_announcement(voice: Relay) -> None:
    await voice.receive(call("a"))
    await voice.journal.record_recording(voice.lease, VOICE, 1, STORED, T0)
    await voice.journal.refuse_record(voice.lease, VOICE, 2, "too large", T0)
    entries = await voice.journal.read_stream(VOICE, 1, 10, 1 << 20)
    assert [(entry.type, entry.refused) for entry in entries] == [
        (EntryType.RECORDING, True),
        (EntryType.QUARANTINE, False),
    ]


async def test_the_fetch_and_its_recordings_are_one_transaction(voice: Relay) -> None:
    await voice.journal.append_fetch(voice.lease, VOICE, fetch(), None)
    claimed = await voice.journal.claim_fetch(VOICE, T0)
    assert claimed is not None
    await voice.journal.claim_fetch(VOICE, T0)
    with pytest.raises(JournalError):
        await voice.journal.record_reports(claimed, Decoded([call("a")], True), None)
    assert await due(voice) == []
