"""The logs endpoints: repeatable, every parameter, the latest N, 48 hours, 429, rows as the real ones have them."""

import json
import time
from typing import Any
from urllib.parse import quote

import aiohttp
import pytest
from yarl import URL

from relay.simulator.faults import LOGS, Fault, What
from relay.simulator.log_rows import LogQuery, LogRows, as_log_row
from relay.simulator.logs import Allowance, asked_logs
from relay.simulator.options import LogsOptions, TrafficOptions
from relay.simulator.refusals import Refused
from relay.simulator.templates import timestamp
from relay.simulator.traffic import Item, Traffic
from tests.unit.simulator.conftest import Start, message_ids, read

SMS, VOICE = "/sms/1/logs", "/tts/3/logs"
HOUR_MS = 3_600_000
NOW_MS = 1_700_000_000_000
EVER = LogQuery(0, 1 << 50, 10**6)


def generated(kind: str = "sms", *, at_ms: int = NOW_MS, **options: Any) -> tuple[Traffic, LogRows]:
    """Traffic that began an hour before `at_ms`, and its logs."""
    traffic = Traffic(kind, TrafficOptions(**options), seed=3, started_at_ms=NOW_MS - HOUR_MS)
    return traffic, LogRows(kind, traffic, lambda: at_ms)


def rows(logs: LogRows, query: LogQuery = EVER) -> list[dict[str, Any]]:
    return [json.loads(row) for row in logs.find(query)]


def ids(found: list[dict[str, Any]]) -> list[str]:
    return [row["messageId"] for row in found]


def outcome(report: dict[str, Any]) -> str:
    return f"{report['status']['id']}:{report['error']['id']}"


def given(number: int, *, sent_ms: int = NOW_MS, **fields: Any) -> dict[str, Any]:
    return {
        "bulkId": "b",
        "messageId": f"m-{number}",
        "to": "385981",
        "sentAt": timestamp(sent_ms, 60),
        "doneAt": timestamp(sent_ms + 10, 60),
        "status": {"groupName": "DELIVERED", "id": 5},
        "error": {"id": 0},
        **fields,
    }


# --- rows ---


