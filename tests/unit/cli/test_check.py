"""`relay check`: what it finds without reading a report."""

import asyncio
import json
import re
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import AsyncMock

import apsw
import pytest
from aiohttp import web
from click.testing import Result

from relay.cli.finding import Finding, State
from relay.cli.place_check import http_findings, journal_findings, recordings_findings
from relay.cli.reach_check import callback_findings, source_findings
from relay.config import CallbackConfig, SourceConfig
from relay.journal.files import FileLock
from relay.journal.sqlite import SqliteJournal
from relay.web.service import AddressUnusable, HttpService
from tests.conformance.journals import SMALL, SMS, own

Command = Callable[..., Result]


def source(url: str, **more: Any) -> SourceConfig:
    return SourceConfig.model_validate(
        {"name": "acme", "base_url": url, "auth": {"type": "bearer", "token": "canary"}, **more}
    )


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


def test_all_is_well(relay_command: Command, config_file: Path) -> None:
    result = relay_command("check", "-c", config_file, "--json")
    assert result.exit_code == 0
    checked = json.loads(result.stdout)
    assert checked["ok"] is True
    names = {finding["what"].split(" ")[0] for finding in checked["findings"]}
    assert names == {"configuration", "journal", "http", "source", "callback"}
    assert "failed" not in {finding["state"] for finding in checked["findings"]}
    assert "canary" not in result.output


def test_the_table_names_everything(relay_command: Command, config_file: Path) -> None:
    result = relay_command("check", "-c", config_file)
    assert result.exit_code == 0
    for what in ("configuration", "journal", "http 127.0.0.1:0", "source acme", "callback billing"):
        assert what in result.stdout


