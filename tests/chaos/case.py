"""The evidence of a run, seen from the sides that several of the checker's rules need. Imports nothing of relay."""

import base64
import json
import re
from collections import Counter, defaultdict

from tests.chaos.evidence import Event, Evidence, Handed, Published

SLOW = frozenset({"delay", "drip"})
"""These lose nothing, unless they take longer than anybody waits."""
IN_FLIGHT_MS = 3000
"""So long after the API has ended its answer may the reader still have it in hand only; the machine may be busy."""
POLL_TIMEOUT_MS = 5000
"""As configured."""
LATE_MS = 1500
"""So long after a kill may the API take up a request of the dead."""


class Case:
    """The evidence, looked at from the sides that several rules need."""

    def __init__(self, evidence: Evidence) -> None:
        self.evidence = evidence
        self.records = [record for record in evidence.committed if record.event is not None]
        self.quarantined = [record for record in evidence.committed if record.event is None]
        self.refused = evidence.oversized & {_quarantined_id(record) for record in self.quarantined}
        """messageIds that are in the quarantine because no broker takes the report."""
        self.journals = [*evidence.past_journals, evidence.journal]
        """In the order in which they were in use; a backup has forgotten what happened after it was taken."""
        self.refused_seqs = {
            kind: frozenset().union(*(journal.refused.get(kind, ()) for journal in self.journals))
            for kind in evidence.journal.last_seqs
        }
        self.by_event: dict[Event, list[Published]] = defaultdict(list)
        for record in sorted(self.records, key=lambda record: record.seq):
            assert record.event is not None
            self.by_event[record.event].append(record)
        self.handed = {event for response in evidence.handed_out for event in response.events if event is not None}
        holders = Counter(event for response in evidence.handed_out for event in set(response.events))
        self.lost = [
            response
            for response in evidence.handed_out
            if any(event is not None and holders[event] == 1 and self.not_read(event) for event in response.events)
        ]
        """Responses that did not bring all they held: something that only they held is missing, or came otherwise."""

    def not_read(self, event: Event) -> bool:
        return all(record.origin == "logs" for record in self.by_event.get(event, ())) and not self.is_refused(event)

    def is_refused(self, event: Event) -> bool:
        return event[1] in self.refused

    def is_explained(self, response: Handed) -> bool:
        """By what was done to the answer, or to the process that waited for it."""
        if response.fault is not None and response.fault not in SLOW:
            return True
        if response.fault in SLOW and response.ended_at_ms - response.at_ms >= POLL_TIMEOUT_MS:  # nobody waits so long
            return True
        return any(
            response.at_ms <= blow.until_ms + LATE_MS and response.ended_at_ms + IN_FLIGHT_MS >= blow.from_ms
            for blow in self.evidence.blows
        )

    def superseded(self, event: Event) -> bool:
        """The logs hold only the last word on a message, and that one came."""
        later = [one for one in self.outcomes_of.get(event[:2], ()) if one != event]
        return any(one in self.by_event for one in later)

    @property
    def outcomes_of(self) -> dict[tuple[str, str], list[Event]]:
        found: dict[tuple[str, str], list[Event]] = self.__dict__.setdefault("_outcomes", {})
        if not found:
            for response in self.evidence.handed_out:
                for event in response.events:
                    if event is not None and event not in found.setdefault(event[:2], []):
                        found[event[:2]].append(event)
        return found


def _quarantined_id(record: Published) -> str | None:
    raw = base64.b64decode(json.loads(record.value)["bytes"]) or record.value
    found = re.search(rb'"messageId":\s*"([^"]+)"', raw)
    return found[1].decode() if found else None
