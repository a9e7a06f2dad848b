"""Generated reports: their number by the clock, their shapes, their repeats."""

import json
import re
from typing import Any

import pytest

from relay.simulator.options import TrafficOptions
from relay.simulator.queue import ReportQueue
from relay.simulator.templates import timestamp
from relay.simulator.traffic import Traffic

START_MS = 1_700_000_000_000
UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-a[0-9a-f]{3}-[0-9a-f]{12}")
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}[+-]\d{4}")


def traffic(kind: str = "sms", *, seed: int = 1, **options: Any) -> Traffic:
    return Traffic(kind, TrafficOptions(**options), seed=seed, started_at_ms=START_MS)


def made(kind: str, count: int, **options: Any) -> list[dict[str, Any]]:
    return [json.loads(item.body) for item in traffic(kind, **options).items(0, count)]


@pytest.mark.parametrize(
    ("options", "at_start", "after_2s", "after_an_hour"),
    [
        ({}, 0, 0, 0),
        ({"backlog": 7}, 7, 7, 7),
        ({"total": 9}, 9, 9, 9),
        ({"total": 9, "backlog": 4}, 9, 9, 9),
        ({"rate": 1.5}, 0, 3, 5400),
        ({"rate": 1.5, "backlog": 10}, 10, 13, 5410),
        ({"rate": 1.5, "total": 100}, 0, 3, 100),
        ({"rate": 1.5, "total": 100, "backlog": 98}, 98, 100, 100),
        ({"rate": 1.5, "total": 10, "backlog": 98}, 98, 98, 98),
    ],
)
def test_how_many_are_due(options: dict[str, Any], at_start: int, after_2s: int, after_an_hour: int) -> None:
    generated = traffic(**options)
    assert [generated.due(START_MS + later) for later in (0, 2000, 3_600_000)] == [at_start, after_2s, after_an_hour]


def test_the_shape_of_sms_reports() -> None:
    reports = made("sms", 600)
    required = {"bulkId", "messageId", "to", "sentAt", "doneAt", "smsCount", "price", "status", "error"}
    optional = {"mccMnc", "callbackData"}
    for report in reports:
        assert required <= set(report) <= required | optional
        assert UUID.fullmatch(report["messageId"])
        assert UUID.fullmatch(report["bulkId"])
        assert TIME.fullmatch(report["sentAt"])
        assert TIME.fullmatch(report["doneAt"])
        assert set(report["price"]) == {"pricePerMessage", "currency"}
        assert set(report["status"]) == {"groupId", "groupName", "id", "name", "description"}
        assert set(report["error"]) == {"groupId", "groupName", "id", "name", "description", "permanent"}
    for name in optional:
        assert 0 < sum(name in report for report in reports) < 600
    assert {report["status"]["groupId"] for report in reports} == {1, 2, 3, 4, 5}
    assert len({report["doneAt"][-5:] for report in reports}) > 3


def test_the_shape_of_voice_reports() -> None:
    reports = made("voice", 600)
    required = {"bulkId", "messageId", "to", "sentAt", "doneAt", "duration", "mccMnc", "price", "status", "error"}
    call = {"startTime", "endTime", "answerTime", "fileDuration"}
    for report in reports:
        assert required <= set(report) <= required | call | {"callbackData", "dtmfCodes", "recordedAudioFileUrl"}
        assert set(report["price"]) == {"pricePerSecond", "currency"}
        assert (call <= set(report)) == (report["error"]["id"] in (5000, 5001))
        if "recordedAudioFileUrl" in report:
            assert report["recordedAudioFileUrl"] == f"/tts/3/files/{report['messageId']}/{report['to']}"
    assert sum("recordedAudioFileUrl" in report for report in reports) > 100


def test_times_are_those_of_becoming_available() -> None:
    reports = [json.loads(item.body) for item in traffic(rate=1).items(7200, 50)]
    utc = [report["doneAt"] for report in reports if report["doneAt"].endswith("+0000")]
    assert {time[:13] for time in utc} == {"2023-11-15T00"}  # START_MS is 2023-11-14T22:13:20Z


@pytest.mark.parametrize(
    ("at_ms", "offset", "text"),
    [
        (1_423_731_500_323, 60, "2015-02-12T09:58:20.323+0100"),
        (1_423_731_500_003, 0, "2015-02-12T08:58:20.003+0000"),
        (1_423_731_500_323, -300, "2015-02-12T03:58:20.323-0500"),
        (1_423_731_500_323, 330, "2015-02-12T14:28:20.323+0530"),
    ],
)
def test_timestamps(at_ms: int, offset: int, text: str) -> None:
    assert timestamp(at_ms, offset) == text


def test_the_same_seed_makes_the_same_reports_in_any_portions() -> None:
    whole = list(traffic(total=3000, duplicate_rate=0.1).items(0, 3000))
    again = traffic(total=3000, duplicate_rate=0.1)
    portions = [item for first in range(0, 3000, 7) for item in again.items(first, min(7, 3000 - first))]
    assert whole == portions
    assert whole != list(traffic(total=3000, duplicate_rate=0.1, seed=2).items(0, 3000))


def test_without_repeats_every_id_is_new() -> None:
    items = list(traffic(total=20_000).items(0, 20_000))
    assert len({item.message_id for item in items}) == 20_000


def test_kinds_and_seeds_share_no_ids() -> None:
    first = {item.message_id for item in traffic(total=100).items(0, 100)}
    assert first.isdisjoint(item.message_id for item in traffic("voice", total=100).items(0, 100))
    assert first.isdisjoint(item.message_id for item in traffic(total=100, seed=2).items(0, 100))


def test_duplicates_and_revisions_come_at_their_rates() -> None:
    first: dict[str, str] = {}
    duplicates = revisions = 0
    for item in traffic(total=20_000, duplicate_rate=0.1, revision_rate=0.05).items(0, 20_000):
        report = json.loads(item.body)
        assert (report["messageId"], report["bulkId"]) == (item.message_id, item.bulk_id)
        assert item.outcome == f"{report['status']['id']}:{report['error']['id']}"
        known = first.get(item.message_id)
        first.setdefault(item.message_id, item.outcome)
        duplicates += known == item.outcome
        revisions += known not in (None, item.outcome)
    assert 1600 < duplicates < 2400
    assert 700 < revisions < 1300


def test_a_queue_gives_given_reports_before_generated_ones() -> None:
    generated = traffic(total=3)
    queue = ReportQueue(generated, now_ms=lambda: START_MS)
    extra = next(traffic(total=1, seed=9).items(0, 1))
    queue.put([extra])
    assert [queue.waiting, queue.drained] == [4, False]
    assert queue.take(2) == [extra, *generated.items(0, 1)]
    assert queue.take(9) == list(generated.items(1, 2))
    assert [queue.waiting, queue.handed_out, queue.drained] == [0, 4, True]


def test_an_endless_queue_is_never_drained() -> None:
    queue = ReportQueue(traffic(rate=1), now_ms=lambda: START_MS)
    assert [queue.waiting, queue.drained] == [0, False]
