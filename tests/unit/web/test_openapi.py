"""schemas/openapi.yaml says what the relay answers: every path that is wired, no other, and bodies as they are."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import jsonschema_rs
import pytest
from aiohttp import web
from ruamel.yaml import YAML

from relay import app
from relay.config import load
from relay.domain.recordings import recording_path
from relay.domain.report import Decoded, Origin, Rejected, Report, Stream
from relay.ports import AttemptRecord, Fetch
from relay.simulator.files import recording
from relay.sinks.recordings import RecordingArchive
from relay.web import make_web

FILE = Path(__file__).parents[3] / "schemas" / "openapi.yaml"
DOCUMENT: dict[str, Any] = YAML(typ="safe").load(FILE)
METHODS = {"get", "post", "put", "patch", "delete"}
CONFIG = """\
sources:
  - name: acme
    base_url: http://127.0.0.1:1
    auth: {{type: api_key, token: canary-key}}
    endpoints: [sms]
    push: {{enabled: true, token: canary-push}}
journal: {{url: "sqlite:///{directory}/relay.db", min_free_bytes: 0}}
callbacks:
  - {{name: billing, url: "http://127.0.0.1:1/hook", secrets: [whsec_Y2FuYXJ5LXdlYmhvb2stY2FuYXJ5LXdlYmhvb2s=]}}
