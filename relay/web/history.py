"""`/api/v1/inspect`: the whole life of a report, by its messageId."""

from collections.abc import Callable, Sequence
from typing import Any

import orjson
from aiohttp import web

from relay.domain.envelope import ce_id, webhook_id
from relay.domain.history import Arrival, AttemptLine, Gap, RecordingLine, Remembered, ReportLife
from relay.domain.report import Entry, EntryType, Stream
from relay.observe.redact import mask, mask_fields
from relay.ports import HistoryJournal
from relay.web.answering import answering, as_json
from relay.web.problem import problem
from relay.web.query import WrongQuery, text
from relay.web.status import rfc3339

PATH = "/api/v1/inspect"
MOST_MESSAGE_ID = 256

TopicOf = Callable[[Stream, EntryType], str | None]
"""Where entries of that type go; None without Kafka."""


class HistoryRoutes:
    """The handler."""

    def __init__(self, journal: HistoryJournal, *, topic_of: TopicOf) -> None:
        self._journal = journal
        self._topic_of = topic_of

    def add_to(self, application: web.Application) -> None:
        application.router.add_get(PATH, answering(self._inspect))

    async def _inspect(self, request: web.Request) -> web.Response:
        message_id = text(request.query, "message_id")
        if message_id is None or len(message_id) > MOST_MESSAGE_ID:
            raise WrongQuery(f"message_id must be given, with at most {MOST_MESSAGE_ID} characters")
        lives = await self._journal.inspect(message_id)
        known = await self._journal.remembered(message_id)
        if not lives and not known:
            return problem(404, "nothing is known of a report with this messageId: none came, or it is forgotten")
        return as_json(
            {
                "message_id": message_id,
                "entries": [self._life(life) for life in lives],
                "known": [_remembered(one) for one in known],
            }
        )

    def _life(self, life: ReportLife) -> dict[str, Any]:
        return {
            "source": life.stream.source,
            "kind": life.stream.kind,
            **report(life.stream, life.entry),
            "fetch": None if life.arrival is None else _fetch(life.arrival),
            "gaps": [_gap(gap) for gap in life.gaps],
            "kafka": _kafka(life, self._topic_of(life.stream, life.entry.type)),
            "callbacks": [_callback(life, *passage) for passage in life.passages if life.entry.type in _POSTED],
            "recording": None if life.recording is None else _recording(life.recording),
        }


def report(stream: Stream, entry: Entry) -> dict[str, Any]:
    """An entry, what it says masked."""
    return {
        "seq": entry.seq,
        "type": entry.type.name.lower(),
        "revision": entry.revision,
        "origin": entry.origin.value,
        "received_at": rfc3339(entry.received_at_ms),
        "ce_id": ce_id(entry),
        "webhook_id": webhook_id(stream, [entry]),
        "report": _masked(entry.value),
    }


def attempt(line: AttemptLine) -> dict[str, Any]:
    """One try, what was answered masked."""
    return {
        "at": rfc3339(line.started_at_ms),
        "seconds": round(line.duration_seconds, 6),
        "status": line.status,
        "result": line.result,
        "error": mask(line.error) or None,
        "answer": mask(line.answer.decode("utf-8", "replace")),
    }


_POSTED = frozenset({EntryType.REPORT, EntryType.COMPLETION, EntryType.REVISION})


def _masked(value: bytes) -> dict[str, Any] | None:
    """None if a full disk took it."""
    try:
        fields = orjson.loads(value)
    except orjson.JSONDecodeError:
        return None
    return mask_fields(fields) if isinstance(fields, dict) else None


def _fetch(arrival: Arrival) -> dict[str, Any]:
    return {
        "id": arrival.fetch_id,
        "requested_at": rfc3339(arrival.requested_at_ms),
        "received_at": rfc3339(arrival.received_at_ms),
        "status": arrival.status,
        "complete": arrival.complete,
    }


def _gap(gap: Gap) -> dict[str, Any]:
    return {
        "id": gap.id,
        "cause": gap.cause.value,
        "state": gap.state.name.lower(),
        "since": rfc3339(gap.since_ms),
        "until": rfc3339(gap.until_ms),
    }


def _kafka(life: ReportLife, topic: str | None) -> dict[str, Any] | None:
    """None without Kafka, and where nothing ever followed for it."""
    position = life.kafka_position
    if topic is None or position is None:
        return None
    passed = position >= life.entry.seq
    state = "refused" if life.entry.refused else "published" if passed else "waiting"
    return {
        "state": state,
        "topic": topic,
        "key": life.entry.message_id or str(life.stream),
        "relay_seq": life.entry.seq,
        "position": position,
        "published_at": rfc3339(life.published_at_ms) if passed else None,
    }


def _callback(life: ReportLife, name: str, position: int) -> dict[str, Any]:
    tried = [line for line in life.attempts if line.callback == name]
    stored = next((one for one in life.deliveries if one.callback == name), None)
    return {
        "callback": name,
        "state": stored.state if stored else _state(life, tried, position),
        "attempts": [attempt(line) for line in tried],
        "next_attempt_at": rfc3339(stored.next_attempt_at_ms) if stored and stored.state == "pending" else None,
        "dead_letter": stored.delivery_id if stored and stored.state == "dead" else None,
        "reason": mask(stored.reason) or None if stored else None,
    }


def _state(life: ReportLife, tried: Sequence[AttemptLine], position: int) -> str:
    """`passed`: it was not meant for the callback, which began later, or does not want such; or it was dropped."""
    if any(line.result == "delivered" for line in tried):
        return "delivered"
    return "passed" if position >= life.entry.seq else "waiting"


def _recording(line: RecordingLine) -> dict[str, Any]:
    return {
        "state": line.state,
        "url": mask(line.url),
        "failed_attempts": line.attempts,
        "next_attempt_at": rfc3339(line.next_attempt_at_ms) if line.state == "pending" else None,
        "reason": mask(line.reason) or None,
    }


def _remembered(one: Remembered) -> dict[str, Any]:
    return {
        "source": one.stream.source,
        "kind": one.stream.kind,
        "revisions": one.revision,
        "last_seq": one.last_seq,
        "seen_at": rfc3339(one.seen_at_ms),
    }
