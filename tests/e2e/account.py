"""The account that everything handed out must be found in: ledger of the simulator, Kafka, callback. No relay code."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from tests.kafka.reader import Read


class Response(NamedTuple):
    kind: str
    reports: list[tuple[str, str]]
    """(messageId, outcome) in the order of the body."""


def responses(ledger: Path) -> list[Response]:
    lines = [json.loads(line) for line in ledger.read_text().splitlines()]
    return [
        Response(line["kind"], list(zip(line["ids"], line["outcomes"], strict=True)))
        for line in lines
        if line["event"] == "handed_out"
    ]


def expected_events(handed_out: Iterable[Response]) -> dict[str, Counter[str]]:
    """By kind: how many events each messageId makes, one for each distinct outcome."""
    outcomes: defaultdict[str, set[tuple[str, str]]] = defaultdict(set)
    for response in handed_out:
        outcomes[response.kind].update(response.reports)
    return {kind: Counter(message_id for message_id, _ in seen) for kind, seen in outcomes.items()}


def published_events(records: Iterable[Read]) -> dict[str, Counter[str]]:
    counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for record in records:
        kind = record.headers["ce_source"].decode().rsplit("/", 1)[1]
        counts[kind][record.key.decode()] += 1
    return dict(counts)


def lost_responses(handed_out: list[Response], published: dict[str, Counter[str]]) -> list[Response]:
    """Responses none of whose fresh messageIds is in Kafka: lost between the API and the journal."""
    return [
        response
        for response in handed_out
        if not any(published.get(response.kind, Counter())[message_id] for message_id, _ in response.reports)
    ]


class SignedCallbacks:
    """A rule for the receiver: counts messageIds of what `standardwebhooks` accepts, answers 401 to the rest."""

    def __init__(self, secret: str) -> None:
        self._webhook = Webhook(secret)
        self.received: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self.ids: Counter[str] = Counter()
        self.refused = 0

    def accepts(self, headers: dict[str, str], body: bytes) -> bool:
        try:
            self._webhook.verify(body, headers)
        except WebhookVerificationError:
            self.refused += 1
            return False
        self.ids[headers["webhook-id"]] += 1
        self.received[headers["ce-source"].rsplit("/", 1)[1]][json.loads(body)["messageId"]] += 1
        return True
