"""What a fetch becomes, decided before anything is written: entries, ids to keep, bytes to quarantine."""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple

from relay.domain.dedup import Known, decide
from relay.domain.envelope import quarantine_value
from relay.domain.figures import Recorded
from relay.domain.report import Entry, EntryType, Origin, Rejected, Report
from relay.journal.ids import Seen
from relay.ports import ClaimedFetch


class Quarantined(NamedTuple):
    seq: int
    reason: str
    raw: bytes


class Draft:
    """Entries from `next_seq` on, in the order received."""

    def __init__(self, claimed: ClaimedFetch, next_seq: int) -> None:
        self.entries: list[Entry] = []
        self.columns: list[Any] = []
        """The same as they are written: type, messageId, revision, status group, previous seq, value; flat."""
        self.seen: dict[bytes, tuple[str, int, int]] = {}
        """By key, what is to be kept of each messageId that has a new entry, as in `Seen`."""
        self.quarantined: list[Quarantined] = []
        self._claimed = claimed
        self._origin = claimed.fetch.origin
        self._at_ms = claimed.fetch.received_at_ms
        self._first_seq = next_seq
        self._duplicates = self._revisions = 0

    def add(self, found: Sequence[Report | Rejected], keys: Sequence[bytes], known: Mapping[bytes, Seen]) -> None:
        """`keys` are those of the reports (whatever for the rejected), `known` is what the journal knows of them."""
        origin, at_ms, seen, entries, columns = self._origin, self._at_ms, self.seen, self.entries, self.columns
        first_of = cache(lambda outcome, final: _first(outcome, final, origin))
        seq = self._first_seq + len(entries)
        for key, report in zip(keys, found, strict=True):
            if isinstance(report, Rejected):
                self.quarantine(report.reason, report.raw)
                seq += 1
                continue
            message_id, status_group, value = report.message_id, report.status_group, report.value
            before = seen.get(key) or known.get(key)
            if before is None:
                # Nothing else decides about a messageId never seen, and in nearly all reports it is the same.
                type_, revision, outcomes = first_of(report.outcome, report.final)
                previous_seq = None
            else:
                outcomes, revision, previous_seq = before
                decision = decide(Known(outcomes, revision), report, origin)
                if decision is None:
                    self._duplicates += 1
                    continue
                self._revisions += 1
                type_, revision, (outcomes, _) = decision
            entries.append(Entry(seq, type_, message_id, revision, origin, at_ms, status_group, value))
            columns += (type_, message_id, revision, status_group, previous_seq, value)
            seen[key] = (outcomes, revision, seq)
            seq += 1

    def quarantine(self, reason: str, raw: bytes) -> None:
        value = quarantine_value(self._claimed.stream, reason, self._at_ms, self._claimed.id, raw)
        seq = self._first_seq + len(self.entries)
        self.entries.append(Entry(seq, EntryType.QUARANTINE, "", 1, self._origin, self._at_ms, None, value))
        self.columns += (EntryType.QUARANTINE, "", 1, None, None, value)
        readable = reason.encode("utf-8", "replace").decode()
        self.quarantined.append(Quarantined(seq, readable, raw))

    @property
    def recorded(self) -> Recorded:
        new = len(self.entries) - self._revisions - len(self.quarantined)
        return Recorded(new, self._duplicates, self._revisions, len(self.quarantined))


def _first(outcome: str, final: bool, origin: Origin) -> tuple[EntryType, int, str]:
    """Type, revision and outcomes to keep for the first report of a messageId."""
    decision = decide(None, Report("", outcome, None, final, b""), origin)
    if decision is None:
        raise AssertionError("the first report of a messageId is never a duplicate")
    return decision.type, decision.revision, decision.known.outcomes
