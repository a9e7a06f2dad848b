"""Records read back from Kafka become the entries that they were made from."""

import pytest
from msgspec.structs import replace

from relay.domain.adoption import Adopted, Note, adopted
from relay.domain.envelope import StreamEnvelope, Topics
from relay.domain.report import Entry, EntryType, Origin, Stream

TOPICS = Topics("infobip.sms.reports", "infobip.sms.revisions", "infobip.quarantine")
DELIVERED = b'{"messageId":"m#1","status":{"groupId":3,"id":5},"error":{"groupId":0,"id":0}}'
PENDING = b'{"messageId":"m#1","status":{"groupId":1,"groupName":"PENDING","id":26}}'


def envelope(*, inline: bool = False) -> StreamEnvelope:
    return StreamEnvelope(Stream("acme", "sms"), "journal-1", TOPICS, revisions_inline=inline)


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        (
            Entry(7, EntryType.REPORT, "m#1", 1, Origin.POLL, 1_423_731_500_323, 3, DELIVERED),
            Adopted(7, "m#1", 1, EntryType.REPORT, Origin.POLL, 1_423_731_500_323, "5:0", True, 3, DELIVERED),
        ),
        (
            Entry(8, EntryType.REPORT, "m#1", 1, Origin.LOGS, 1000, 1, PENDING),
            Adopted(8, "m#1", 1, EntryType.REPORT, Origin.LOGS, 1000, "26:-", False, 1, PENDING),
        ),
        (
            Entry(9, EntryType.COMPLETION, "m#1", 2, Origin.PUSH, 1999, 3, DELIVERED),
            Adopted(9, "m#1", 2, EntryType.COMPLETION, Origin.PUSH, 1999, "5:0", True, 3, DELIVERED),
        ),
        (
            Entry(10, EntryType.REVISION, "m#1", 12, Origin.POLL, 1000, 3, DELIVERED),
            Adopted(10, "m#1", 12, EntryType.REVISION, Origin.POLL, 1000, "5:0", True, 3, DELIVERED),
        ),
        (
            Entry(11, EntryType.QUARANTINE, "", 1, Origin.POLL, 1000, None, b'{"reason":"x"}'),
            Adopted(11, "", 1, EntryType.QUARANTINE, Origin.POLL, 1000, "", False, None, b'{"reason":"x"}'),
        ),
        (
            Entry(12, EntryType.RECORDING, "m#1", 1, Origin.PUSH, 1000, None, b'{"path":"x"}'),
            Adopted(12, "m#1", 1, EntryType.RECORDING, Origin.PUSH, 1000, "", False, None, b'{"path":"x"}'),
        ),
    ],
)
def test_each_type(entry: Entry, expected: Adopted) -> None:
    assert adopted(envelope().records([entry])[0], reports_topic=TOPICS.reports) == expected


def test_an_inline_revision_that_is_not_final_is_no_completion() -> None:
    entry = Entry(8, EntryType.REVISION, "m#1", 2, Origin.POLL, 1000, 1, PENDING)

    assert adopted(envelope(inline=True).records([entry])[0], reports_topic=TOPICS.reports).type == EntryType.REVISION


@pytest.mark.parametrize("kind", ["quarantine", "recording"])
def test_a_kind_may_be_called_like_a_type(kind: str) -> None:
    entry = Entry(7, EntryType.REPORT, "m", 1, Origin.POLL, 1000, 3, DELIVERED)
    record = StreamEnvelope(Stream("acme", kind), "journal-1", TOPICS, revisions_inline=False).records([entry])[0]
    assert adopted(record, reports_topic=TOPICS.reports).type == EntryType.REPORT


def test_the_note_of_a_record_is_that_of_its_entry_alone() -> None:
    entry = Entry(7, EntryType.REVISION, "m-1", 2, Origin.POLL, 1000, 3, b'{"messageId":"m-1"}')
    (record,) = envelope().records([entry])
    note = Note.of_record(record)

    assert Note.of_entry(entry) == note == Note.read(str(note))
    others = [
        replace(entry, **other) for other in ({"seq": 8}, {"revision": 3}, {"message_id": "m-2"}, {"value": b"{}"})
    ]
    assert note not in [Note.of_entry(other) for other in others]


@pytest.mark.parametrize("metadata", ["", "7", " abc", "seven abc", "7 "])
def test_what_others_left_beside_the_cursor_is_no_note(metadata: str) -> None:
    assert Note.read(metadata) is None
