"""What is known from outside after a run: ledgers, topics, callbacks, the stopped journal, log and metrics.

Nothing of relay is imported, here or in the checker: the simulator's ledger is a file, the topics are read with
librdkafka, the journal with the standard library's sqlite3.
"""

import hashlib
import json
import pickle
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from tests.kafka.reader import Read, committed_offset, read_committed, read_uncommitted

KEPT = "evidence.pickle"
Event = tuple[str, str, str]
"""(kind, messageId, outcome)."""


class Handed(NamedTuple):
    """One response of a one-time endpoint that held reports."""

    number: int
    kind: str
    at_ms: int
    ended_at_ms: int
    fault: str | None
    whole: int
    """So many of its entries can have arrived whole."""
    completed: bool
    events: tuple[Event | None, ...]
    """In the order of the body; None: an entry that is no report."""


class Published(NamedTuple):
    """One record as a consumer reads it. `event` is None for what is no report."""

    topic: str
    partition: int
    offset: int
    kind: str
    ce_id: str
    ce_type: str
    origin: str
    journal: str
    seq: int
    event: Event | None
    value: bytes

    @property
    def identity(self) -> tuple[str, str, str]:
        return self.kind, self.ce_type, self.ce_id


class Posted(NamedTuple):
    """One POST as the receiver saw it. `signed`: its signature is right; `accepted`: it was answered with 200."""

    source: str
    ce_id: str
    webhook_id: str
    body_sha256: str
    signed: bool
    accepted: bool
    event: Event


class Gap(NamedTuple):
    kind: str
    cause: str
    state: int
    """0 open, 1 closed, 2 incomplete, 3 expired."""
    since_ms: int
    until_ms: int
    recovered: int


class JournalFacts(NamedTuple):
    """What the stopped journal says of itself."""

    integrity: str
    last_seqs: Mapping[str, int]
    """By kind."""
    refused: Mapping[str, frozenset[int]]
    """Seqs that the broker refused, by kind."""
    gaps: Sequence[Gap]
    fetches: int
    dead_letters: int


class Blow(NamedTuple):
    """A moment, or a span, in which an answer on its way could be lost without the API's fault."""

    what: str
    from_ms: int
    until_ms: int


class Sizes(NamedTuple):
    """The most that was seen of a relay process and its files."""

    resident_bytes: int = 0
    descriptors: int = 0
    wal_bytes: int = 0


@dataclass(frozen=True, kw_only=True)
class Evidence:
    handed_out: Sequence[Handed]
    committed: Sequence[Published]
    uncommitted: Sequence[Published]
    posted: Sequence[Posted]
    journal: JournalFacts
    cursors: Mapping[str, int | None]
    """The offset committed in Kafka, by kind."""
    blows: Sequence[Blow]
    oversized: frozenset[str]
    """messageIds of reports that no broker takes."""
    markers: Mapping[str, Sequence[str]]
    """What each entry that is no report holds, by kind, in the order in which they were put into the queue."""
    logs: str
    scrapes: Sequence[str]
    """Metrics as they were read now and then; the last one belongs to the last process."""
    targets: Sequence[str]
    """Path and query of POSTs."""
    canaries: Sequence[str]
    """Texts that must be nowhere in logs, metrics and URLs; regular expressions."""
    sizes: Sizes
    past_journals: Sequence[JournalFacts]
    """Those in whose place a backup was put, each with all it held published."""
    broken_promises: Sequence[str]
    """What was seen at once and no ledger tells."""
    recovers: bool
    """Whether lost reads are got back from the logs."""


def keep(evidence: Evidence, directory: Path) -> None:
    """So that it can be judged once more."""
    (directory / KEPT).write_bytes(pickle.dumps(evidence))


def kept(directory: Path) -> Evidence:
    evidence = pickle.loads((directory / KEPT).read_bytes())
    assert isinstance(evidence, Evidence)
    return evidence


