"""The logs of one kind: a row for each message that was sent, with what was last said about it.

Rows of generated messages are made anew for each request from (seed, number), so they need no memory: what was handed
out, what waits in the queue and what was lost in flight all look the same. Rows lack what the real ones lack.
"""

import heapq
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from functools import lru_cache, partial
from itertools import groupby, islice
from typing import Any, NamedTuple

import orjson

from relay.simulator.templates import HEAD, ID_MARK, Template
from relay.simulator.traffic import Item, Traffic

NOT_IN_LOGS = (
    "callbackData",
    "dtmfCodes",
    "recordedAudioFileUrl",
    "startTime",
    "endTime",
    "answerTime",
    "fileDuration",
)
SENDERS = {
    "sms": ("InfoSMS", "41793026700"),
    "voice": ("41793026700", "41793026701"),
    "email": ("news@example.com", "shop@example.com"),
}
TEXTS = {"sms": "Test SMS.", "voice": "Test voice message.", "email": "Test email."}
MOST_GIVEN = 100_000
"""Rows of reports that tests gave; the oldest are forgotten."""

Row = dict[str, Any]
Found = tuple[int, Callable[[], bytes]]
"""When it was sent, and what makes the row."""


class LogQuery(NamedTuple):
    """The parameters of a request. Both bounds belong to the span."""

    since_ms: int
    until_ms: int
    limit: int
    sender: str | None = None
    to: str | None = None
    bulk_ids: frozenset[str] = frozenset()
    message_id: str | None = None
    general_status: str | None = None
    mcc: str | None = None
    mnc: str | None = None

    def takes(self, row: Row) -> bool:
        """Whether the row passes all filters but those by time and id."""
        network = str(row.get("mccmnc", ""))
        asked = (
            (self.sender, row.get("from")),
            (self.to, row.get("to")),
            (self.general_status and self.general_status.upper(), _status_group(row)),
            (self.mcc, network[:3]),
            (self.mnc, network[3:]),
        )
        return all(wanted in (None, found) for wanted, found in asked)

    def takes_ids(self, bulk_id: str, message_id: str) -> bool:
        return (not self.bulk_ids or bulk_id in self.bulk_ids) and self.message_id in (None, message_id)


