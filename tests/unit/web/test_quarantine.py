"""The quarantine over HTTP, on a real journal."""

import base64
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import structlog
from aiohttp import web
from aiohttp.test_utils import TestClient

from relay.config import Secret
from relay.domain.report import Decoded, Entry, Origin, Rejected, Report, Stream
from relay.journal.connection import Tuning
from relay.journal.sqlite import SqliteJournal
from relay.observe import Health, Telemetry
from relay.ports import Fetch, JournalFull
from relay.web import QuarantineRoutes, make_web

Client = TestClient[web.Request, web.Application]
SMS, VOICE = Stream("acme", "sms"), Stream("acme", "voice")
T0 = 1_700_000_000_000
NOW_MS = T0 + 10_000
BEARER = {"Authorization": "Bearer canary-token"}
HOSTILE = b'{"messageId":"","text":"\x1b[2J<script>alert(1)</script>\xff"}'


class Rig:
    """A journal with streams that are confirmed, and the routes on it."""

    def __init__(self, journal: SqliteJournal, client: Client, telemetry: Telemetry, woken: list[Stream]) -> None:
        self.journal = journal
        self.client = client
        self.telemetry = telemetry
        self.woken = woken

    async def receive(
        self, *found: Report | Rejected, stream: Stream = SMS, origin: Origin = Origin.PUSH, confirmed: bool = True
    ) -> None:
        lease = await self.journal.acquire_lease(f"stream/{stream}")
        await self.journal.confirm_without_kafka(lease, stream)
        fetch = Fetch(origin, T0, T0, 200, "", b"{}", complete=True, entries_estimate=1)
        await self.journal.append_fetch(None, stream, fetch, None)
        claimed = await self.journal.claim_fetch(stream, T0)
        assert claimed is not None
        await self.journal.record_reports(claimed, Decoded(list(found), complete=True), None)
        if not confirmed:
            await self.journal.acquire_lease(f"stream/{stream}")

    async def call(self, method: str, path: str = "", status: int = 200) -> Any:
        response = await self.client.request(method, "/api/v1/quarantine" + path, headers=BEARER)
        assert response.status == status, await response.text()
        assert response.content_type == ("application/json" if status == 200 else "application/problem+json")
        return await response.json(content_type=None)

    async def ids(self, query: str = "") -> list[int]:
        return [entry["id"] for entry in (await self.call("GET", query))["entries"]]

    async def entries(self, after_seq: int = 0) -> list[Entry]:
        return await self.journal.read_stream(SMS, after_seq, 100, 1 << 20)


@pytest.fixture
async def rig(tmp_path: Path, aiohttp_client: Callable[[web.Application], Awaitable[Client]]) -> AsyncIterator[Rig]:
    journal = await SqliteJournal.open(tmp_path / "relay.db", instance="relay-0", tuning=Tuning(reserve_bytes=0))
    telemetry, woken = Telemetry(), list[Stream]()
    routes = QuarantineRoutes(
        journal,
        base_urls={SMS: "https://sms.example", VOICE: "https://voice.example"},
        telemetry=telemetry,
        now_ms=lambda: NOW_MS,
        wake_subscribers=woken.append,
    )
    application = make_web(
        instance="relay-0",
        token=Secret("canary-token"),
        journal=journal,
        health=Health(),
        telemetry=telemetry,
        now_ms=lambda: NOW_MS,
        more=[routes],
    )
    yield Rig(journal, await aiohttp_client(application), telemetry, woken)
    await journal.close()


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", ""), ("GET", "/1"), ("GET", "/1/bytes"), ("POST", "/1/retry"), ("DELETE", "/1")],
)
async def test_all_of_it_needs_the_token(rig: Rig, method: str, path: str) -> None:
    response = await rig.client.request(method, "/api/v1/quarantine" + path)
    assert response.status == 401


async def test_the_list(rig: Rig) -> None:
    await rig.receive(Rejected("messageId is empty", HOSTILE))
    (id_,) = await rig.ids()
    assert await rig.call("GET") == {
        "entries": [
            {
                "id": id_,
                "source": "acme",
                "kind": "sms",
                "seq": 1,
                "reason": "messageId is empty",
                "received_at": "2023-11-14T22:13:20.000Z",
                "origin": "push",
                "fetch": 1,
                "size": len(HOSTILE),
                "refused_message_id": None,
                "done_at": None,
            }
        ],
        "next": None,
    }


