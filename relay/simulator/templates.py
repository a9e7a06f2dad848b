"""Report bodies prepared in the documents' shapes: only ids and times are left to fill in."""

import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, NamedTuple

import orjson

from relay.simulator.outcomes import SMS_OUTCOMES, VOICE_OUTCOMES, Outcome

VARIANTS = 256
OFFSETS_MINUTES = (0, 60, 60, 60, 120, -300, 330)
NETWORKS = ("21901", "21902", "22801", "23430", "26201", "310260")
CURRENCIES = ("EUR", "EUR", "USD", "GBP")

ID_MARK = "<id>"
BULK_MARK = "<bulk>"
SENT_MARK = b"<sentAt>"
HEAD = b'{"bulkId":"%b","messageId":"'
"""How every report begins, up to the messageId: the rest is a template's."""


class Template(NamedTuple):
    """What follows the messageId. `times` are marks in `body` with how long before the report was there they lie."""

    body: bytes
    outcome: str
    offset_minutes: int
    times: Sequence[tuple[bytes, int]]

    @property
    def sent_before_ms(self) -> int:
        """How long before that moment the message was sent."""
        return dict(self.times)[SENT_MARK]

    def at(self, available_at_ms: int) -> list[bytes]:
        """The body with its times filled in, cut where the messageId belongs: `message_id.join(...)` completes it."""
        body = self.body
        for mark, before_ms in self.times:
            body = body.replace(mark, timestamp(available_at_ms - before_ms, self.offset_minutes).encode(), 1)
        return body.split(ID_MARK.encode())


def timestamp(at_ms: int, offset_minutes: int) -> str:
    """`2015-02-12T09:58:20.323+0100`"""
    zone = UTC if offset_minutes == 0 else timezone(timedelta(minutes=offset_minutes))
    at = datetime.fromtimestamp(at_ms // 1000, zone)
    return f"{at:%Y-%m-%dT%H:%M:%S}.{at_ms % 1000:03d}{at:%z}"


def prepare(kind: str, seed: int, *, final_only: bool = False) -> list[Template]:
    """VARIANTS different reports of the kind, always the same for the same seed."""
    chance = random.Random(f"{kind} {seed}")
    known = VOICE_OUTCOMES if kind == "voice" else SMS_OUTCOMES
    outcomes = [outcome for outcome in known if outcome.final or not final_only]
    chosen = chance.choices(outcomes, weights=[outcome.weight for outcome in outcomes], k=VARIANTS)
    make = {"voice": _voice, "email": _email}.get(kind, _sms)
    return [make(chance, outcome) for outcome in chosen]


def _sms(chance: random.Random, outcome: Outcome) -> Template:
    report, times = _common(chance, took_ms=chance.choice((14, 900, 2_500, 7_000, 60_000)))
    report["smsCount"] = chance.choice((1, 1, 1, 2, 3))
    _sometimes(chance, report, "mccMnc", chance.choice(NETWORKS), 0.9)
    _sometimes(chance, report, "callbackData", _callback_data(chance), 0.4)
    report["price"] = {"pricePerMessage": chance.choice((0.01, 0.0075, 0.045)), "currency": chance.choice(CURRENCIES)}
    return _template(report, outcome, chance.choice(OFFSETS_MINUTES), times)


def _voice(chance: random.Random, outcome: Outcome) -> Template:
    seconds = chance.choice((4, 10, 27, 61))
    report, times = _common(chance, took_ms=(seconds + 4) * 1000)
    answered = outcome.error["groupId"] == 0 and outcome.error["id"] != 0
    if answered:
        for name, before_ms in (("startTime", (seconds + 3) * 1000), ("endTime", 12), ("answerTime", seconds * 1000)):
            report[name] = f"<{name}>"
            times.append((name, before_ms))
    report["duration"] = seconds if answered else 0
    if answered:
        report["fileDuration"] = round(seconds + 9.3, 1)
    report["mccMnc"] = chance.choice(NETWORKS)
    _sometimes(chance, report, "callbackData", _callback_data(chance), 0.6)
    if answered:
        _sometimes(chance, report, "dtmfCodes", chance.choice(("1", "01", "1,2", "")), 0.5)
        _sometimes(chance, report, "recordedAudioFileUrl", f"/tts/3/files/{ID_MARK}/{report['to']}", 0.5)
    report["price"] = {"pricePerSecond": chance.choice((0.01, 0.0025)), "currency": chance.choice(CURRENCIES)}
    return _template(report, outcome, chance.choice(OFFSETS_MINUTES), times)


def _email(chance: random.Random, outcome: Outcome) -> Template:
    report, times = _common(chance, took_ms=chance.choice((900, 7_000)))
    report["to"] = f"reader-{chance.randrange(10**6):06d}@example.com"
    report["messageCount"] = 1
    report["channel"] = "EMAIL"
    _sometimes(chance, report, "callbackData", _callback_data(chance), 0.4)
    report["price"] = {"pricePerMessage": 0.0, "currency": "UNKNOWN"}
    return _template(report, outcome, chance.choice(OFFSETS_MINUTES), times)


def _common(chance: random.Random, *, took_ms: int) -> tuple[dict[str, Any], list[tuple[str, int]]]:
    # 0 to 3 ms between the end of the message and its report: the report is as fresh as it can be.
    before_ms = chance.randrange(4)
    report: dict[str, Any] = {
        "bulkId": BULK_MARK,
        "messageId": ID_MARK,
        "to": f"38598{chance.randrange(10**7):07d}",
        "sentAt": "<sentAt>",
        "doneAt": "<doneAt>",
    }
    return report, [("sentAt", before_ms + took_ms), ("doneAt", before_ms)]


def _callback_data(chance: random.Random) -> str:
    return chance.choice(
        ("DLR callback data", "campaign=spring;step=2", '{"order":41277,"customer":"žofie"}', "100 % sure", "ref-0042")
    )


def _sometimes(chance: random.Random, report: dict[str, Any], name: str, value: Any, probability: float) -> None:
    if chance.random() < probability:
        report[name] = value


def _template(
    report: dict[str, Any], outcome: Outcome, offset_minutes: int, times: Sequence[tuple[str, int]]
) -> Template:
    body = orjson.dumps({**report, "status": outcome.status, "error": outcome.error})
    _, _, body = body.partition(ID_MARK.encode())
    marks = [(f"<{name}>".encode(), before_ms) for name, before_ms in times]
    return Template(body, outcome.label, offset_minutes, marks)