def read_ledger(path: Path) -> list[Handed]:
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    ended = {line["response"]: line for line in lines if line["event"] == "ended"}
    return [_handed(line, ended.get(line["response"])) for line in lines if line["event"] == "handed_out"]


def _handed(line: dict[str, object], ended: dict[str, object] | None) -> Handed:
    kind, ids, outcomes = line["kind"], line["ids"], line["outcomes"]
    events = tuple((kind, id_, outcome) if id_ else None for id_, outcome in zip(ids, outcomes, strict=True))
    end = ended or {"at_ms": line["at_ms"], "fault": "none told", "whole_reports": 0, "completed": False}
    return Handed(
        line["response"],
        kind,
        line["at_ms"],
        end["at_ms"],
        end["fault"],
        end["whole_reports"],
        end["completed"],
        events,
    )


def read_topics(servers: str, prefix: str, kinds: Sequence[str]) -> tuple[list[Published], list[Published]]:
    """What a read_committed and what a read_uncommitted consumer reads."""
    topics = [f"{prefix}.{kind}.{what}" for kind in kinds for what in ("reports", "revisions")]
    topics.append(f"{prefix}.quarantine")
    committed = [_published(record) for record in read_committed(servers, *topics)]
    return committed, [_published(record) for record in read_uncommitted(servers, *topics)]


def read_topic(servers: str, topic: str, *, all_: bool) -> list[Published]:
    """What a read_committed consumer reads, or with records of aborted transactions."""
    return [_published(record) for record in (read_uncommitted if all_ else read_committed)(servers, topic)]


def _published(record: Read) -> Published:
    text = {name: value.decode() for name, value in record.headers.items()}
    kind = text["ce_source"].rsplit("/", 1)[1]
    is_report = text["ce_type"].endswith(".report.v1")
    return Published(
        record.topic,
        record.partition,
        record.offset,
        kind,
        text["ce_id"],
        text["ce_type"],
        text["ce_origin"],
        text["relay_journal"],
        int(text["relay_seq"]),
        event_of(kind, record.value) if is_report else None,
        record.value,
    )


def event_of(kind: str, value: bytes) -> Event:
    report = json.loads(value)
    return kind, report["messageId"], f"{report['status']['id']}:{report['error']['id']}"


def read_cursors(servers: str, prefix: str, journal_id: str, kinds: Sequence[str]) -> dict[str, int | None]:
    return {
        kind: committed_offset(servers, f"{prefix}.{journal_id}.acme.{kind}", f"{prefix}.cursors") for kind in kinds
    }


def read_journal(path: Path) -> JournalFacts:
    """Only of a journal that no process has open."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as db:
        kinds = dict(db.execute("SELECT id, kind FROM streams"))
        refused: dict[str, set[int]] = {kind: set() for kind in kinds.values()}
        for (id_,) in db.execute("SELECT id FROM entries WHERE refused"):
            refused[kinds[id_ >> 44]].add(id_ & (1 << 44) - 1)
        gaps = db.execute("SELECT stream_id, cause, state, since_ms, until_ms, recovered FROM gaps ORDER BY id")
        (fetches,) = db.execute("SELECT count(*) FROM fetches").fetchone()
        (dead,) = db.execute("SELECT coalesce(sum(dead_reports), 0) FROM subscriptions").fetchone()
        return JournalFacts(
            integrity="; ".join(row[0] for row in db.execute("PRAGMA integrity_check")),
            last_seqs={kind: seq - 1 for kind, seq in db.execute("SELECT kind, next_seq FROM streams")},
            refused={kind: frozenset(seqs) for kind, seqs in refused.items()},
            gaps=[Gap(kinds[stream], *rest) for stream, *rest in gaps],
            fetches=fetches,
            dead_letters=dead,
        )


def sha256(value: bytes) -> str:
    return hashlib.sha256(value).hexdigest()