async def test_filters(rig: Rig) -> None:
    await rig.receive(Rejected("messageId is empty", b"1"), Rejected("not an object", b"2"))
    await rig.receive(Rejected("Not an object", b"3"), stream=VOICE)
    one, two, three = await rig.ids()
    assert await rig.ids("?source=acme") == [one, two, three]
    assert await rig.ids("?source=other") == []
    assert await rig.ids("?kind=voice") == [three]
    assert await rig.ids("?reason=an%20object") == [two, three]
    assert await rig.ids("?source=&kind=&reason=") == [one, two, three]


async def test_pages(rig: Rig) -> None:
    await rig.receive(*(Rejected("bad", b"%d" % n) for n in range(5)))
    every = await rig.ids()
    seen, query = [], "?limit=2"
    while query:
        page = await rig.call("GET", query)
        seen.append([entry["id"] for entry in page["entries"]])
        query = f"?limit=2&after={page['next']}" if page["next"] else ""
    assert seen == [every[:2], every[2:4], every[4:]]


@pytest.mark.parametrize(
    ("query", "detail"),
    [
        ("?limit=0", "limit must be a whole number from 1 to 1000"),
        ("?limit=1001", "limit must be a whole number from 1 to 1000"),
        ("?limit=x", "limit must be a whole number from 1 to 1000"),
        ("?limit=%D9%A3", "limit must be a whole number from 1 to 1000"),
        ("?after=-1", "after must be a whole number from 0 to 9223372036854775807"),
        ("?after=9223372036854775808", "after must be a whole number from 0 to 9223372036854775807"),
        ("?done=maybe", "done must be true or false"),
        ("/1?bytes=65537", "bytes must be a whole number from 0 to 65536"),
    ],
)
async def test_wrong_queries(rig: Rig, query: str, detail: str) -> None:
    assert (await rig.call("GET", query, status=400))["detail"] == detail


async def test_one_with_the_first_of_its_bytes(rig: Rig) -> None:
    raw = HOSTILE.ljust(5000)
    await rig.receive(Rejected("bad", raw))
    (id_,) = await rig.ids()
    shown = await rig.call("GET", f"/{id_}")
    assert (shown["id"], shown["size"]) == (id_, 5000)
    assert base64.b64decode(shown["bytes"]) == raw[:4096]
    assert base64.b64decode((await rig.call("GET", f"/{id_}?bytes=5"))["bytes"]) == raw[:5]


async def test_all_bytes_as_a_download(rig: Rig) -> None:
    await rig.receive(Rejected("bad", HOSTILE))
    (id_,) = await rig.ids()
    response = await rig.client.get(f"/api/v1/quarantine/{id_}/bytes", headers=BEARER)
    assert await response.read() == HOSTILE
    assert response.content_type == "application/octet-stream"
    assert response.headers["Content-Disposition"] == f'attachment; filename="quarantine-{id_}.bin"'
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.headers["Content-Security-Policy"] == "sandbox; default-src 'none'"


@pytest.mark.parametrize("id_", ["1", "9223372036854775807", "9999999999999999999"])
async def test_none_of_that_id(rig: Rig, id_: str) -> None:
    for method, path in (("GET", ""), ("GET", "/bytes"), ("POST", "/retry"), ("DELETE", "")):
        problem = await rig.call(method, f"/{id_}{path}", status=404)
        assert "there is no quarantine entry" in problem["detail"]


@pytest.mark.parametrize("path", ["/x", "/-1", "/1/other", "/12345678901234567890"])
async def test_no_such_path(rig: Rig, path: str) -> None:
    await rig.call("GET", path, status=404)