class LogRows:
    """The rows of one kind, as they are at a moment."""

    def __init__(self, kind: str, traffic: Traffic, now_ms: Callable[[], int]) -> None:
        self._kind = kind
        self._traffic = traffic
        self._now_ms = now_ms
        self._rows = [log_row(kind, number, template) for number, template in enumerate(traffic.templates)]
        self._templates = [
            _log_template(row, template) for row, template in zip(self._rows, traffic.templates, strict=True)
        ]
        self._sent_before_ms = [template.sent_before_ms for template in traffic.templates]
        self._given: dict[str, tuple[int, Row]] = {}
        self._rendered = lru_cache(maxsize=4096)(self._render)

    def add(self, items: list[Item]) -> None:
        """Reports that a test gave; one that is no report leaves no trace."""
        for item in items:
            report = _parsed(item.body)
            if report is not None:
                sent_ms = _moment_ms(report.get("sentAt")) or self._now_ms()
                self._given.pop(item.message_id, None)
                self._given[item.message_id] = (sent_ms, as_log_row(self._kind, 0, report))
                if len(self._given) > MOST_GIVEN:
                    del self._given[next(iter(self._given))]

    def find(self, query: LogQuery) -> list[bytes]:
        """The latest rows that the query takes, newest first."""
        found = heapq.merge(self._generated(query), self._of_given(query), key=_newest_first)
        return [render() for _, render in islice(found, query.limit)]

    def _of_given(self, query: LogQuery) -> Iterator[Found]:
        matching = [
            (sent_ms, row)
            for message_id, (sent_ms, row) in self._given.items()
            if query.since_ms <= sent_ms <= query.until_ms
            and query.takes_ids(str(row.get("bulkId", "")), message_id)
            and query.takes(row)
        ]
        for sent_ms, row in sorted(matching, key=_newest_first):
            yield sent_ms, partial(orjson.dumps, row)

    def _generated(self, query: LogQuery) -> Iterator[Found]:
        wanted = [variant for variant, row in enumerate(self._rows) if query.takes(row)]
        made = self._traffic.due(self._now_ms())
        if query.message_id is not None or query.bulk_ids:
            return self._by_id(query, frozenset(wanted), made)
        before = self._sent_before_ms
        # Templates that were sent equally long before their reports make one descending run each.
        runs = [
            self._run(query, before_ms, frozenset(variants), made)
            for before_ms, variants in groupby(sorted(wanted, key=before.__getitem__), key=before.__getitem__)
        ]
        return heapq.merge(*runs, key=_newest_first)

    def _run(self, query: LogQuery, before_ms: int, variants: frozenset[int], made: int) -> Iterator[Found]:
        traffic = self._traffic
        numbers = traffic.numbers(query.since_ms + before_ms, query.until_ms + before_ms, made)
        for number, root, variant in traffic.saying(numbers.start, numbers.stop - 1, made, variants):
            moment_ms = traffic.moment_ms(number)
            yield moment_ms - before_ms, partial(self._row, root, variant, moment_ms)

    def _by_id(self, query: LogQuery, variants: frozenset[int], made: int) -> Iterator[Found]:
        traffic = self._traffic
        roots = {root for bulk_id in query.bulk_ids for root in traffic.roots_of(bulk_id)}
        if query.message_id is not None:
            root = traffic.root_of(query.message_id)
            roots = {root} & (roots if query.bulk_ids else {root}) if root is not None else set()
        found: list[Found] = []
        for asked in {number for root in roots for number in traffic.about(root) if number < made}:
            for number, root, variant in traffic.saying(asked, asked, made, variants):
                moment_ms = traffic.moment_ms(number)
                sent_ms = moment_ms - self._sent_before_ms[variant]
                if root in roots and query.since_ms <= sent_ms <= query.until_ms:
                    found.append((sent_ms, partial(self._row, root, variant, moment_ms)))
        return iter(sorted(found, key=_newest_first))

    def _row(self, root: int, variant: int, moment_ms: int) -> bytes:
        head = HEAD % self._traffic.bulk_id(root).encode()
        return head + self._traffic.message_id(root).encode() + self._rendered(variant, moment_ms)

    def _render(self, variant: int, moment_ms: int) -> bytes:
        (_, body) = self._templates[variant].at(moment_ms)
        return body


def log_row(kind: str, number: int, template: Template) -> Row:
    """The row of a prepared report; its ids and times are marks."""
    return as_log_row(kind, number, orjson.loads(HEAD % b"" + ID_MARK.encode() + template.body))


def as_log_row(kind: str, number: int, report: Mapping[str, Any]) -> Row:
    """A report as the logs have it: `from` and `text` more, `mccmnc` for `mccMnc`, and much less of a call."""
    senders = SENDERS[kind]
    row: Row = {}
    for name, value in report.items():
        if name not in NOT_IN_LOGS:
            row["mccmnc" if name == "mccMnc" else name] = value
        if name == "to":
            row.setdefault("from", senders[number % len(senders)])
            row.setdefault("text", TEXTS[kind])
    return row


def _log_template(row: Row, template: Template) -> Template:
    """The same marks and times, but only those that logs have. The messageId's mark stays at the head."""
    _, mark, body = orjson.dumps(row).partition(ID_MARK.encode())
    times = [(name, before_ms) for name, before_ms in template.times if name in body]
    return Template(mark + body, template.outcome, template.offset_minutes, times)


def _newest_first(found: tuple[int, Any]) -> int:
    return -found[0]


def _status_group(row: Row) -> str | None:
    status = row.get("status")
    return str(status.get("groupName", "")).upper() if isinstance(status, dict) else None


def _parsed(body: bytes) -> Row | None:
    try:
        report = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    return report if isinstance(report, dict) else None


def _moment_ms(text: Any) -> int | None:
    try:
        moment = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        return None
    return None if moment.tzinfo is None else round(moment.timestamp() * 1000)
