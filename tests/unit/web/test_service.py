"""Health, metrics, API and errors over HTTP."""

import asyncio
import socket
from typing import Any

import pytest
from aiohttp import ClientSession, web
from aiohttp.test_utils import TestClient

import relay
from relay.domain.report import Stream
from relay.observe import Health, Telemetry
from relay.ports import JournalError, JournalFatal
from relay.web import HttpService, reading

Client = TestClient[web.Request, web.Application]
BEARER = {"Authorization": "Bearer canary-token"}


async def test_the_process_lives(client: Client, journal: Any) -> None:
    journal.error = JournalFatal("gone")
    response = await client.get("/healthz")
    assert (response.status, await response.json()) == (200, {"status": "ok"})
    assert journal.asked == 0


async def test_ready(client: Client) -> None:
    response = await client.get("/readyz")
    assert response.status == 200
    assert response.headers["Cache-Control"] == "no-store"
    assert await response.json() == {
        "status": "ok",
        "instance": "relay-0",
        "version": relay.__version__,
        "degraded": {},
    }


async def test_ready_names_what_is_degraded(client: Client, health: Health) -> None:
    health.degrade("publish acme/sms", "topic missing")
    response = await client.get("/readyz")
    body = await response.json()
    assert (response.status, body["status"]) == (200, "degraded")
    assert body["degraded"] == {"publish acme/sms": "topic missing"}


async def test_not_ready_while_the_journal_cannot_be_written(client: Client, journal: Any, health: Health) -> None:
    health.degrade("publish acme/sms", "topic missing")
    journal.figures_now = journal.figures_now._replace(writable=False)
    response = await client.get("/readyz")
    body = await response.json()
    assert (response.status, body["status"]) == (503, "unavailable")
    assert body["degraded"] == {"publish acme/sms": "topic missing", "journal": "the journal cannot be written"}


@pytest.mark.parametrize("error", [JournalError("locked"), JournalFatal("locked"), OSError("locked")])
async def test_not_ready_while_the_journal_cannot_be_read(client: Client, journal: Any, error: Exception) -> None:
    journal.error = error
    response = await client.get("/readyz")
    assert response.status == 503
    assert (await response.json())["degraded"] == {"journal": "the journal cannot be read: locked"}


async def test_an_unexpected_error_of_the_journal_leaves_metrics(client: Client, journal: Any) -> None:
    journal.error = RuntimeError("canary")
    assert (await client.get("/metrics")).status == 200
    response = await client.get("/readyz")
    assert response.status == 503
    assert (await response.json())["degraded"] == {
        "journal": "the journal cannot be read: an unexpected error, see the log"
    }


async def test_not_ready_while_the_journal_does_not_answer(journal: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    journal.wait = asyncio.Event().wait
    reader = reading.FiguresReader(journal, lambda: 1_700_000_010_000, deadline_seconds=0.01)
    assert await reader.read() == reading.Reading(None, "the journal did not answer within 0.01 seconds")


async def test_metrics(client: Client) -> None:
    response = await client.get("/metrics")
    text = await response.text()
    assert response.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert 'relay_unpublished_reports{kind="sms",source="acme"} 12345.0' in text
    assert f'version="{relay.__version__}"' in text


async def test_metrics_without_a_journal_show_nothing_old(
    client: Client, journal: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "FRESH_SECONDS", 0.0)
    assert "relay_journal_size_bytes" in await (await client.get("/metrics")).text()
    journal.error = JournalError("locked")
    response = await client.get("/metrics")
    assert response.status == 200
    text = await response.text()
    assert "relay_journal_size_bytes" not in text
    assert "relay_build_info" in text


async def test_the_journal_is_asked_once_for_many(client: Client, journal: Any) -> None:
    await asyncio.gather(*(client.get(path) for path in ("/metrics", "/readyz", "/", "/metrics")))
    assert journal.asked == 1


async def test_status(client: Client, health: Health) -> None:
    health.degrade("publish acme/sms", "topic missing")
    response = await client.get("/api/v1/status", headers=BEARER)
    assert response.status == 200
    assert await response.json() == {
        "status": "degraded",
        "instance": "relay-0",
        "version": relay.__version__,
        "degraded": {"publish acme/sms": "topic missing"},
        "started_at": "2023-11-14T22:13:30.000Z",
        "journal": {"writable": True, "size_bytes": 8192, "free_bytes": 3_000_000_000},
        "streams": [
            {
                "source": "acme",
                "kind": "sms",
                "last_successful_poll_at": "2023-11-14T22:13:22.000Z",
                "fetches_pending": 1,
                "unpublished": 12345,
                "oldest_unpublished_at": "2023-11-14T22:13:20.500Z",
                "last_seq": 50000,
                "kafka_position": 37655,
                "gaps_open": 2,
                "oldest_open_gap_at": "2023-11-14T22:13:21.000Z",
                "quarantine_entries": 3,
            }
        ],
        "callbacks": [{"name": "billing", "backlog": 5, "oldest_backlog_at": None, "dead_letters": 4}],
    }


@pytest.mark.parametrize(
    ("journaled_ms", "polled_ms", "shown"),
    [
        (None, None, None),
        (None, 1_700_000_003_000, "2023-11-14T22:13:23.000Z"),  # what was polled waits to be unpacked
        (1_700_000_002_000, 1_700_000_003_000, "2023-11-14T22:13:23.000Z"),
        (1_700_000_002_000, 1_700_000_001_000, "2023-11-14T22:13:22.000Z"),
    ],
)
async def test_the_last_good_poll_is_the_newer_of_what_is_known(
    client: Client,
    journal: Any,
    telemetry: Telemetry,
    journaled_ms: int | None,
    polled_ms: int | None,
    shown: str | None,
) -> None:
    stream = Stream("acme", "sms")
    figure = journal.figures_now.streams[stream]._replace(last_success_at_ms=journaled_ms)
    journal.figures_now = journal.figures_now._replace(streams={stream: figure})
    if polled_ms is not None:
        telemetry.poll_succeeded(stream, polled_ms)
    (row,) = (await (await client.get("/api/v1/status", headers=BEARER)).json())["streams"]
    assert row["last_successful_poll_at"] == shown


async def test_status_without_a_journal(client: Client, journal: Any) -> None:
    journal.error = JournalError("locked")
    body = await (await client.get("/api/v1/status", headers=BEARER)).json()
    assert (body["status"], body["journal"], body["streams"], body["callbacks"]) == ("unavailable", None, [], [])


@pytest.mark.parametrize(
    "authorization",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        "Bearer canary",
        "Bearer canary-token2",
        "Basic canary-token",
        "canary-token",
        "Bearer \u00e4",
    ],
)
@pytest.mark.parametrize("path", ["/api/v1/status", "/api/v1/nothing"])
async def test_the_api_needs_the_token(client: Client, journal: Any, authorization: str | None, path: str) -> None:
    response = await client.get(path, headers={} if authorization is None else {"Authorization": authorization})
    assert response.status == 401
    assert response.headers["WWW-Authenticate"] == 'Bearer realm="relay"'
    assert response.content_type == "application/problem+json"
    body = await response.json()
    assert (body["status"], body["title"]) == (401, "Unauthorized")
    assert "canary" not in str(body)
    assert journal.asked == 0


