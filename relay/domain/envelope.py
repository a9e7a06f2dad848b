"""How an entry of a stream looks from outside: Kafka records, CloudEvents headers, bodies and ids of callbacks.

`StreamEnvelope` holds what is constant for a stream, so that a record costs little more than its three varying headers.
"""

import base64
import hashlib
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import quote

import orjson
from msgspec import Struct

from relay.domain.infobip_push import as_pushed
from relay.domain.report import Entry, EntryType, Origin, Stream

QUARANTINE_BYTES = 65536
"""At most so many bytes of what was quarantined go to Kafka; the whole stays in the journal."""

_UNESCAPED = "".join(chr(code) for code in range(0x21, 0x7F) if chr(code) not in '"%')
_WEBHOOK_ID_DIGITS = 32

Headers = tuple[tuple[str, bytes], ...]


class Topics(NamedTuple):
    """The topics of one kind, already formatted."""

    reports: str
    revisions: str
    quarantine: str
    recordings: str = "infobip.voice.recordings"


class KafkaRecord(Struct, frozen=True, gc=False):
    """One Kafka record, ready to append. `id` is the value of `ce_id`, `seq` that of `relay_seq`; the other headers are
    `common`: neighbours in a stream share it, so that it is encoded once for all of them.

    A Struct is made in a third of the time that a NamedTuple takes, and every report becomes one.
    """

    seq: int
    topic: str
    key: bytes
    value: bytes
    id: bytes
    common: Sequence[tuple[str, bytes]]
    timestamp_ms: int

    @property
    def headers(self) -> list[tuple[str, bytes]]:
        """All of them."""
        return [*self.common, ("ce_id", self.id), ("relay_seq", b"%d" % self.seq)]


class StreamEnvelope:
    """Makes the Kafka records of one stream: CloudEvents in binary mode, with `relay_journal` and `relay_seq`."""

    __slots__ = (
        "_common",
        "_common_of",
        "_fixed",
        "_journal",
        "_quarantine_fixed",
        "_quarantine_key",
        "_quarantine_topic",
        "_recording_fixed",
        "_recordings_topic",
        "_topics",
    )

    def __init__(self, stream: Stream, journal_id: str, topics: Topics, *, revisions_inline: bool) -> None:
        self._fixed = _fixed_headers(ce_source(stream), ce_type(stream.kind, EntryType.REPORT))
        self._quarantine_fixed = _fixed_headers(ce_source(stream), ce_type(stream.kind, EntryType.QUARANTINE))
        self._quarantine_key = str(stream).encode()
        self._quarantine_topic = topics.quarantine
        self._recording_fixed = _fixed_headers(ce_source(stream), ce_type(stream.kind, EntryType.RECORDING))
        self._recordings_topic = topics.recordings
        self._journal = ("relay_journal", journal_id.encode())
        self._topics = {
            EntryType.REPORT: topics.reports,
            EntryType.COMPLETION: topics.reports,
            EntryType.REVISION: topics.reports if revisions_inline else topics.revisions,
        }
        self._common: Headers = ()
        self._common_of: tuple[Headers, int, Origin | None] = (), -1, None

    def records(self, entries: Iterable[Entry]) -> list[KafkaRecord]:
        """The records of the entries that were not refused; the same entry always makes the same record."""
        topics, journal = self._topics, self._journal
        common, (common_fixed, common_ms, common_origin) = self._common, self._common_of
        made = []
        for entry in entries:
            if entry.refused:
                continue
            origin, received_at_ms = entry.origin, entry.received_at_ms
            key = id_ = entry.message_id.encode()
            fixed = self._fixed
            topic = topics.get(entry.type)
            if topic is None:
                topic, key, id_, fixed = self._of_another_type(entry.type, entry.seq, key)
            elif entry.revision != 1:
                id_ = b"%b#%d" % (key, entry.revision)
            if received_at_ms != common_ms or fixed is not common_fixed or origin is not common_origin:
                # The entries of a fetch share it.
                common = (*fixed, ("ce_time", rfc3339_ms(received_at_ms).encode()), _ORIGINS[origin], journal)
                common_fixed, common_ms, common_origin = fixed, received_at_ms, origin
            made.append(KafkaRecord(entry.seq, topic, key, entry.value, id_, common, received_at_ms))
        self._common, self._common_of = common, (common_fixed, common_ms, common_origin)
        return made

    def _of_another_type(self, type_: EntryType, seq: int, message_id: bytes) -> tuple[str, bytes, bytes, Headers]:
        """Topic, key, id and fixed headers."""
        if type_ == EntryType.RECORDING:
            return self._recordings_topic, message_id, b"%b#recording" % message_id, self._recording_fixed
        return self._quarantine_topic, self._quarantine_key, b"quarantine-%d" % seq, self._quarantine_fixed


