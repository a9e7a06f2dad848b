"""The verdict: exact counts over the evidence. Imports nothing of relay; every rule is written down once more here.

A rule yields what is wrong, in words with an example; no words, no objection.
"""

import base64
import hashlib
import json
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

from tests.chaos.case import IN_FLIGHT_MS, LATE_MS, SLOW, Case
from tests.chaos.evidence import Evidence, Handed, Published, sha256

HOOK = "/hook"
ORDERLY_CUTS = frozenset({"close_in_body", "truncated_gzip"})
"""All that was sent before the cut arrives."""
MOST_RESIDENT_BYTES = 400 << 20
MOST_DESCRIPTORS = 150
MOST_WAL_BYTES = 96 << 20
UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
REPORT = ".report.v1"


class Verdict(NamedTuple):
    """Green if there is no objection."""

    counts: dict[str, int]
    objections: list[str]

    @property
    def green(self) -> bool:
        return not self.objections


Rule = Callable[[Case], Iterator[str]]


def judge(evidence: Evidence) -> Verdict:
    case = Case(evidence)
    objections = [f"{rule.__name__}: {objection}" for rule in RULES for objection in rule(case)]
    return Verdict(_counts(case), objections)


# --- 1: in Kafka exactly once ---


def each_once(case: Case) -> Iterator[str]:
    """A record once; an event once, or once from the logs and then as it was polled, which tells more."""
    yield from _some(
        "records are there more than once",
        [identity for identity, count in Counter(one.identity for one in case.evidence.committed).items() if count > 1],
    )
    yield from _some(
        "events are there more than once",
        [
            event
            for event, records in case.by_event.items()
            if len(records) > 1 and [record.origin for record in records] != ["logs", "poll"]
        ],
    )


def nothing_lost(case: Case) -> Iterator[str]:
    """Everything that was handed out; without recovery, but for what an explained gap owns up to."""
    missing = [event for event in case.handed if event not in case.by_event and not case.is_refused(event)]
    if case.evidence.recovers:
        yield from _some("events are missing", [event for event in missing if not case.superseded(event)])
        return
    excused = {event for response in case.lost if case.is_explained(response) for event in response.events}
    yield from _some("events are missing and nothing explains it", [one for one in missing if one not in excused])


def nothing_lost_in_orderly_ends(case: Case) -> Iterator[str]:
    yield from _some(
        "responses were lost although nothing happened to them",
        [_told(response) for response in case.lost if not case.is_explained(response)],
    )


def cut_answers_give_what_came(case: Case) -> Iterator[str]:
    """The whole reports before the cut were read, not got from the logs."""
    blows = case.evidence.blows
    for response in case.lost:
        struck = any(
            blow.from_ms <= response.ended_at_ms + IN_FLIGHT_MS and blow.until_ms + LATE_MS >= response.at_ms
            for blow in blows
        )
        if response.fault in ORDERLY_CUTS and not struck:
            unread = [one for one in response.events[: response.whole] if one is not None and case.not_read(one)]
            yield from _some(f"whole reports before the cut were not read ({_told(response)})", unread)


def nothing_invented(case: Case) -> Iterator[str]:
    yield from _some("events were never handed out", [event for event in case.by_event if event not in case.handed])


def only_oversized_are_refused(case: Case) -> Iterator[str]:
    """Each of them once, with its quarantine entry; the logs lack what made it too large, so from there it passes."""
    refused = sum(len(seqs) for seqs in case.refused_seqs.values())
    if refused != len(case.refused):
        yield f"{refused} records were refused, {len(case.refused)} reports too large are in the quarantine"


def uncommitted_are_aborted(case: Case) -> Iterator[str]:
    """What only a read_uncommitted consumer sees was sent again and committed then, or refused."""
    places = {one[:3] for one in case.evidence.committed}
    known = {(one.identity, one.seq, one.value) for one in case.evidence.committed}
    extras = [one for one in case.evidence.uncommitted if one[:3] not in places]
    yield from _some(
        "records were only ever in aborted transactions",
        [one.identity for one in extras if (one.identity, one.seq, one.value) not in known],
    )
    if missing := places - {one[:3] for one in case.evidence.uncommitted}:
        yield f"{len(missing)} records can be read committed, but not uncommitted"


# --- seqs and order ---