http: {{host: 127.0.0.1, port: 0, token: canary-token}}
"""
BEARER = {"Authorization": "Bearer canary-token"}
PUSH = {"Authorization": "Bearer canary-push"}


class Running:
    """The whole relay, and the application that it has wired."""

    def __init__(self, relay: app.Relay, application: web.Application, session: aiohttp.ClientSession) -> None:
        self.relay = relay
        self.application = application
        self._session = session

    async def call(
        self, method: str, path: str, *, headers: dict[str, str] = BEARER, body: bytes | None = None
    ) -> tuple[int, str, Any]:
        """Status, content type, body."""
        async with self._session.request(method, self.relay.url + path, headers=headers, data=body) as response:
            is_json = "json" in response.content_type
            return response.status, response.content_type, await (response.json() if is_json else response.read())


@pytest.fixture
async def running(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Running]:
    made: list[web.Application] = []

    def keep(**given: Any) -> web.Application:
        made.append(make_web(**given))
        return made[-1]

    monkeypatch.setattr("relay.app.web.make_web", keep)
    file = tmp_path / "relay.yaml"
    file.write_text(CONFIG.format(directory=tmp_path))
    relay = app.Relay(load(file, {}))
    try:
        await relay.start()
        async with aiohttp.ClientSession() as session:
            yield Running(relay, made[0], session)
    finally:
        await relay.stop()


def operations() -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, item in DOCUMENT["paths"].items():
        for method in METHODS & set(item):
            yield method, path, item[method]


def resolved(node: Any) -> Any:
    """`node`, or what its reference means."""
    while isinstance(node, dict) and "$ref" in node:
        target: Any = DOCUMENT
        for key in node["$ref"].removeprefix("#/").split("/"):
            target = target[key]
        node = target
    return node


def check(method: str, path: str, answer: tuple[int, str, Any]) -> None:
    """The answer is one of those documented."""
    status, content_type, body = answer
    response = resolved(DOCUMENT["paths"][path][method.lower()]["responses"][str(status)])
    schema = response["content"][content_type].get("schema")
    if schema is not None and "json" in content_type:
        jsonschema_rs.validator_for({**schema, "components": DOCUMENT["components"]}).validate(body)


async def test_every_path_is_documented_and_no_other(running: Running) -> None:
    wired = {
        (route.method.lower(), route.resource.canonical)
        for route in running.application.router.routes()
        if route.resource is not None and route.method != "HEAD"
    }
    assert wired == {(method, path) for method, path, _ in operations()}


async def test_answers_are_as_documented(running: Running) -> None:
    for path in ("/", "/healthz", "/readyz", "/metrics"):
        check("GET", path, await running.call("GET", path, headers={}))
    for path in ("/api/v1/status", "/api/v1/callbacks", "/api/v1/cursors", "/api/v1/quarantine", "/api/v1/reconcile"):
        check("GET", path, await running.call("GET", path))
        check("GET", path, await running.call("GET", path, headers={}))


async def test_pushes_are_as_documented(running: Running) -> None:
    path = "/push/{source}/{kind}"
    bodies = (b'{"results":[]}', 200), (b"{}", 400)
    for body, status in bodies:
        answer = await running.call("POST", "/push/acme/sms", headers=PUSH, body=body)
        assert answer[0] == status
        check("POST", path, answer)
    for place, status in (("acme/sms", 401), ("acme/voice", 404)):
        answer = await running.call("POST", f"/push/{place}", headers={}, body=b"{}")
        assert answer[0] == status
        check("POST", path, answer)
    await running.relay.stop_polling()
    answer = await running.call("POST", "/push/acme/sms", headers=PUSH, body=b'{"results":[]}')
    assert answer[0] == 503
    check("POST", path, answer)


async def test_recordings_are_as_documented(running: Running, tmp_path: Path) -> None:
    path = "/api/v1/recordings/{source}/{message_id}"
    await store_recording(tmp_path / "recordings", "m-1")
    ranges = ({}, 200), ({"Range": "bytes=0-3"}, 206)
    for headers, status in ranges:
        answer = await running.call("GET", "/api/v1/recordings/acme/m-1", headers=BEARER | headers)
        assert answer[0] == status
        check("GET", path, answer)
    for headers, message_id, status in ((BEARER, "m-2", 404), ({}, "m-1", 401)):
        answer = await running.call("GET", f"/api/v1/recordings/acme/{message_id}", headers=headers)
        assert answer[0] == status
        check("GET", path, answer)


async def store_recording(directory: Path, message_id: str) -> None:
    archive = RecordingArchive(directory, min_free_bytes=0)
    incoming = await archive.receive(recording_path("acme", "2018-06-25", message_id))
    await incoming.write(recording(message_id))
    await incoming.keep()


async def test_the_quarantine_is_as_documented(running: Running) -> None:
    await quarantine(running.relay, b'{"messageId":"1"}', b'{"messageId":""}')
    path = "/api/v1/quarantine"
    page = await running.call("GET", path)
    check("GET", path, page)
    readable, broken = [entry["id"] for entry in page[2]["entries"]]
    check("GET", path, await running.call("GET", f"{path}?limit=0"))
    calls = [
        ("GET", "", broken, 200),
        ("GET", "", 1, 404),
        ("GET", "/bytes", broken, 200),
        ("GET", "/bytes", 1, 404),
        ("POST", "/retry", broken, 200),
        ("POST", "/retry", readable, 200),
        ("POST", "/retry", readable, 409),
        ("POST", "/retry", 1, 404),
        ("DELETE", "", broken, 200),
        ("DELETE", "", broken, 404),
    ]
    for method, suffix, id_, status in calls:
        answer = await running.call(method, f"{path}/{id_}{suffix}")
        assert answer[0] == status, answer
        check(method, f"{path}/{{id}}{suffix}", answer)


async def test_callbacks_are_as_documented(running: Running) -> None:
    path = "/api/v1/callbacks/{name}"
    calls = [
        ("GET", "billing", "", None, 200),
        ("GET", "nobody", "", None, 404),
        ("POST", "billing", "/pause", b'{"reason":"maintenance"}', 200),
        ("POST", "billing", "/pause", b"[]", 400),
        ("POST", "nobody", "/pause", None, 404),
        ("POST", "billing", "/resume", None, 200),
        ("POST", "nobody", "/resume", None, 404),
        ("POST", "billing", "/test", None, 200),
        ("POST", "billing", "/test", b'{"kind":7}', 400),
        ("POST", "nobody", "/test", None, 404),
        ("POST", "billing", "/test", b'{"kind":"voice"}', 409),
    ]
    for method, name, suffix, body, status in calls:
        answer = await running.call(method, f"/api/v1/callbacks/{name}{suffix}", body=body)
        assert answer[0] == status, answer
        check(method, path + suffix, answer)


async def test_cursors_are_as_documented(running: Running) -> None:
    path, stream = "/api/v1/cursors/{source}/{kind}", Stream("acme", "sms")
    journal = running.relay._journal
    await journal.advance(await journal.acquire_lease("stream/acme/sms"), stream, 0, "cluster", app.now_ms())
    calls = [
        ("acme/sms", b'{"after":"kept"}', 409),
        ("acme/sms", b'{"after":"kept"}', 200),
        ("acme/sms", b'{"after":0}', 200),
        ("acme/sms", b'{"after":1}', 400),
        ("acme/fax", b'{"after":"kept"}', 404),
    ]
    for at, (place, body, status) in enumerate(calls):
        if at:
            running.relay.health.degrade("publish/acme/sms", "another cluster")
        answer = await running.call("PUT", f"/api/v1/cursors/{place}", body=body)
        assert answer[0] == status, answer
        check("PUT", path, answer)
    listed = await running.call("GET", "/api/v1/cursors")
    assert [one["degraded"] for one in listed[2]["cursors"]] == ["another cluster"]
    check("GET", "/api/v1/cursors", listed)


async def test_dead_letters_and_a_reports_life_are_as_documented(running: Running) -> None:
    await give_up(running.relay, 3)
    path = "/api/v1/dead-letters"
    page = await running.call("GET", path)
    check("GET", path, page)
    one, two, _ = [letter["id"] for letter in page[2]["dead_letters"]]
    calls = [
        ("GET", "", "?since=soon", 400),
        ("GET", "/{id}", f"/{one}", 200),
        ("GET", "/{id}", "/999", 404),
        ("POST", "/{id}/replay", f"/{one}/replay", 200),
        ("POST", "/{id}/replay", f"/{one}/replay", 404),
        ("DELETE", "/{id}", f"/{two}", 200),
        ("DELETE", "/{id}", f"/{two}", 404),
        ("POST", "/replay", "/replay?limit=1", 200),
        ("POST", "/drop", "/drop?callback=billing", 200),
        ("POST", "/drop", "/drop?limit=none", 400),
    ]
    await all_as_documented(running, path, calls)
    lives = [("GET", "", "?message_id=m-1", 200), ("GET", "", "?message_id=none", 404), ("GET", "", "", 400)]
    await all_as_documented(running, "/api/v1/inspect", lives)


async def test_replays_are_as_documented(running: Running) -> None:
    await give_up(running.relay, 3)
    path = "/api/v1/replays"
    asked = b'{"callback": "billing", "since": "1h"'
    for body, status in ((b"{}", 400), (asked + b', "dry_run": true}', 200), (asked + b"}", 202), (asked + b"}", 409)):
        answer = await running.call("POST", path, body=body)
        assert answer[0] == status, answer
        check("POST", path, answer)
    answer = await running.call("POST", path, body=b'{"callback": "nobody", "since": "1h"}')
    assert answer[0] == 404
    check("POST", path, answer)
    ((run, *_),) = [(await running.call("GET", path))[2]["replays"]]
    one = f"/{run['id']}"
    calls = [
        ("GET", "/{id}", one, 200),
        ("POST", "/{id}/pause", f"{one}/pause", 200),
        ("POST", "/{id}/resume", f"{one}/resume", 200),
        ("DELETE", "/{id}", one, 200),
        ("POST", "/{id}/pause", f"{one}/pause", 409),
        ("POST", "/{id}/resume", f"{one}/resume", 409),
        ("GET", "/{id}", "/999", 404),
        ("GET", "", "?limit=1", 200),
        ("GET", "", "?limit=0", 400),
    ]
    await all_as_documented(running, path, calls)


async def all_as_documented(running: Running, path: str, calls: list[tuple[str, str, str, int]]) -> None:
    """(method, suffix of the path as documented, as called, status)."""
    for method, suffix, called, status in calls:
        answer = await running.call(method, path + called)
        assert answer[0] == status, (method, called, answer)
        check(method, path + suffix, answer)


async def give_up(relay: app.Relay, count: int) -> None:
    """So many dead letters at billing, with the reports m-1, m-2, …"""
    await relay._stages.stop("unpack", "deliver")
    journal, stream, at_ms = relay._journal, Stream("acme", "sms"), app.now_ms()
    await journal.append_fetch(None, stream, Fetch(Origin.PUSH, at_ms, at_ms, 200, "", b"{}", True, 0), None)
    claimed = await journal.claim_fetch(stream, at_ms)
    assert claimed is not None
    reports = [Report(f"m-{n}", "5:0", 3, True, b'{"to":"41793026731"}') for n in range(1, count + 1)]
    await journal.record_reports(claimed, Decoded(list(reports), True), None)
    lease = await journal.acquire_lease("callback/billing/acme/sms")
    attempts = [
        AttemptRecord(None, (seq,), at_ms, 0.1, 500, "", b"+41 79 302 67 31", False, None, "too old")
        for seq in range(1, count + 1)
    ]
    await journal.open_subscription(lease, "billing", stream, earliest=True, at_ms=at_ms)
    await journal.record_attempts(lease, "billing", stream, attempts, count)


async def quarantine(relay: app.Relay, *raws: bytes) -> None:
    journal = relay._journal
    stream = Stream("acme", "sms")
    await relay._stages.stop("unpack")
    now_ms = app.now_ms()
    await journal.append_fetch(None, stream, Fetch(Origin.PUSH, now_ms, now_ms, 200, "", b"{}", True, 0), None)
    claimed = await journal.claim_fetch(stream, now_ms)
    assert claimed is not None
    await journal.record_reports(claimed, Decoded([Rejected("bad", raw) for raw in raws], True), None)


@pytest.mark.parametrize("name", sorted(DOCUMENT["components"]["schemas"]))
def test_schemas_are_schemas(name: str) -> None:
    schema = {"$ref": f"#/components/schemas/{name}", "components": DOCUMENT["components"]}
    jsonschema_rs.validator_for(schema)
    assert jsonschema_rs.meta.is_valid(DOCUMENT["components"]["schemas"][name])


def references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if "$ref" in node:
            yield node["$ref"]
        for value in node.values():
            yield from references(value)
    elif isinstance(node, list):
        for value in node:
            yield from references(value)


def test_every_reference_leads_somewhere_and_every_component_is_used() -> None:
    used = set(references(DOCUMENT))
    assert all(reference.startswith("#/components/") for reference in used)
    components = DOCUMENT["components"]
    sections = [section for section in components if section != "securitySchemes"]
    assert used == {f"#/components/{section}/{name}" for section in sections for name in components[section]}


def test_operations_are_named_once_and_say_what_they_need() -> None:
    ids = [operation["operationId"] for _, _, operation in operations()]
    assert len(ids) == len(set(ids))
    for _, path, operation in operations():
        assert operation["summary"]
        assert set(operation["tags"]) <= {tag["name"] for tag in DOCUMENT["tags"]}
        schemes = {name for scheme in operation.get("security", []) for name in scheme}
        expected = {"bearer"} if path.startswith("/api/") else {"pushBearer", "pushBasic"} if "push" in path else set()
        assert schemes == expected
        assert not expected or "401" in operation["responses"]


def test_parameters_of_a_path_are_described() -> None:
    for _, path, operation in operations():
        given = [*DOCUMENT["paths"][path].get("parameters", []), *operation.get("parameters", [])]
        named = {resolved(parameter)["name"] for parameter in given if resolved(parameter)["in"] == "path"}
        assert named == {part[1:-1] for part in path.split("/") if part.startswith("{")}
