"""What is counted: how unpacking ended, and how full the journal is by stream and callback."""

from collections.abc import Mapping
from typing import NamedTuple

from relay.domain.report import Stream


class Recorded(NamedTuple):
    """What became of the entries of one fetch."""

    new: int = 0
    duplicates: int = 0
    revisions: int = 0
    quarantined: int = 0


class StreamFigures(NamedTuple):
    fetches_pending: int
    unpublished: int
    oldest_unpublished_at_ms: int | None
    gaps_open: int
    oldest_open_gap_at_ms: int | None
    quarantine_entries: int
    last_success_at_ms: int | None
    last_seq: int
    kafka_position: int | None


class CallbackFigures(NamedTuple):
    backlog: int
    oldest_backlog_at_ms: int | None
    dead_letters: int
    dropped: int = 0
    """Dead letters that somebody dropped, ever."""
    expired: int = 0
    """Dead letters that were kept as long as they are, ever."""


class JournalFigures(NamedTuple):
    streams: Mapping[Stream, StreamFigures]
    callbacks: Mapping[str, CallbackFigures]
    size_bytes: int
    free_bytes: int
    writable: bool

    def drained(self, *, callbacks: bool) -> bool:
        """Whether all that is journaled has come to Kafka, and to the callbacks if that is asked too."""
        passed = all(stream.fetches_pending == 0 and stream.unpublished == 0 for stream in self.streams.values())
        return passed and not (callbacks and any(callback.backlog for callback in self.callbacks.values()))