def seqs_are_gapless(case: Case) -> Iterator[str]:
    """Every seq once in all topics together, but for what was refused; the cursor stands behind the last."""
    journal = case.evidence.journal
    if len(journals := {record.journal for record in case.evidence.committed}) > 1:
        yield f"records of {len(journals)} journals"
    for kind, last in journal.last_seqs.items():
        seqs = Counter(record.seq for record in case.evidence.committed if record.kind == kind)
        refused = case.refused_seqs[kind]
        told = refused.union(seqs)
        yield from _some(f"{kind} seqs are missing", [seq for seq in range(1, last + 1) if seq not in told])
        yield from _some(f"{kind} seqs are there more than once", [seq for seq, count in seqs.items() if count > 1])
        yield from _some(f"{kind} seqs were refused and are there", sorted(refused & set(seqs)))
        yield from _some(f"{kind} seqs are beyond the last", [seq for seq in seqs if seq > last])
        if case.evidence.cursors[kind] not in (last + 1, None if not last else -1):
            yield f"the cursor of {kind} is {case.evidence.cursors[kind]}, the last seq {last}"


def seqs_grow_in_each_partition(case: Case) -> Iterator[str]:
    last: dict[tuple[str, int, str], int] = {}
    for record in sorted(case.evidence.committed):
        place = (record.topic, record.partition, record.kind)
        if record.seq <= last.get(place, 0):
            yield f"seq {record.seq} comes after {last[place]} in {place}"
            return
        last[place] = record.seq


def revisions_are_in_order(case: Case) -> Iterator[str]:
    """Numbered one after the other along the stream, and told in the order in which they were handed out."""
    messages: dict[tuple[str, str], list[Published]] = defaultdict(list)
    for record in sorted(case.records, key=lambda record: record.seq):
        assert record.event is not None
        messages[record.event[:2]].append(record)
    wrong = []
    for (kind, message_id), records in messages.items():
        wanted = [message_id, *(f"{message_id}#{n}" for n in range(2, len(records) + 1))]
        if [record.ce_id for record in records] != wanted:
            wrong.append((kind, message_id))
    yield from _some("messages have revisions out of order", wrong)
    touched = {event for response in case.lost for event in response.events}
    yield from _some(
        "messages have outcomes in another order than they were handed out",
        [
            message
            for message, outcomes in case.outcomes_of.items()
            if not touched.intersection(outcomes)
            and not case.is_refused(outcomes[0])
            and not any(record.origin == "logs" for record in messages[message])
            and [record.event for record in messages[message]] != outcomes
        ],
    )


# --- 2: at the callback at least once ---


def callbacks_have_all(case: Case) -> Iterator[str]:
    accepted = {(one.source, one.ce_id) for one in case.evidence.posted if one.accepted}
    wanted = {(f"/acme/{record.kind}", record.ce_id) for record in case.records}
    yield from _some("records never came to the callback", sorted(wanted - accepted))
    yield from _some(
        "callbacks are not in Kafka",
        sorted(
            (one.source, one.ce_id)
            for one in case.evidence.posted
            if (one.source, one.ce_id) not in wanted and not case.is_refused(one.event)
        ),
    )
    if dead := case.evidence.journal.dead_letters:
        yield f"{dead} dead letters"


def callbacks_never_change(case: Case) -> Iterator[str]:
    """Signed, with the id that follows from the event, and with the value that Kafka has."""
    values = {(f"/acme/{record.kind}", record.ce_id): sha256(record.value) for record in case.records}
    posted = case.evidence.posted
    yield from _some("POSTs have a wrong signature", [one.ce_id for one in posted if not one.signed])
    yield from _some(
        "POSTs have a wrong webhook-id",
        [one.ce_id for one in posted if one.webhook_id != _webhook_id(one.source, one.ce_id)],
    )
    # A backup has forgotten that a record was refused: from the logs it comes again, without what made it too large.
    forgotten = (
        case.refused if any(seqs for past in case.evidence.past_journals for seqs in past.refused.values()) else ()
    )
    yield from _some(
        "POSTs have another body than Kafka",
        [
            one.ce_id
            for one in posted
            if values.get((one.source, one.ce_id), one.body_sha256) != one.body_sha256 and one.event[1] not in forgotten
        ],
    )


def _webhook_id(source: str, ce_id: str) -> str:
    return "msg_" + hashlib.sha256(f"{source}\n{ce_id}".encode()).hexdigest()[:32]


# --- 3: gaps ---


def losses_are_gaps(case: Case) -> Iterator[str]:
    """Each response that did not bring all it held lies in a gap of its stream."""
    gaps = [gap for journal in case.journals for gap in journal.gaps]
    yield from _some(
        "responses were lost and no gap tells of it",
        [
            _told(response)
            for response in case.lost
            if not any(
                gap.kind == response.kind
                and gap.since_ms <= response.at_ms + LATE_MS
                and gap.until_ms >= response.at_ms
                for gap in gaps
            )
        ],
    )


def gaps_are_closed(case: Case) -> Iterator[str]:
    if not case.evidence.recovers:
        return
    states = Counter(gap.state for gap in case.evidence.journal.gaps)
    for state, name in ((0, "open"), (2, "incomplete"), (3, "expired")):
        if states[state]:
            yield f"{states[state]} gaps are {name}"


# --- 5: one bad entry never stops another ---


