"""A record read back from Kafka as the entry of the stream that it was made from; and whether the two are one."""

import hashlib
from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple

import orjson

from relay.domain.codes import Outcome, outcome_of
from relay.domain.envelope import KafkaRecord, ce_id
from relay.domain.report import Entry, EntryType, Origin

_QUARANTINE_TYPE = b".quarantine.v1"
_RECORDING_TYPE = b".recording.v1"


class Adopted(NamedTuple):
    """An entry that Kafka holds and a restored journal does not; the fields of ports.AdoptedRecord."""

    seq: int
    message_id: str
    revision: int
    type: EntryType
    origin: Origin
    received_at_ms: int
    outcome: str
    final: bool
    status_group: int | None
    value: bytes


class Note(NamedTuple):
    """What Kafka keeps beside the cursor about the newest record before it: enough to see that a journal's entry of the
    same seq is another. That is so where two relays published one stream from copies of one journal."""

    seq: int
    digest: str

    def __str__(self) -> str:
        return f"{self.seq} {self.digest}"

    @classmethod
    def read(cls, text: str) -> "Note | None":
        """None if it is no note: earlier relays left none."""
        seq, _, digest = text.partition(" ")
        return cls(int(seq), digest) if seq.isdecimal() and digest else None

    @classmethod
    def of_record(cls, record: KafkaRecord) -> "Note":
        return cls(record.seq, _digest(record.id, record.value))

    @classmethod
    def of_entry(cls, entry: Entry) -> "Note":
        return cls(entry.seq, _digest(ce_id(entry).encode(), entry.value))


def adopted(record: KafkaRecord, *, reports_topic: str) -> Adopted:
    """The inverse of StreamEnvelope.record. A later revision in the kind's topic counts as a completion if it is final
    (with `dedup.revisions: inline` other revisions are there too)."""
    headers = dict(record.headers)
    origin = Origin(headers["ce_origin"].decode())
    received_at_ms = _epoch_ms(headers["ce_time"].decode())
    if headers["ce_type"].endswith(_QUARANTINE_TYPE):
        return Adopted(
            record.seq, "", 1, EntryType.QUARANTINE, origin, received_at_ms, "", False, None, record.value
        )  # fmt: skip
    if headers["ce_type"].endswith(_RECORDING_TYPE):
        id_ = record.key.decode()
        return Adopted(
            record.seq, id_, 1, EntryType.RECORDING, origin, received_at_ms, "", False, None, record.value
        )  # fmt: skip
    revision = _revision(headers, record.key)
    outcome = _outcome(record.value)
    return Adopted(
        record.seq,
        record.key.decode(),
        revision,
        _type(revision, outcome, in_reports_topic=record.topic == reports_topic),
        origin,
        received_at_ms,
        outcome.text,
        outcome.final,
        outcome.status_group,
        record.value,
    )


def _type(revision: int, outcome: Outcome, *, in_reports_topic: bool) -> EntryType:
    if revision == 1:
        return EntryType.REPORT
    return EntryType.COMPLETION if in_reports_topic and outcome.final else EntryType.REVISION


def _revision(headers: Mapping[str, bytes], key: bytes) -> int:
    """`ce_id` is the key, from revision 2 on with ``#n``; a messageId may hold a # itself."""
    number = headers["ce_id"].removeprefix(key).removeprefix(b"#")
    return int(number) if number else 1


def _outcome(value: bytes) -> Outcome:
    report = orjson.loads(value)
    return outcome_of(report.get("status") or {}, report.get("error") or {}, report.get("unparsed") or {})


def _digest(id_: bytes, value: bytes) -> str:
    return hashlib.blake2b(b"%b\0%b" % (id_, value), digest_size=8).hexdigest()


def _epoch_ms(time: str) -> int:
    return round(datetime.fromisoformat(time).timestamp() * 1000)
