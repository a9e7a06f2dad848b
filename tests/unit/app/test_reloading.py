"""When the configuration file is taken up, when it is refused, and what is told of it."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from relay.app import reloading
from relay.app.reloading import CHECK_SECONDS, RETRY_SECONDS, Reloading
from relay.config import CallbackChanges, CallbackConfig, Config, ConfigFile, Stamp, callback_changes, tls_stamps
from relay.observe import Health, Telemetry
from relay.ports import JournalError
from relay.sinks.callback import TlsFilesUnusable

FIRST = """\
sources:
  - name: acme
    base_url: https://xyz.api.infobip.com
    auth: {type: api_key, token: canary-key}
journal: {url: "sqlite:////var/lib/relay/relay.db"}
callbacks:
  - {name: billing, url: "https://billing/", secrets: [whsec_Y2FuYXJ5LXdlYmhvb2s=]}
"""
MOVED = FIRST.replace("https://billing/", "https://elsewhere/")
WRONG = FIRST.replace("callbacks:", "callback:")
REFUSED = "configuration refused, the one before stays in use"


class Running:
    """Callbacks that become what is wanted, or raise."""

    def __init__(self, callbacks: Sequence[CallbackConfig]) -> None:
        self.callbacks = tuple(callbacks)
        self.tls_files: Mapping[str, tuple[Stamp | None, ...]] = {callback.name: () for callback in callbacks}
        self.errors: list[Exception] = []
        self.asked = 0

    async def become(self, wanted: Sequence[CallbackConfig]) -> CallbackChanges:
        self.asked += 1
        if self.errors:
            raise self.errors.pop()
        turn = callback_changes(self.callbacks, wanted)
        self.tls_files = tls_stamps(wanted)
        self.callbacks = tuple(wanted)
        return turn


class Rig:
    def __init__(self, path: Path, text: str = FIRST) -> None:
        self.path = path
        path.write_text(text)
        self.file = ConfigFile(path, {})
        self.config = self.file.load()
        self.running = Running(self.config.callbacks)
        self.asked = asyncio.Event()
        self.health = Health()
        self.telemetry = Telemetry()
        self.telemetry.configured(1_000)
        self.followed: list[Config] = []
        self.reloading = Reloading(
            self.file,
            self.config,
            asked=self.asked,
            callbacks=self.running,
            follow=self.followed.append,
            telemetry=self.telemetry,
            health=self.health,
            now_ms=lambda: 2_000,
        )

    @property
    def url(self) -> str:
        return self.running.callbacks[0].url

    def write(self, text: str) -> None:
        """As an editor does: another file in its place."""
        other = self.path.with_suffix(".new")
        other.write_text(text)
        other.rename(self.path)

    async def ask(self) -> None:
        self.asked.set()
        assert await self.reloading.step() == CHECK_SECONDS

    async def steps(self, count: int) -> None:
        for _ in range(count):
            assert await self.reloading.step() == CHECK_SECONDS

    def metric(self, name: str) -> float | None:
        return self.telemetry.registry.get_sample_value(f"relay_config_last_reload_{name}")


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path / "relay.yaml")


@pytest.fixture
def logged() -> Iterator[list[Any]]:
    with capture_logs() as lines:
        yield lines


async def test_a_file_that_stays_as_it_is_is_left_alone(rig: Rig) -> None:
    await rig.steps(5)
    assert rig.running.asked == 0


async def test_a_change_is_taken_up_when_the_file_looks_the_same_twice(rig: Rig) -> None:
    rig.write(MOVED)
    await rig.steps(1)
    rig.write(MOVED + "\n")  # still being written
    await rig.steps(1)
    assert rig.running.asked == 0
    await rig.steps(1)
    assert rig.url == "https://elsewhere/"
    assert [config.callbacks[0].url for config in rig.followed] == ["https://elsewhere/"]
    assert rig.metric("success_timestamp_seconds") == 2
    await rig.steps(5)
    assert rig.running.asked == 1


async def test_a_change_before_the_first_step_is_seen_too(rig: Rig) -> None:
    rig.write(MOVED)
    await rig.steps(2)
    assert rig.url == "https://elsewhere/"


async def test_a_config_map_that_kubernetes_swaps_is_seen(tmp_path: Path) -> None:
    for version, text in (("1", FIRST), ("2", MOVED)):
        (tmp_path / version).mkdir()
        (tmp_path / version / "relay.yaml").write_text(text)
    (tmp_path / "..data").symlink_to(tmp_path / "1")
    (tmp_path / "relay.yaml").symlink_to(tmp_path / "..data" / "relay.yaml")
    rig = Rig(tmp_path / "relay.yaml")
    (tmp_path / "..data_tmp").symlink_to(tmp_path / "2")
    (tmp_path / "..data_tmp").rename(tmp_path / "..data")
    await rig.steps(2)
    assert rig.url == "https://elsewhere/"


async def test_who_asks_gets_it_at_once(rig: Rig, logged: list[Any]) -> None:
    rig.write(MOVED)
    await rig.ask()
    assert rig.url == "https://elsewhere/"
    (line,) = logged
    assert (line["event"], line["changed"], line["added"], line["removed"]) == (
        "configuration reloaded",
        ["billing"],
        [],
        [],
    )
    await rig.ask()  # and again though nothing changed: whoever asks is told
    assert [line["changed"] for line in logged] == [["billing"], []]


async def test_a_bad_file_is_refused_and_told_once(rig: Rig, logged: list[Any]) -> None:
    rig.write(WRONG)
    await rig.steps(5)
    assert rig.running.asked == 0
    (line,) = logged
    assert (line["event"], line["log_level"]) == (REFUSED, "error")
    assert line["error"].startswith(f'{rig.path}:6: callback: unknown key; did you mean "callbacks"?')
    assert rig.metric("successful") == 0
    assert rig.metric("success_timestamp_seconds") == 1
    hint = rig.health.degraded["configuration"]
    assert hint.startswith("refused, the one before stays in use: ")
    assert "6: callback: unknown key" in hint
    await rig.ask()
    assert [line["event"] for line in logged] == [REFUSED, REFUSED]

    rig.write(FIRST)
    await rig.steps(2)
    assert rig.metric("successful") == 1
    assert rig.health.degraded == {}


async def test_a_file_that_is_gone_for_a_moment_is_no_matter(rig: Rig) -> None:
    rig.path.rename(rig.path.with_suffix(".old"))
    await rig.steps(1)
    rig.path.with_suffix(".old").rename(rig.path)
    await rig.steps(2)
    assert rig.health.degraded == {}


async def test_a_file_that_stays_gone_is_refused(rig: Rig) -> None:
    rig.path.unlink()
    await rig.steps(2)
    assert "cannot be read: No such file or directory" in rig.health.degraded["configuration"]


async def test_certificates_that_cannot_be_used_refuse_the_file(rig: Rig) -> None:
    rig.running.errors = [TlsFilesUnusable("callback billing: cannot use ca.pem")]
    rig.write(MOVED)
    await rig.ask()
    assert rig.followed == []
    assert "cannot use ca.pem" in rig.health.degraded["configuration"]


async def test_what_was_refused_for_another_file_is_tried_again(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [100.0]
    monkeypatch.setattr(reloading.time, "monotonic", lambda: clock[0])
    secret = rig.path.with_name("secret")
    rig.write(FIRST.replace("whsec_Y2FuYXJ5LXdlYmhvb2s=", f"{{file: {secret}}}"))
    await rig.ask()
    secret.write_text("whsec_b3RoZXI=")
    await rig.steps(3)
    assert rig.metric("successful") == 0
    clock[0] += RETRY_SECONDS
    await rig.steps(1)
    assert rig.metric("successful") == 1


async def test_a_journal_that_fails_is_asked_again(rig: Rig) -> None:
    rig.running.errors = [JournalError("full")]
    rig.write(MOVED)
    rig.asked.set()
    with pytest.raises(JournalError):
        await rig.reloading.step()
    assert rig.followed == []
    await rig.steps(1)
    assert rig.url == "https://elsewhere/"


async def test_renewed_certificates_are_taken_up_although_the_file_is_the_same(tmp_path: Path) -> None:
    authorities = tmp_path / "ca.pem"
    authorities.write_text("one")
    rig = Rig(tmp_path / "relay.yaml")
    rig.write(FIRST.replace("{name", f"{{ca_file: {authorities}, name"))
    await rig.ask()
    await rig.steps(3)
    assert rig.running.asked == 1
    authorities.write_text("another")
    await rig.steps(2)
    assert rig.running.asked == 2


async def test_secrets_are_renewed_where_they_are_used_and_masked_from_then(rig: Rig, logged: list[Any]) -> None:
    token = rig.config.sources[0].auth.token
    assert token is not None
    rig.write(FIRST.replace("canary-key", "renewed-key"))
    await rig.ask()
    assert token.reveal() == "renewed-key"
    assert logged[-1]["renewed"] == ["sources[0].auth.token"]
    assert "renewed-key" in set(rig.file.secret_texts())


async def test_secrets_in_use_stay_masked_while_another_file_is_refused(rig: Rig) -> None:
    rig.running.errors = [TlsFilesUnusable("no")]
    rig.write(FIRST.replace("canary-key", "renewed-key"))
    await rig.ask()
    assert {"canary-key", "renewed-key"} <= set(rig.file.secret_texts())


async def test_what_needs_a_restart_is_named_until_it_is_as_before(rig: Rig, logged: list[Any]) -> None:
    rig.write(MOVED + "dedup: {revisions: inline}\nlog: {level: debug}\n")
    await rig.ask()
    assert rig.url == "https://elsewhere/"
    assert logged[-1]["keys"] == ["dedup.revisions", "log.level"]
    assert rig.health.degraded == {"configuration": "needs a restart for dedup.revisions, log.level"}
    assert rig.followed[-1].dedup.revisions == "separate"
    rig.write(MOVED)
    await rig.ask()
    assert rig.health.degraded == {}


async def test_advice_that_is_new_is_told(rig: Rig, logged: list[Any]) -> None:
    rig.write(FIRST.replace(", secrets: [whsec_Y2FuYXJ5LXdlYmhvb2s=]", ""))
    await rig.ask()
    await rig.ask()
    advice = [line for line in logged if line["event"] == "configuration advice"]
    assert [line["key"] for line in advice] == ["callbacks[0].secrets"]


@pytest.mark.parametrize("content", [None, b"", b"\xff", b"no signing key"])
async def test_a_secret_file_that_cannot_be_used_any_more_is_told_until_it_can(
    tmp_path: Path, logged: list[Any], content: bytes | None
) -> None:
    key = tmp_path / "key"
    key.write_text("whsec_Y2FuYXJ5LXdlYmhvb2s=")
    path = tmp_path / "relay.yaml"
    rig = Rig(path, FIRST.replace("secrets: [whsec_Y2FuYXJ5LXdlYmhvb2s=]", f"secrets: [{{file: {key}}}]"))
    await rig.steps(3)
    assert rig.running.asked == 0

    key.unlink()
    if content is not None:
        key.write_bytes(content)
    await rig.steps(4)
    (refused,) = [line for line in logged if line["event"] == REFUSED]
    assert "callbacks[0].secrets[0]" in refused["error"]
    assert (rig.metric("successful"), "configuration" in rig.health.degraded) == (0, True)

    key.write_text("whsec_Y2FuYXJ5LXdlYmhvb2s=")
    await rig.steps(2)
    assert (rig.metric("successful"), "configuration" in rig.health.degraded) == (1, False)


async def test_a_secret_file_that_is_gone_for_a_moment_is_no_matter(tmp_path: Path, logged: list[Any]) -> None:
    key = tmp_path / "key"
    key.write_text("canary-key")
    rig = Rig(tmp_path / "relay.yaml", FIRST.replace("token: canary-key", f"token: {{file: {key}}}"))
    await rig.steps(1)
    key.unlink()
    await rig.steps(1)
    key.write_text("another-key")
    await rig.steps(3)
    assert (rig.running.asked, logged) == (0, [])
    assert rig.config.sources[0].auth.token is not None
    assert rig.config.sources[0].auth.token.reveal() == "another-key"
