"""`/api/v1/reconcile`: what may be asked, how a run is shown, and what is missing."""

from collections.abc import Awaitable, Callable

import pytest
from aiohttp import web

from relay.config import Secret
from relay.domain.comparison import (
    ComparisonRequest,
    ComparisonRun,
    MissingReport,
    Place,
    RunState,
    StreamComparison,
)
from relay.domain.report import Stream
from relay.observe import Health, Telemetry
from relay.ports import ComparisonRefused
from relay.web import ReconcileRoutes, make_web
from relay.web.query import WrongQuery
from relay.web.reconcile import asked, duration_seconds
from tests.unit.web.conftest import Client, ToldJournal

TOKEN = {"Authorization": "Bearer canary-token"}
PATH = "/api/v1/reconcile"
SMS = Stream("acme", "sms")
NOW_MS = 1_700_000_000_000
RUN = ComparisonRun(
    "ab12",
    RunState.RUNNING,
    ComparisonRequest(3600.0, dry_run=True),
    NOW_MS,
    None,
    (
        StreamComparison(SMS, RunState.RUNNING, NOW_MS - 999, NOW_MS, NOW_MS - 249, 4, 12, 100, 3, 2, 0, ""),
        StreamComparison(Stream("acme", "voice")),
    ),
    3,
)


class ToldRuns:
    def __init__(self) -> None:
        self.requests: list[ComparisonRequest] = []
        self.refuses: ComparisonRefused | None = None
        self.run: ComparisonRun | None = RUN
        self.found = [
            MissingReport(SMS, f"m-{n}", "5:0", NOW_MS, NOW_MS + 1, Place.ELSEWHERE, n == 0) for n in range(3)
        ]
        self.cancelled = 0

    def start(self, request: ComparisonRequest) -> ComparisonRun:
        if self.refuses is not None:
            raise self.refuses
        self.requests.append(request)
        return RUN

    def last(self) -> ComparisonRun | None:
        return self.run

    def missing(self, after: int, limit: int) -> list[MissingReport]:
        return self.found[after : after + limit]

    async def cancel(self) -> None:
        self.cancelled += 1


@pytest.fixture
def runs() -> ToldRuns:
    return ToldRuns()


@pytest.fixture
async def client(runs: ToldRuns, aiohttp_client: Callable[[web.Application], Awaitable[Client]]) -> Client:
    application = make_web(
        instance="relay-0",
        token=Secret("canary-token"),
        journal=ToldJournal(),
        health=Health(),
        telemetry=Telemetry(),
        now_ms=lambda: NOW_MS,
        more=[ReconcileRoutes(runs)],
    )
    return await aiohttp_client(application)


async def test_a_run_is_started_and_shown(client: Client, runs: ToldRuns) -> None:
    answer = await client.post(PATH, headers=TOKEN, json={"since": "90m", "dry_run": True, "kind": "sms"})
    assert (answer.status, answer.headers["Location"]) == (202, PATH + "/ab12")
    assert runs.requests == [ComparisonRequest(5400.0, dry_run=True, kind="sms")]
    shown = await answer.json()
    assert shown == await (await client.get(PATH + "/ab12", headers=TOKEN)).json()
    assert shown == {
        "id": "ab12",
        "state": "running",
        "dry_run": True,
        "include_earlier": False,
        "started_at": "2023-11-14T22:13:20.000Z",
        "ended_at": None,
        "missing_listed": 3,
        "streams": [
            {
                "source": "acme",
                "kind": "sms",
                "state": "running",
                "since": "2023-11-14T22:13:19.001Z",
                "until": "2023-11-14T22:13:20.000Z",
                "share_compared": 0.25,
                "calls": 4,
                "calls_left": 12,
                "rows": 100,
                "missing": 3,
                "appended": 2,
                "holes": 0,
                "error": None,
            },
            {
                "source": "acme",
                "kind": "voice",
                "state": "waiting",
                "since": None,
                "until": None,
                "share_compared": 0.0,
                "calls": 0,
                "calls_left": None,
                "rows": 0,
                "missing": 0,
                "appended": 0,
                "holes": 0,
                "error": None,
            },
        ],
    }