def garbage_is_quarantined(case: Case) -> Iterator[str]:
    """Each entry that is no report is in the quarantine topic once, if its answer came."""
    raws = [base64.b64decode(json.loads(record.value)["bytes"]) for record in case.quarantined]
    for kind, markers in case.evidence.markers.items():
        holders = [one for one in case.evidence.handed_out if one.kind == kind for event in one.events if event is None]
        for marker, holder in zip(markers, holders, strict=True):
            found = sum(marker.encode() in raw for raw in raws)
            sure = holder.completed and holder.fault in {None, *SLOW} and holder not in case.lost
            struck = not sure or any(
                blow.from_ms <= holder.ended_at_ms + IN_FLIGHT_MS and blow.until_ms + LATE_MS >= holder.at_ms
                for blow in case.evidence.blows
            )
            if found != 1 and not (struck and found == 0):
                yield f"{marker} is in the quarantine {found} times"


# --- the journal, metrics, secrets, sizes ---


def journal_is_sound(case: Case) -> Iterator[str]:
    journal = case.evidence.journal
    if journal.integrity != "ok":
        yield f"integrity_check says {journal.integrity}"
    if journal.fetches:
        yield f"{journal.fetches} fetches were never unpacked"


def secrets_are_kept(case: Case) -> Iterator[str]:
    places = {
        "the log": case.evidence.logs,
        "metrics": "\n".join(case.evidence.scrapes),
        "URLs": "\n".join(case.evidence.targets),
    }
    for name, text in places.items():
        for canary in case.evidence.canaries:
            if found := re.search(canary, text):
                line = text[text.rfind("\n", 0, found.start()) + 1 : found.end()]
                yield f"{canary!r} is in {name}: {line[-300:]}"
    if found := UUID.search(places["metrics"]):
        yield f"a messageId is in the metrics: {found[0]}"


def promises_are_kept(case: Case) -> Iterator[str]:
    """What was seen while it happened: something refused that was not, written where nothing may be."""
    yield from case.evidence.broken_promises


def nobody_else_is_asked(case: Case) -> Iterator[str]:
    """A redirect leads to where callbacks are received."""
    yield from _some("requests followed a redirect", [one for one in case.evidence.targets if not one.startswith(HOOK)])


def sizes_are_bounded(case: Case) -> Iterator[str]:
    bounds = (MOST_RESIDENT_BYTES, MOST_DESCRIPTORS, MOST_WAL_BYTES)
    for name, size, bound in zip(case.evidence.sizes._fields, case.evidence.sizes, bounds, strict=True):
        if size > bound:
            yield f"{name} came to {size}, more than {bound}"


RULES: Sequence[Rule] = (
    each_once,
    nothing_lost,
    nothing_lost_in_orderly_ends,
    cut_answers_give_what_came,
    nothing_invented,
    only_oversized_are_refused,
    uncommitted_are_aborted,
    seqs_are_gapless,
    seqs_grow_in_each_partition,
    revisions_are_in_order,
    callbacks_have_all,
    callbacks_never_change,
    losses_are_gaps,
    gaps_are_closed,
    garbage_is_quarantined,
    journal_is_sound,
    secrets_are_kept,
    promises_are_kept,
    nobody_else_is_asked,
    sizes_are_bounded,
)


def _counts(case: Case) -> dict[str, int]:
    evidence = case.evidence
    return {
        "responses with reports": len(evidence.handed_out),
        "events handed out": len(case.handed),
        "responses lost in flight": len(case.lost),
        "events from the logs": sum(record.origin == "logs" for record in case.records),
        "events never had again": sum(event not in case.by_event for event in case.handed),
        "records read committed": len(evidence.committed),
        "of them quarantined": len(case.quarantined),
        "records of aborted transactions": len(evidence.uncommitted) - len(evidence.committed),
        "records refused": sum(len(seqs) for seqs in case.refused_seqs.values()),
        "journals replaced by a backup": len(evidence.past_journals),
        "POSTs": len(evidence.posted),
        "POSTs accepted": sum(one.accepted for one in evidence.posted),
        "deliveries repeated": sum(one.accepted for one in evidence.posted)
        - len({(one.source, one.ce_id) for one in evidence.posted if one.accepted}),
        "gaps": len({gap for journal in case.journals for gap in journal.gaps}),
        "kills and stops": len(evidence.blows),
    }


def _told(response: Handed) -> str:
    number, kind, at_ms, _, fault, *_ = response
    return f"response {number} of {kind} at {at_ms}, {len(response.events)} entries, fault {fault}"


def _some(what: str, found: Iterable[object]) -> Iterator[str]:
    listed = list(found)
    if listed:
        yield f"{len(listed)} {what}: {', '.join(map(str, listed[:3]))}{' …' if len(listed) > 3 else ''}"