async def test_the_scheme_is_case_insensitive(client: Client) -> None:
    assert (await client.get("/api/v1/status", headers={"Authorization": "bearer canary-token"})).status == 200


@pytest.mark.parametrize("path", ["/nothing", "/<script>", "/metrics/x", "/push/acme/sms"])
async def test_an_unknown_path_is_a_problem_in_json(client: Client, path: str) -> None:
    response = await client.get(path)
    assert (response.status, response.content_type) == (404, "application/problem+json")
    assert await response.json() == {
        "type": "about:blank",
        "title": "Not Found",
        "status": 404,
        "detail": "there is nothing at this path; see / for what there is",
    }


async def test_an_unknown_path_of_the_api_with_token(client: Client) -> None:
    assert (await client.get("/api/v1/nothing", headers=BEARER)).status == 404


async def test_another_method(client: Client) -> None:
    response = await client.post("/readyz", data=b"x" * 1000)
    assert (response.status, response.headers["Allow"]) == (405, "GET, HEAD")
    assert (await response.json())["detail"] == "use GET, HEAD"


async def test_a_body_is_bounded(application: web.Application, aiohttp_client: Any) -> None:
    async def read(request: web.Request) -> web.Response:
        return web.Response(body=await request.read())

    application.router.add_post("/echo", read)
    client = await aiohttp_client(application)
    assert (await client.post("/echo", data=b"x" * 65_536)).status == 200
    response = await client.post("/echo", data=b"x" * 65_537)
    assert (response.status, (await response.json())["detail"]) == (413, "the body is too large")


async def test_a_bug_tells_the_caller_nothing(application: web.Application, aiohttp_client: Any) -> None:
    async def broken(_request: web.Request) -> web.Response:
        raise RuntimeError("canary")

    application.router.add_get("/broken", broken)
    response = await (await aiohttp_client(application)).get("/broken")
    assert (response.status, response.content_type) == (500, "application/problem+json")
    assert "canary" not in await response.text()


async def test_the_service_listens_and_stops(application: web.Application) -> None:
    service = HttpService(application, host="127.0.0.1", port=0)
    await service.start()
    url = f"http://127.0.0.1:{service.port}/healthz"
    async with ClientSession() as session, session.get(url) as response:
        assert response.status == 200
    await service.stop()
    await service.stop()


async def test_a_service_that_never_started_may_be_stopped(application: web.Application) -> None:
    await HttpService(application, host="127.0.0.1", port=0).stop()


@pytest.mark.parametrize("key", ["http.port", "http.push_port"])
async def test_a_taken_address_is_told_with_its_place_and_the_cure(application: web.Application, key: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        service = HttpService(application, host="127.0.0.1", port=port, port_key=key)
        with pytest.raises(OSError, match="cannot listen") as refused:
            await service.start()
        await service.stop()
    assert str(refused.value) == (
        f"http.host 127.0.0.1, {key} {port}: cannot listen: Address already in use: "
        f"another process (a running relay?) has it; stop it or change {key}"
    )


@pytest.mark.parametrize("host", ["192.0.2.1", "nowhere.invalid"])
async def test_an_address_of_another_machine_is_told_with_the_cure(application: web.Application, host: str) -> None:
    service = HttpService(application, host=host, port=0)
    with pytest.raises(OSError, match=f"^http.host {host}, http.port 0: cannot listen: .+: correct http.host"):
        await service.start()
    await service.stop()