async def test_a_retry_by_a_version_that_can_read_it(rig: Rig) -> None:
    raw = b'{"messageId":"1","status":{"groupId":3,"id":5},"recordedAudioFileUrl":"/a.wav"}'
    await rig.receive(Rejected("an older version could not", raw), stream=VOICE)
    (id_,) = await rig.ids()
    with structlog.testing.capture_logs() as logs:
        answer = await rig.call("POST", f"/{id_}/retry")
    assert answer == {
        "id": id_,
        "done": True,
        "new": 1,
        "duplicates": 0,
        "revisions": 0,
        "quarantined": 0,
        "sent_again": False,
        "reason": None,
    }
    (entry,) = await rig.journal.read_stream(VOICE, 1, 10, 1 << 20)
    assert (entry.message_id, entry.origin, entry.received_at_ms) == ("1", Origin.PUSH, NOW_MS)
    assert b'"recordedAudioFileUrl":"https://voice.example/a.wav"' in entry.value
    assert rig.woken == [VOICE]
    line = 'relay_reports_total{kind="voice",origin="push",outcome="new",source="acme"} 1.0'
    assert line in rig.telemetry.exposition().decode()
    assert [(log["event"], log["id"], log["new"]) for log in logs] == [("quarantine entry retried", id_, 1)]
    assert await rig.ids() == []
    (done,) = (await rig.call("GET", "?done=true"))["entries"]
    assert done["done_at"] == "2023-11-14T22:13:30.000Z"
    assert "is done" in (await rig.call("POST", f"/{id_}/retry", status=409))["detail"]


async def test_a_retry_that_still_cannot(rig: Rig) -> None:
    await rig.receive(Rejected("old reason", HOSTILE))
    (id_,) = await rig.ids()
    answer = await rig.call("POST", f"/{id_}/retry")
    assert (answer["done"], answer["reason"], answer["new"]) == (False, "messageId is empty", 0)
    assert (await rig.call("GET", f"/{id_}"))["reason"] == "messageId is empty"
    assert await rig.entries(1) == []


async def test_a_retry_of_a_whole_body(rig: Rig) -> None:
    await rig.receive(Rejected("could not be unpacked", b'{"results":[{"messageId":"1"},{"messageId":""},7]}'))
    (id_,) = await rig.ids()
    answer = await rig.call("POST", f"/{id_}/retry")
    assert (answer["done"], answer["new"], answer["quarantined"]) == (True, 1, 2)
    assert len(await rig.ids()) == 2


async def test_a_retry_of_a_record_that_kafka_refused(rig: Rig) -> None:
    await rig.receive(Report("1", "5:0", 3, final=True, value=b'{"messageId":"1"}'))
    lease = await rig.journal.acquire_lease("stream/acme/sms")
    await rig.journal.refuse_record(lease, SMS, 1, "MESSAGE_TOO_LARGE", T0)
    await rig.journal.confirm_without_kafka(lease, SMS)
    (id_,) = await rig.ids()
    assert (await rig.call("GET", f"/{id_}"))["refused_message_id"] == "1"
    answer = await rig.call("POST", f"/{id_}/retry")
    assert (answer["done"], answer["sent_again"], answer["new"]) == (True, True, 0)
    (again,) = await rig.entries(2)
    assert (again.message_id, again.value) == ("1", b'{"messageId":"1"}')


async def test_a_retry_before_the_cursor_is_confirmed(rig: Rig) -> None:
    await rig.receive(Rejected("bad", b'{"messageId":"1"}'), confirmed=False)
    (id_,) = await rig.ids()
    problem = await rig.call("POST", f"/{id_}/retry", status=503)
    assert "cursor of acme/sms is not confirmed" in problem["detail"]
    assert await rig.ids() == [id_]


async def test_a_retry_on_a_full_disk(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    async def full(*_: object) -> None:
        raise JournalFull("no room")

    await rig.receive(Rejected("bad", b'{"messageId":"1"}'))
    (id_,) = await rig.ids()
    monkeypatch.setattr(rig.journal, "retry_quarantined", full)
    assert "no room" in (await rig.call("POST", f"/{id_}/retry", status=503))["detail"]
    assert await rig.ids() == [id_]


async def test_dropping(rig: Rig) -> None:
    await rig.receive(Rejected("bad", b"1"), Rejected("bad", b"2"))
    one, two = await rig.ids()
    assert await rig.call("DELETE", f"/{one}") == {"id": one, "dropped": True}
    assert await rig.ids() == [two]
    await rig.call("DELETE", f"/{one}", status=404)
