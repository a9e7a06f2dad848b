"""Odd and hostile answers, each with what must come of it, written out in the order of the fixture.

A report is written as its messageId, or with members that it must have (None: must not have); what is rejected as
``Lost(reason)``. The bytes of what is rejected are searched for in the body. Answers that are not a 200 are judged as
the end of a poll.
"""

import json
from typing import Any, NamedTuple

import pytest

from relay.domain.polling import PollOutcome, judge
from relay.domain.report import GapCause, Rejected
from tests.unit.domain.events import FIXTURES, decode, strict_json

HOSTILE = json.loads((FIXTURES / "hostile.json").read_text())


class Lost(NamedTuple):
    reason: str


class Body(NamedTuple):
    """What a body must give."""

    entries: list[object]
    complete: bool = True


class Poll(NamedTuple):
    """How a poll must be judged."""

    outcome: PollOutcome
    gap: GapCause | None = None
    success: bool = False


FULL = {
    "messageId": "ff4804ef-6ab6-4abd-984d-ab3b1387e852",
    "sentAt": "2015-02-12T09:58:20.323+01:00",
    "unparsed": None,
}
XML = {"messageId": "m1", "to": "385981178", "sentAt": "2015-02-12T09:58:20.323+01:00"}
XML_STATUS = {"status": {"groupId": 3, "groupName": "DELIVERED", "id": 5}}

EXPECTED: list[Body | Poll] = [
    Body([]),
    Body([]),
    Body([FULL]),
    Poll(PollOutcome.EMPTY, success=True),
    Body([Lost("no results collection")], complete=False),
    Body(["good-1", Lost("the body ends in the middle of an entry")], complete=False),
    Body([{"messageId": "m1", "sentAt": "2018-06-25T13:38:14.730+00:00", "doneAt": "2018-06-25T13:38:28.318+00:00"}]),
    Body(["good-1", FULL]),
    Body(["good-1", {"sentAt": "2035-08-18T12:08:42.777Z", "unparsed": None}]),
    Body(["good-1", {"sentAt": "2019-04-09T16:00:58.647-03:00", "unparsed": None}]),
    Body(["good-1", {"sentAt": None, "doneAt": "2015-02-12T09:58:20.337+01:00", "unparsed": None}]),
    Body([{"doneAt": "2017-07-20T06:47:45.777+00:00"}, {"doneAt": "2017-07-20T07:47:45.777+01:00"}]),
    Body([FULL | {"duration": 10, "price": {"pricePerSecond": 0.01, "currency": "EUR"}}]),
    Body(["good-1", Lost("no messageId")]),
    Body(["good-1", Lost("messageId is empty")]),
    Body(["good-1", "MESSAGE-ID-123-xyz"]),
    Body(["good-1", Lost("messageId is longer than 256 characters")]),
    Body(
        [
            "good-1",
            {
                "error": {
                    "groupId": 0,
                    "groupName": "Ok",
                    "id": 0,
                    "name": "NO_ERROR",
                    "description": "No Error",
                    "permanent": False,
                }
            },
        ]
    ),
    Body(
        [
            "good-1",
            {
                "status": {
                    "groupId": 7,
                    "groupName": "PENDING",
                    "id": 7,
                    "name": "PENDING_ENROUTE",
                    "description": "Message delivered to handset",
                },
                "!final": False,
                "!group": 7,
            },
        ]
    ),
    Body([{"!outcome": "87:0", "!group": 4}, {"messageId": "m2", "!outcome": "87:0", "!group": 5}]),
    Body([{"!outcome": "5:5003", "!group": 3, "!final": True}]),
    Body([FULL | {"mccMnc": None}]),
    Body([{"mccMnc": "22801", "mccmnc": None, "unparsed": {"/mccmnc": "21901"}}]),
    Body([{"price": {"pricePerMessage": 0.00787679, "currency": "USD"}}]),
    Body([{"messageId": "m1", "price": {}, "unparsed": {"/price/pricePerMessage": "NaN"}}]),
    Body(["good-1", {"duration": None, "unparsed": {"/duration": 10.5}}]),
    Body([FULL | {"callbackData": None}]),
    Body([FULL | {"callbackData": "x" * 4000}]),
    Body([FULL | {"dtmfCodes": ""}]),
    Body([FULL | {"dtmfCodes": "3, 9"}]),
    Body(
        [
            FULL
            | {
                "recordedAudioFileUrl": "https://xyz.api.infobip.com"
                "/tts/3/files/ff4804ef-6ab6-4abd-984d-ab3b1387e852/385981178"
            }
        ]
    ),
    Body([FULL | {"recordedAudioFileUrl": "http://169.254.169.254/latest"}]),
    Body([XML | XML_STATUS]),
    Body([XML | XML_STATUS]),
    Body([XML | XML_STATUS]),
    Body([]),
    Poll(PollOutcome.UNAUTHORIZED),
    Poll(PollOutcome.BAD_REQUEST),
    Poll(PollOutcome.RATE_LIMITED),
    Body([{"!outcome": "26:0", "!group": 1, "!final": False}]),
    Body([FULL | {"entityId": "promotional-traffic-entity", "applicationId": "default", "brandNew": {"a": [1]}}]),
]


class Ended(NamedTuple):
    """An answer as a poll sees it."""

    status: int
    body: bytes
    sent: bool = True
    complete: bool = True
    failure: GapCause | None = None
    retry_after_seconds: float | None = None


def test_every_answer_has_its_expectation() -> None:
    assert len(EXPECTED) == len(HOSTILE)
    for answer, expected in zip(HOSTILE, EXPECTED, strict=True):
        assert isinstance(expected, Body) == (answer["status"] == 200)


@pytest.mark.parametrize("place", [place for place, expected in enumerate(EXPECTED) if isinstance(expected, Body)])
def test_body(place: int) -> None:
    answer, expected = HOSTILE[place], EXPECTED[place]
    assert isinstance(expected, Body)
    body = answer["body"].encode()
    decoded = decode(body, kind="sms" if answer["endpoint"].startswith("/sms") else "voice")
    assert decoded.complete is expected.complete
    for entry, wanted in zip(decoded.entries, expected.entries, strict=True):
        if isinstance(wanted, Lost):
            assert isinstance(entry, Rejected)
            assert entry.reason == wanted.reason
            assert entry.raw in body
        else:
            assert not isinstance(entry, Rejected)
            judged = {"!outcome": entry.outcome, "!group": entry.status_group, "!final": entry.final}
            assert_has(strict_json(entry.value) | judged, wanted if isinstance(wanted, dict) else {"messageId": wanted})


@pytest.mark.parametrize("place", [place for place, expected in enumerate(EXPECTED) if isinstance(expected, Poll)])
def test_answer(place: int) -> None:
    answer, expected = HOSTILE[place], EXPECTED[place]
    assert isinstance(expected, Poll)
    verdict = judge(Ended(answer["status"], answer["body"].encode()))
    assert (verdict.outcome, verdict.gap, verdict.success, verdict.keep_body) == (*expected, False)


def assert_has(event: dict[str, Any], wanted: dict[str, Any]) -> None:
    for member, value in wanted.items():
        if value is None:
            assert member not in event
        else:
            assert event[member] == value
