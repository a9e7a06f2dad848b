"""The account that everything handed out must be found in: ledger of the simulator, Kafka, callback. No relay code."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import Path

from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from tests.kafka.reader import Read

Event = tuple[str, str, str]
"""(kind, messageId, outcome): each that was handed out must be there once, however often it was handed out."""


def responses(ledger: Path) -> list[list[Event]]:
    """The events of each response that held reports."""
    lines = [json.loads(line) for line in ledger.read_text().splitlines()]
    return [
        [(line["kind"], *report) for report in zip(line["ids"], line["outcomes"], strict=True)]
        for line in lines
        if line["event"] == "handed_out"
    ]


def published_events(records: Iterable[Read]) -> Counter[Event]:
    return Counter(_event(record.headers["ce_source"].decode(), record.value) for record in records)


def lost_responses(handed_out: list[list[Event]], published: Counter[Event]) -> list[list[Event]]:
    """Responses none of whose own events, which no other response held, was published: lost on the way."""
    holders = Counter(event for response in handed_out for event in set(response))
    own = [[event for event in response if holders[event] == 1] for response in handed_out]
    return [
        response
        for response, events in zip(handed_out, own, strict=True)
        if events and not any(published[event] for event in events)
    ]


class SignedCallbacks:
    """A rule for the receiver: counts messageIds of what `standardwebhooks` accepts, answers 401 to the rest."""

    def __init__(self, secret: str) -> None:
        self._webhook = Webhook(secret)
        self.received: Counter[Event] = Counter()
        self.ids: Counter[str] = Counter()
        self.ids_of: defaultdict[Event, set[str]] = defaultdict(set)
        self.refused = 0

    def accepts(self, headers: dict[str, str], body: bytes) -> bool:
        try:
            self._webhook.verify(body, headers)
        except WebhookVerificationError:
            self.refused += 1
            return False
        event = _event(headers["ce-source"], body)
        self.ids[headers["webhook-id"]] += 1
        self.ids_of[event].add(headers["webhook-id"])
        self.received[event] += 1
        return True


def _event(ce_source: str, value: bytes) -> Event:
    report = json.loads(value)
    return ce_source.rsplit("/", 1)[1], report["messageId"], f"{report['status']['id']}:{report['error']['id']}"
