"""The demo's check: the simulator's ledger against what Kafka and the receiver hold. Imports nothing that published."""

from collections import Counter, defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import orjson

Outcomes = dict[str, set[str]]
"""By messageId: the distinct outcomes handed out. Each is one event; a repeated one is a duplicate."""


class HandedOut(NamedTuple):
    """What the simulator handed out, by kind."""

    reports: int
    outcomes: Mapping[str, Outcomes]

    @property
    def events(self) -> int:
        return sum(len(seen) for outcomes in self.outcomes.values() for seen in outcomes.values())


class Difference(NamedTuple):
    """Of one kind: events that are missing and events that are there too often, in Kafka and at the callback."""

    kind: str
    missing: int
    surplus: int
    missing_at_callback: int


class Verdict(NamedTuple):
    handed_out: HandedOut
    differences: list[Difference]
    refused_by_receiver: int

    @property
    def passed(self) -> bool:
        wrong = any(difference[1:] != (0, 0, 0) for difference in self.differences)
        return not wrong and self.handed_out.events > 0 and self.refused_by_receiver == 0


def read_ledger(path: Path) -> HandedOut:
    """Raises OSError if there is no ledger."""
    outcomes: defaultdict[str, Outcomes] = defaultdict(lambda: defaultdict(set))
    reports = 0
    for line in path.read_bytes().splitlines():
        event = orjson.loads(line)
        if event["event"] != "handed_out":
            continue
        reports += len(event["ids"])
        for message_id, outcome in zip(event["ids"], event["outcomes"], strict=True):
            outcomes[event["kind"]][message_id].add(outcome)
    return HandedOut(reports, outcomes)


def judge(
    handed_out: HandedOut,
    in_kafka: Mapping[str, Counter[str]],
    at_callback: Mapping[str, Counter[str]],
    refused_by_receiver: int,
) -> Verdict:
    """`in_kafka` and `at_callback` by kind: how often each messageId was seen, revisions included.

    Kafka must hold each event once; the callback at least once.
    """
    differences = []
    for kind, outcomes in sorted(handed_out.outcomes.items()):
        expected = Counter({message_id: len(seen) for message_id, seen in outcomes.items()})
        published = in_kafka.get(kind, Counter())
        differences.append(
            Difference(
                kind,
                missing=(expected - published).total(),
                surplus=(published - expected).total(),
                missing_at_callback=(expected - at_callback.get(kind, Counter())).total(),
            )
        )
    return Verdict(handed_out, differences, refused_by_receiver)