def ce_source(stream: Stream) -> str:
    """CloudEvents `source`: ``/{source}/{kind}``."""
    return f"/{stream.source}/{stream.kind}"


def ce_type(kind: str, type_: EntryType) -> str:
    """CloudEvents `type` of a report (or a revision of it), of a recording or of a quarantine entry."""
    return f"com.infobip.{kind}.{_NOUNS.get(type_, 'report')}.v1"


def ce_id(entry: Entry) -> str:
    """CloudEvents `id`: the messageId, from revision 2 on with ``#n``; ``{messageId}#recording`` for its recording,
    ``quarantine-{seq}`` for what has none."""
    if entry.type not in _NOUNS:  # what is asked for a hundred times for each batch
        return entry.message_id if entry.revision == 1 else f"{entry.message_id}#{entry.revision}"
    return f"quarantine-{entry.seq}" if entry.type == EntryType.QUARANTINE else f"{entry.message_id}#recording"


def ce_headers(stream: Stream, entry: Entry) -> dict[str, str]:
    """CloudEvents HTTP binary headers of one report, percent-encoded as that binding demands."""
    return {
        "ce-specversion": "1.0",
        "ce-id": ce_id_header(entry),
        "ce-source": ce_source(stream),
        "ce-type": ce_type(stream.kind, entry.type),
        "ce-time": rfc3339_ms(entry.received_at_ms),
        "ce-origin": entry.origin.value,
    }


def ce_id_header(entry: Entry) -> str:
    """`ce-id` alone, the only one that differs between neighbours of a stream."""
    return quote(ce_id(entry), safe=_UNESCAPED)


def webhook_id(stream: Stream, members: Sequence[Entry]) -> str:
    """The id of a delivery, the same on every attempt and replay.

    ``msg_`` and the first 32 hex digits of SHA-256 over `ce_source`, newline, `ce_id`; for a batch over these two
    lines of every member in their order, joined by newlines.
    """
    source = ce_source(stream)
    lines = "\n".join([f"{source}\n{ce_id(entry)}" for entry in members])
    return "msg_" + hashlib.sha256(lines.encode()).hexdigest()[:_WEBHOOK_ID_DIGITS]


def callback_body(members: Sequence[Entry], *, infobip: bool, batch: bool) -> bytes:
    """The body of a POST. `infobip`: ``{"results":[…]}``, as Infobip pushes; else the report, or an array in a batch.

    A callback with `batch_size` above 1 always gets an array, also for one member, so that it can rely on it.
    """
    if not infobip and not batch:
        (entry,) = members
        return entry.value
    if infobip:
        return b'{"results":[%b]}' % b",".join([as_pushed(entry.value) for entry in members])
    return b"[%b]" % b",".join([entry.value for entry in members])


def quarantine_value(stream: Stream, reason: str, received_at_ms: int, fetch_id: int | None, raw: bytes) -> bytes:
    """The value of a quarantine entry: `bytes` is base64 of at most the first 64 KiB; `fetch` may be null."""
    return orjson.dumps(
        {
            "source": stream.source,
            "kind": stream.kind,
            "reason": reason.encode("utf-8", "replace").decode(),
            "received_at": rfc3339_ms(received_at_ms),
            "fetch": fetch_id,
            "size": len(raw),
            "bytes": base64.b64encode(raw[:QUARANTINE_BYTES]).decode(),
        }
    )


def without_bytes(value: bytes) -> bytes:
    """A quarantine value without its `bytes`: what is sent when the broker refused it whole."""
    fields = orjson.loads(value)
    fields["bytes"] = ""
    return orjson.dumps(fields)


@lru_cache(maxsize=256)
def rfc3339_ms(at_ms: int) -> str:
    """``2015-02-12T08:58:20.323Z``; the reports of a fetch share it."""
    seconds, ms = divmod(at_ms, 1000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{ms:03d}Z"


def _fixed_headers(source: str, type_: str) -> tuple[tuple[str, bytes], ...]:
    return (
        ("ce_specversion", b"1.0"),
        ("ce_source", source.encode()),
        ("ce_type", type_.encode()),
        ("content-type", b"application/json"),
    )


_NOUNS = {EntryType.QUARANTINE: "quarantine", EntryType.RECORDING: "recording"}
_ORIGINS = {origin: ("ce_origin", origin.value.encode()) for origin in Origin}
