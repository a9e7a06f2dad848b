"""What the relay is doing, as JSON: the body of /readyz and of /api/v1/status."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

import relay
from relay.domain.figures import CallbackFigures, StreamFigures
from relay.domain.report import Stream
from relay.observe.redact import mask
from relay.web.reading import Reading


class Condition(NamedTuple):
    """`ready` if the journal can be written; `degraded` names what else is not as it should be."""

    instance: str
    ready: bool
    degraded: dict[str, str]

    @property
    def word(self) -> str:
        if not self.ready:
            return "unavailable"
        return "degraded" if self.degraded else "ok"


def condition(instance: str, degraded: dict[str, str], reading: Reading) -> Condition:
    named = {**degraded, "journal": mask(reading.reason)} if reading.reason else degraded
    return Condition(instance, not reading.reason, named)


def readiness(now: Condition) -> dict[str, Any]:
    return {"status": now.word, "instance": now.instance, "version": relay.__version__, "degraded": now.degraded}


def full_status(
    now: Condition, reading: Reading, started_at_ms: int, last_success_ms: Mapping[Stream, int]
) -> dict[str, Any]:
    """`last_success_ms`: of each stream that was polled since the start; the journal's own may be older or newer."""
    body = {**readiness(now), "started_at": rfc3339(started_at_ms)}
    figures = reading.figures
    if figures is None:
        return {**body, "journal": None, "streams": [], "callbacks": []}
    return {
        **body,
        "journal": {
            "writable": figures.writable,
            "size_bytes": figures.size_bytes,
            "free_bytes": figures.free_bytes,
        },
        "streams": [
            _stream(stream, figure, last_success_ms.get(stream)) for stream, figure in sorted(figures.streams.items())
        ],
        "callbacks": [_callback(name, figure) for name, figure in sorted(figures.callbacks.items())],
    }


def rfc3339(at_ms: int | None) -> str | None:
    """`2026-02-12T08:58:20.323Z`"""
    if at_ms is None:
        return None
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _stream(stream: Stream, figure: StreamFigures, polled_at_ms: int | None) -> dict[str, Any]:
    known = [at_ms for at_ms in (figure.last_success_at_ms, polled_at_ms) if at_ms is not None]
    return {
        "source": stream.source,
        "kind": stream.kind,
        "last_successful_poll_at": rfc3339(max(known, default=None)),
        "fetches_pending": figure.fetches_pending,
        "unpublished": figure.unpublished,
        "oldest_unpublished_at": rfc3339(figure.oldest_unpublished_at_ms),
        "last_seq": figure.last_seq,
        "kafka_position": figure.kafka_position,
        "gaps_open": figure.gaps_open,
        "oldest_open_gap_at": rfc3339(figure.oldest_open_gap_at_ms),
        "quarantine_entries": figure.quarantine_entries,
    }


def _callback(name: str, figure: CallbackFigures) -> dict[str, Any]:
    return {
        "name": name,
        "backlog": figure.backlog,
        "oldest_backlog_at": rfc3339(figure.oldest_backlog_at_ms),
        "dead_letters": figure.dead_letters,
    }