@pytest.mark.parametrize("kind", ["sms", "voice"])
def test_every_message_has_one_row_with_what_was_last_said_about_it(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # The first round of the pattern has no repeats of what was before it: there must be two more.
    monkeypatch.setattr("relay.simulator.traffic.ROLES", 512)
    traffic, logs = generated(kind, total=1_500, duplicate_rate=0.1, revision_rate=0.1)
    said: dict[str, list[str]] = {}
    for item in traffic.items(0, 1_500):
        said.setdefault(item.message_id, []).append(item.outcome)
    found = rows(logs)
    assert len(found) == len(said) < 1_500
    # A duplicate repeats the first outcome, so whatever differs from it is the revision.
    assert {row["messageId"]: outcome(row) for row in found} == {
        message_id: next((other for other in reversed(outcomes) if other != outcomes[0]), outcomes[0])
        for message_id, outcomes in said.items()
    }


@pytest.mark.parametrize("kind", ["sms", "voice"])
def test_a_row_is_its_report_without_what_logs_do_not_have(kind: str) -> None:
    traffic, logs = generated(kind, total=300)
    reports = {report["messageId"]: report for item in traffic.items(0, 300) if (report := json.loads(item.body))}
    for row in rows(logs):
        report = reports[row["messageId"]]
        assert {"from", "text"} <= set(row)
        assert not {"callbackData", "dtmfCodes", "recordedAudioFileUrl", "startTime", "endTime", "answerTime"} & set(
            row
        )
        assert "mccMnc" not in row
        assert row.get("mccmnc") == report.get("mccMnc")
        for name in ("bulkId", "to", "sentAt", "doneAt", "price", "status", "error"):
            assert row[name] == report[name]


def test_rows_that_are_not_final_are_there_too() -> None:
    _, logs = generated(total=1000)
    assert {row["status"]["groupName"] for row in rows(logs)} >= {"DELIVERED", "PENDING"}


def test_only_what_was_made_by_now_is_there() -> None:
    assert [
        len(rows(generated(rate=1, at_ms=NOW_MS - HOUR_MS + later_ms)[1])) for later_ms in (0, 999, 1000, 60_000)
    ] == [0, 0, 1, 60]


# --- which rows ---


def test_the_latest_rows_come_newest_first() -> None:
    _, logs = generated(rate=1)
    everything = [row["sentAt"] for row in rows(logs)]
    assert len(everything) == 3600
    newest = rows(logs, EVER._replace(limit=70))
    assert [row["sentAt"] for row in newest] == everything[:70]


def test_both_bounds_belong_to_the_span() -> None:
    _, logs = generated()
    logs.add([_item(given(number, sent_ms=NOW_MS + number)) for number in range(5)])
    assert ids(rows(logs, LogQuery(NOW_MS + 1, NOW_MS + 3, 50))) == ["m-3", "m-2", "m-1"]


def test_spans_add_up_to_the_whole() -> None:
    _, logs = generated(rate=1, revision_rate=0.1)
    parts: list[str] = []
    for start_ms in range(NOW_MS - 2 * HOUR_MS, NOW_MS, 600_000):
        parts += ids(rows(logs, LogQuery(start_ms, start_ms + 599_999, 10**6)))
    assert sorted(parts) == sorted(ids(rows(logs)))


def test_filters() -> None:
    _, logs = generated(total=1000, revision_rate=0.1)
    everything = rows(logs)
    some = everything[17]
    mcc, mnc = "219", "01"
    for query, matches in [
        (EVER._replace(to=some["to"]), lambda row: row["to"] == some["to"]),
        (EVER._replace(sender="InfoSMS"), lambda row: row["from"] == "InfoSMS"),
        (EVER._replace(general_status="delivered"), lambda row: row["status"]["groupName"] == "DELIVERED"),
        (EVER._replace(mcc=mcc), lambda row: row.get("mccmnc", "").startswith(mcc)),
        (EVER._replace(mcc=mcc, mnc=mnc), lambda row: row.get("mccmnc") == mcc + mnc),
        (EVER._replace(message_id=some["messageId"]), lambda row: row is some),
        (EVER._replace(bulk_ids=frozenset({some["bulkId"], "x"})), lambda row: row["bulkId"] == some["bulkId"]),
        (EVER._replace(message_id="nobody"), lambda row: False),
        (EVER._replace(bulk_ids=frozenset({"nobody"})), lambda row: False),
    ]:
        expected = [row for row in everything if matches(row)]
        assert sorted(ids(rows(logs, query))) == sorted(ids(expected))
        assert len(expected) < len(everything)


def test_given_reports_are_in_the_logs_and_what_is_no_report_is_not() -> None:
    _, logs = generated()
    logs.add([_item(given(1)), _item("no JSON"), _item([1]), _item(given(1, status={"id": 9}))])
    assert [(row["messageId"], row["status"]["id"]) for row in rows(logs)] == [("m-1", 9)]


def test_a_call_loses_what_logs_never_have() -> None:
    assert as_log_row("voice", 0, {"messageId": "a", "to": "1", "dtmfCodes": "1", "mccMnc": "21901"}) == {
        "messageId": "a",
        "to": "1",
        "from": "41793026700",
        "text": "Test voice message.",
        "mccmnc": "21901",
    }


def _item(report: Any) -> Item:
    return Item(
        str(report.get("messageId")) if isinstance(report, dict) else "",
        "b",
        "5:0",
        report.encode() if isinstance(report, str) else json.dumps(report).encode(),
    )


# --- parameters ---


@pytest.mark.parametrize(
    ("text", "at_ms"),
    [
        ("2015-02-22T17:42:05.390+01:00", 1424623325390),
        ("2015-02-22T17:42:05.390+0100", 1424623325390),
        ("2015-02-22T16:42:05Z", 1424623325000),
    ],
)
def test_dates(text: str, at_ms: int) -> None:
    asked = asked_logs({"sentSince": text, "sentUntil": text}, oldest_ms=0, most=None)
    assert (asked.since_ms, asked.until_ms, asked.limit) == (at_ms, at_ms, 50)


@pytest.mark.parametrize(
    "text",
    [
        "2015-02-22T17:42:05.390%2b01:00",
        "2015-02-22T17:42:05.390 01:00",
        "2015-02-22T17:42:05",
        "",
        "2015-13-01T00:00:00Z",
    ],
)
def test_what_is_no_date(text: str) -> None:
    with pytest.raises(Refused):
        asked_logs({"sentSince": text}, oldest_ms=0, most=None)


def test_all_parameters() -> None:
    asked = asked_logs(
        {
            "from": "a",
            "to": "b",
            "bulkId": "c,d",
            "messageId": "e",
            "generalStatus": "f",
            "limit": "7",
            "mcc": "g",
            "mnc": "h",
            "sentSince": "1970-01-01T00:00:01Z",
        },
        oldest_ms=5000,
        most=None,
    )
    assert asked == LogQuery(5000, 1 << 50, 7, "a", "b", frozenset({"c", "d"}), "e", "f", "g", "h")


def test_a_silent_bound() -> None:
    assert asked_logs({"limit": "1000"}, oldest_ms=0, most=100).limit == 100


def test_the_allowance_of_a_minute() -> None:
    now = [0.0]
    allowance = Allowance(2, monotonic=lambda: now[0])
    allowance.take()
    now[0] = 10.0
    allowance.take()
    with pytest.raises(Refused) as refused:
        allowance.take()
    assert (refused.value.status, refused.value.retry_after) == (429, "51")
    now[0] = 60.0
    allowance.take()
    with pytest.raises(Refused):
        allowance.take()


# --- over HTTP ---


async def test_logs_may_be_read_again_and_take_nothing(start: Start, session: aiohttp.ClientSession) -> None:
    simulator = await start(traffic={"sms": TrafficOptions(total=60)})
    url = simulator.base_url + SMS
    once, again = await read(session, url), await read(session, url)
    assert once == again
    assert len(message_ids(once)) == 50
    state = simulator.state()
    assert state["kinds"]["sms"]["waiting"] == 60
    assert state["logs"]["sms"] == {"requests": 2, "refused": 0}
    assert state["logs"]["voice"] == {"requests": 0, "refused": 0}


async def test_what_was_handed_out_is_still_in_the_logs(start: Start, session: aiohttp.ClientSession) -> None:
    simulator = await start(traffic={"voice": TrafficOptions(total=30)})
    handed_out = message_ids(await read(session, simulator.base_url + "/tts/3/reports"))
    assert sorted(message_ids(await read(session, simulator.base_url + VOICE))) == sorted(handed_out)


async def test_48_hours(start: Start, session: aiohttp.ClientSession) -> None:
    simulator = await start(logs=LogsOptions(retention_seconds=100))
    now_ms = int(time.time() * 1000)
    simulator.enqueue("sms", [given(1, sent_ms=now_ms - 101_000), given(2, sent_ms=now_ms - 50_000)])
    assert message_ids(await read(session, simulator.base_url + SMS)) == ["m-2"]


async def test_dates_over_http_must_be_encoded_once(start: Start, session: aiohttp.ClientSession) -> None:
    simulator = await start()
    simulator.enqueue("sms", [given(1, sent_ms=NOW_MS * 2)])
    text = timestamp(NOW_MS * 2, 60)
    for encoded, status in [(quote(text), 200), (quote(quote(text)), 400), (text, 400)]:
        url = f"{simulator.base_url}{SMS}?sentSince={encoded}&sentUntil={quote(text)}"
        async with session.get(URL(url, encoded=True)) as response:
            assert response.status == status
            if status == 200:
                assert message_ids(await response.read()) == ["m-1"]


async def test_429_with_retry_after(start: Start, session: aiohttp.ClientSession) -> None:
    simulator = await start(logs=LogsOptions(per_minute=2))
    url = simulator.base_url
    await read(session, url + SMS)
    await read(session, url + VOICE)
    async with session.get(url + SMS) as response:
        assert response.status == 429
        assert 1 <= int(response.headers["Retry-After"]) <= 60
        assert (await response.json())["requestError"]["serviceException"]["messageId"] == "TOO_MANY_REQUESTS"
    assert simulator.state()["logs"]["sms"]["refused"] == 1


async def test_logs_ask_for_credentials(start: Start) -> None:
    simulator = await start()
    async with aiohttp.ClientSession() as session, session.get(simulator.base_url + SMS) as response:
        assert response.status == 401


async def test_only_faults_that_name_the_logs_strike_them(start: Start, session: aiohttp.ClientSession) -> None:
    simulator = await start(faults=(Fault(What.STATUS, status=500), Fault(What.STATUS, status=503, kind=LOGS, times=1)))
    url = simulator.base_url
    for path, status in [(SMS, 503), (SMS, 200), ("/sms/1/reports", 500)]:
        async with session.get(url + path) as response:
            assert response.status == status


async def test_reports_that_somebody_else_has_read(start: Start, session: aiohttp.ClientSession) -> None:
    simulator = await start()
    body = {"kind": "sms", "reports": [given(1, sent_ms=NOW_MS * 2)], "logs_only": True}
    async with session.post(simulator.base_url + "/simulator/reports", json=body) as response:
        assert await response.json() == {"queued": 0}
    assert message_ids(await read(session, simulator.base_url + "/sms/1/reports")) == []
    assert message_ids(await read(session, simulator.base_url + SMS)) == ["m-1"]