def test_without_a_terminal_a_finding_is_a_line(
    relay_command: Command, config_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = [Finding("what", State.WARNING, "word " * 60 + "\x1b[2J"), Finding("what else", State.OK, "well")]
    monkeypatch.setattr("relay.cli.check.findings_of", AsyncMock(return_value=found))
    assert relay_command("check", "-c", config_file, COLUMNS="80").stdout.splitlines() == [
        "warning  what       " + "word " * 60 + "\\x1b[2J",
        "ok       what else  well",
    ]


def test_free_room_is_legible(relay_command: Command, config_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("relay.cli.place_check.free_bytes", lambda _: 40_000_000_000)
    assert "will be created; 37.3 GiB free" in relay_command("check", "-c", config_file).stdout


def test_nothing_is_sent_to_source_or_callback(
    relay_command: Command, config_file: Path, listener: socket.socket
) -> None:
    relay_command("check", "-c", config_file)
    listener.settimeout(5)
    for _ in range(2):
        connection, _ = listener.accept()
        with connection:
            connection.settimeout(5)
            try:
                sent = connection.recv(1)
            except ConnectionResetError:
                sent = b""
            assert sent == b""


def test_a_failure_ends_with_1(relay_command: Command, config_file: Path) -> None:
    text = config_file.read_text().replace("/relay.db", "/missing/relay.db")
    config_file.write_text(text)
    result = relay_command("check", "-c", config_file, "--json")
    assert result.exit_code == 1
    checked = json.loads(result.stdout)
    assert checked["ok"] is False
    (failed,) = [finding for finding in checked["findings"] if finding["state"] == "failed"]
    assert failed["what"] == f"journal {config_file.parent}/missing/relay.db"
    assert failed["detail"].startswith(f"there is no directory {config_file.parent}/missing; ")


def test_a_wrong_configuration_in_json(relay_command: Command, config_file: Path) -> None:
    config_file.write_text(config_file.read_text() + "nonsense: 1\n")
    result = relay_command("check", "-c", config_file, "--json")
    assert result.exit_code == 2
    (finding,) = json.loads(result.stdout)["findings"]
    assert (finding["what"], finding["line"], finding["state"]) == ("nonsense", 13, "failed")


def test_a_weak_secret_is_a_warning_and_not_shown(relay_command: Command, config_file: Path) -> None:
    config_file.write_text(re.sub(r"whsec_\w+", "whsec_c2hvcnQ=", config_file.read_text()))
    result = relay_command("check", "-c", config_file, "--json")
    assert result.exit_code == 0
    found = {finding["what"]: finding for finding in json.loads(result.stdout)["findings"]}
    weak = found["callbacks[0].secrets[0]"]
    assert weak["state"] == "warning"
    assert weak["detail"] == (
        "holds a key of 5 bytes, Standard Webhooks asks for 24 to 64; make one: echo whsec_$(openssl rand -base64 32)"
    )
    assert "c2hvcnQ" not in result.output


def test_a_file_that_is_missing_is_named_in_json(relay_command: Command, tmp_path: Path) -> None:
    result = relay_command("check", "-c", tmp_path / "none.yaml", "--json")
    assert result.exit_code == 2
    (finding,) = json.loads(result.stdout)["findings"]
    assert finding["what"] == str(tmp_path / "none.yaml")
    assert finding["detail"].startswith("cannot be read: No such file or directory")


def test_kafka_that_is_away_is_a_finding_and_no_line_of_the_log(relay_command: Command, config_file: Path) -> None:
    servers = f"127.0.0.1:{free_port()}"
    config_file.write_text(config_file.read_text() + f"kafka: {{bootstrap_servers: '{servers}'}}\n")
    result = relay_command("check", "-c", config_file, "--json")
    found = {finding["what"]: finding["state"] for finding in json.loads(result.stdout)["findings"]}
    assert (found[f"kafka {servers}"], result.stderr) == ("failed", "")


async def test_a_source_that_is_away() -> None:
    port = free_port()
    (finding,) = await source_findings(source(f"http://127.0.0.1:{port}"), "sources[0]")
    assert finding.state is State.FAILED
    assert finding.detail == f"sources[0].base_url: 127.0.0.1:{port}: connection refused"


async def test_a_source_that_is_no_tls_server() -> None:
    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        (finding,) = await source_findings(source(f"https://127.0.0.1:{port}"), "sources[0]")
    assert finding.state is State.FAILED
    assert finding.detail.startswith(f"sources[0].base_url: 127.0.0.1:{port}: TLS failed: no TLS is spoken there (")
    assert finding.detail.endswith("; was http:// meant?")


async def test_a_source_behind_a_proxy_needs_the_proxy(listener: socket.socket) -> None:
    proxy = f"http://me:canary@127.0.0.1:{listener.getsockname()[1]}"
    (finding,) = await source_findings(source("https://nowhere.invalid", proxy=proxy), "sources[0]")
    assert finding == Finding("source acme", State.OK, "its proxy can be reached; credentials show at the first poll")


async def test_a_callback_that_is_away_is_a_warning() -> None:
    port = free_port()
    callback = CallbackConfig.model_validate({"name": "billing", "url": f"http://127.0.0.1:{port}/hook"})
    (finding,) = await callback_findings(callback, "callbacks[0]")
    assert finding.state is State.WARNING
    assert finding.detail == (
        f"callbacks[0].url: 127.0.0.1:{port}: connection refused; deliveries would wait and be retried"
    )


@pytest.mark.parametrize(
    ("keys", "refused"),
    [
        (
            {"url": "http://169.254.169.254/hook"},
            "169.254.169.254:80: 169.254.169.254 is a link-local address (metadata of clouds)",
        ),
        (
            {"url": "http://127.0.0.1:9/hook", "allow_private": False},
            "127.0.0.1:9: 127.0.0.1 is a private address and allow_private is false",
        ),
    ],
)
async def test_a_callback_where_nothing_may_be_posted_to_fails(keys: dict[str, Any], refused: str) -> None:
    (finding,) = await callback_findings(CallbackConfig.model_validate({"name": "billing", **keys}), "callbacks[0]")
    assert finding.state is State.FAILED
    assert finding.detail.startswith(f"callbacks[0].url: {refused}")
    assert "correct url" in finding.detail


async def test_a_name_that_does_not_exist() -> None:
    (finding,) = await source_findings(source("http://does-not-exist.invalid"), "sources[0]")
    assert finding.state is State.FAILED
    words = "(unknown host name|temporary failure in name resolution); check it and the name server"
    assert re.fullmatch(rf"sources\[0\]\.base_url: does-not-exist\.invalid:80: {words}", finding.detail)


def states(findings: list[Finding]) -> set[State]:
    """Without the warning that the test's directory may be on a file system in memory."""
    return {finding.state for finding in findings if "restart of the machine" not in finding.detail}


def test_a_journal_in_use_is_a_warning(tmp_path: Path) -> None:
    file = tmp_path / "relay.db"
    lock = FileLock.acquire(file)
    try:
        found = journal_findings(file)
    finally:
        lock.release()
    assert any(finding.state is State.WARNING and finding.detail.startswith("is in use by") for finding in found)
    assert not any("in use" in finding.detail for finding in journal_findings(file))


def test_a_file_that_is_no_journal(tmp_path: Path) -> None:
    file = tmp_path / "relay.db"
    file.write_bytes(b"something else entirely")
    (failed,) = [finding for finding in journal_findings(file) if finding.state is State.FAILED]
    assert failed.detail == (
        "is not an SQLite database, or its header is damaged; the file was left as it is: restore a backup, or move it "
        "away to begin a new journal"
    )
    assert file.read_bytes() == b"something else entirely"


@pytest.mark.parametrize("content", [b"", b"SQLite format 3\x00..."])
def test_what_run_would_refuse(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "relay.db"
    file.write_bytes(content)
    assert State.FAILED in states(journal_findings(file))
    assert file.read_bytes() == content


def test_a_place_that_can_hold_a_journal(tmp_path: Path) -> None:
    assert states(journal_findings(tmp_path / "relay.db")) == {State.OK}
    assert not (tmp_path / "relay.db").exists()


@pytest.fixture
async def journal_file(tmp_path: Path) -> Path:
    """A journal with a hundred reports; its relay has ended."""
    file = tmp_path / "relay.db"
    journal = await SqliteJournal.open(file, instance="relay-0", tuning=SMALL)
    await (await own(journal)).receive_many(100)
    await journal.close()
    return file


def contents(directory: Path) -> dict[str, bytes]:
    """Of each file; what several connections share is theirs."""
    files = [file for file in directory.iterdir() if file.is_file() and not file.name.endswith(".lock")]
    return {file.name: b"" if file.name.endswith("-shm") else file.read_bytes() for file in files}


def alter(file: Path, statement: str) -> None:
    db = apsw.Connection(str(file))
    db.execute(statement)
    db.close()


def told(file: Path, state: State) -> list[str]:
    """What is found of the journal; nothing of it may be changed."""
    before = contents(file.parent)
    found = journal_findings(file)
    assert contents(file.parent) == before
    return [one.detail for one in found if one.state is state and "restart of the machine" not in one.detail]


def test_a_journal_that_run_would_open(journal_file: Path) -> None:
    assert told(journal_file, State.FAILED) + told(journal_file, State.WARNING) == []
    well, _ = told(journal_file, State.OK)
    assert well.startswith("exists, and its content makes sense; ")


def test_a_journal_of_a_newer_relay(journal_file: Path) -> None:
    alter(journal_file, "PRAGMA user_version = 3")
    (failed,) = told(journal_file, State.FAILED)
    assert failed.startswith("was written by a newer relay (schema 3, this one knows 2): run that version, or restore")


def test_a_journal_that_run_would_bring_up(journal_file: Path) -> None:
    alter(journal_file, "PRAGMA user_version = 1")
    upgrade = "has schema 1; `relay run` brings it up to 2, which an earlier relay refuses: back it up first"
    assert told(journal_file, State.WARNING) == [upgrade]
    lock = FileLock.acquire(journal_file)
    try:
        assert upgrade in told(journal_file, State.WARNING)
    finally:
        lock.release()


def test_a_damaged_journal(journal_file: Path) -> None:
    with journal_file.open("r+b") as file:
        file.seek(8192)
        file.write(b"\xa5" * 20_000)
    (failed,) = told(journal_file, State.FAILED)
    assert failed.startswith("is damaged (")
    assert failed.endswith("it was left as it is: copy it away, then restore a backup")


async def test_a_journal_whose_relay_was_killed_is_read_with_its_log(journal_file: Path) -> None:
    journal = await SqliteJournal.open(journal_file, instance="relay-0", tuning=SMALL)
    await (await own(journal)).receive_many(100, prefix="later")
    killed = journal_file.parent / "killed"
    killed.mkdir()
    for name in ("relay.db", "relay.db-wal"):
        (killed / name).write_bytes((journal_file.parent / name).read_bytes())
    await journal.close()
    assert (killed / "relay.db-wal").stat().st_size

    assert told(killed / "relay.db", State.FAILED) == []
    alter(killed / "relay.db", "UPDATE streams SET next_seq = 150")
    (failed,) = told(killed / "relay.db", State.FAILED)
    assert "holds entries beyond its counter" in failed


async def test_a_running_relay_is_not_disturbed(journal_file: Path) -> None:
    journal = await SqliteJournal.open(journal_file, instance="relay-0", tuning=SMALL)
    relay = await own(journal)
    await relay.receive_many(10, prefix="later")
    assert told(journal_file, State.FAILED) == []
    await relay.receive_many(10, prefix="last")
    assert (await journal.figures(0)).streams[SMS].unpublished == 120
    await journal.close()


def test_a_port_that_is_taken(listener: socket.socket) -> None:
    port = listener.getsockname()[1]
    (finding,) = http_findings("127.0.0.1", port)
    assert finding.state is State.WARNING
    assert finding.detail == (
        f"http.host 127.0.0.1, http.port {port}: cannot listen: Address already in use: another process (a running "
        "relay?) has it; stop it or change http.port"
    )


@pytest.mark.parametrize("host", ["192.0.2.1", "nowhere.invalid"])
async def test_a_host_that_is_not_of_this_machine_fails_as_the_relay_would(host: str) -> None:
    service = HttpService(web.Application(), host=host, port=0)
    with pytest.raises(AddressUnusable) as refused:
        await service.start()
    await service.stop()
    (finding,) = http_findings(host, 0)
    assert finding == Finding(f"http {host}:0", State.FAILED, str(refused.value))
    assert finding.detail.endswith("correct http.host, it must be an address of this machine")


def test_the_port_for_pushes_is_tried_too(relay_command: Command, config_file: Path, listener: socket.socket) -> None:
    port = listener.getsockname()[1]
    config_file.write_text(config_file.read_text().replace("port: 0,", f"port: 0, push_port: {port},"))
    result = relay_command("check", "-c", config_file, "--json")
    found = {finding["what"]: finding for finding in json.loads(result.stdout)["findings"]}
    assert "change http.push_port" in found[f"http 127.0.0.1:{port}"]["detail"]


def test_a_place_for_recordings(tmp_path: Path) -> None:
    (found,) = recordings_findings(tmp_path / "calls" / "of" / "acme")
    assert (found.state, found.detail.partition(";")[0]) == (State.OK, "will be created")
    assert not (tmp_path / "calls").exists()
    (found,) = recordings_findings(tmp_path)
    assert (found.state, found.detail.partition(";")[0]) == (State.OK, "exists")


def test_no_place_for_recordings(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (found,) = recordings_findings(tmp_path / "file" / "calls")
    assert found.state is State.FAILED
    assert found.detail == (
        f"{tmp_path}/file is no directory that may be written; "
        "correct owner or mode, or name another in sources.recordings.directory"
    )


def test_recordings_are_checked_where_they_are_enabled(relay_command: Command, config_file: Path) -> None:
    text = config_file.read_text().replace("- name: acme\n", "- name: acme\n    recordings: {enabled: true}\n")
    config_file.write_text(text)
    result = relay_command("check", "-c", config_file)
    assert result.exit_code == 0
    assert "recordings " in result.stdout