async def test_missing_reports_come_in_pages(client: Client) -> None:
    page = await (await client.get(PATH + "/ab12/missing?limit=2", headers=TOKEN)).json()
    assert page["next"] == 2
    assert page["missing"][0] == {
        "source": "acme",
        "kind": "sms",
        "message_id": "m-0",
        "outcome": "5:0",
        "sent_at": "2023-11-14T22:13:20.000Z",
        "done_at": "2023-11-14T22:13:20.001Z",
        "place": "elsewhere",
        "appended": True,
    }
    rest = await (await client.get(PATH + "/ab12/missing?limit=2&after=2", headers=TOKEN)).json()
    assert ([one["message_id"] for one in rest["missing"]], rest["next"]) == (["m-2"], None)


async def test_a_run_is_cancelled(client: Client, runs: ToldRuns) -> None:
    assert (await client.delete(PATH + "/ab12", headers=TOKEN)).status == 200
    assert runs.cancelled == 1


async def test_the_last_run_or_none(client: Client, runs: ToldRuns) -> None:
    assert (await (await client.get(PATH, headers=TOKEN)).json())["run"]["id"] == "ab12"
    runs.run = None
    assert await (await client.get(PATH, headers=TOKEN)).json() == {"run": None}


@pytest.mark.parametrize(("method", "path"), [("GET", "/cd34"), ("DELETE", "/cd34"), ("GET", "/cd34/missing")])
async def test_other_runs_are_gone(client: Client, runs: ToldRuns, method: str, path: str) -> None:
    assert (await client.request(method, PATH + path, headers=TOKEN)).status == 404
    assert runs.cancelled == 0


@pytest.mark.parametrize(
    ("refusal", "status"),
    [
        (ComparisonRefused("a comparison is running"), 409),
        (ComparisonRefused("no such stream", unknown=True), 404),
        (ComparisonRefused("since must be more than 10m", wrong=True), 400),
    ],
)
async def test_a_run_that_cannot_be_started(
    client: Client, runs: ToldRuns, refusal: ComparisonRefused, status: int
) -> None:
    runs.refuses = refusal
    answer = await client.post(PATH, headers=TOKEN, json={"since": "1h"})
    assert (answer.status, (await answer.json())["detail"]) == (status, str(refusal))


@pytest.mark.parametrize("query", ["limit=0", "limit=1001", "after=-1", "after=x"])
async def test_wrong_pages(client: Client, query: str) -> None:
    assert (await client.get(f"{PATH}/ab12/missing?{query}", headers=TOKEN)).status == 400


async def test_it_asks_for_the_token(client: Client, runs: ToldRuns) -> None:
    assert (await client.post(PATH, json={"since": "1h"})).status == 401
    assert runs.requests == []


@pytest.mark.parametrize(
    ("text", "seconds"), [("45s", 45.0), ("90m", 5400.0), ("1.5h", 5400.0), ("24h", 86400.0), ("2d", 172800.0)]
)
def test_durations(text: str, seconds: float) -> None:
    assert duration_seconds(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "h", "24", "-1h", "0h", "49h", "3d", "1e3s", "1 h", "1w", None, 24, "9" * 30 + "s"]
)
def test_what_is_no_duration(text: object) -> None:
    with pytest.raises(WrongQuery):
        duration_seconds(text)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b'{"since": "1h", "dryrun": true}',
        b'{"since": "1h", "dry_run": "yes"}',
        b'{"since": "1h", "include_earlier": 1}',
        b'{"since": "1h", "source": 7}',
    ],
)
def test_what_cannot_be_asked(body: bytes) -> None:
    with pytest.raises(WrongQuery):
        asked(body)


def test_all_that_can_be_asked() -> None:
    body = b'{"since": "24h", "dry_run": false, "include_earlier": true, "source": "acme", "kind": null}'
    assert asked(body) == ComparisonRequest(86400.0, include_earlier=True, source="acme")
