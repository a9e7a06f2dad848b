"""Secrets: renewed with their file, shown nowhere."""

import copy
import os
import pickle
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest

from relay.config import Config, ConfigError, Secret, SecretUnreadable, secret_texts, summary

Loader = Callable[..., Config]

CANARIES = """\
sources:
  - name: acme
    base_url: https://xyz.api.infobip.com
    auth: {type: basic, username: me, password: canary-one}
    proxy: http://me:canary-two@proxy:3128
journal: {url: "sqlite:////tmp/relay.db"}
kafka:
  bootstrap_servers: localhost
  security: {protocol: SASL_SSL, mechanism: PLAIN, username: me, password: canary-three}
callbacks:
  - name: billing
    url: https://billing.internal/hook?key=canary-four
    secrets: [whsec_Y2FuYXJ5LWZpdmU=]
    headers: {Authorization: Bearer canary-six}
http: {token: canary-seven}
"""
HIDDEN = ["canary", "Y2FuYXJ5"]


def test_a_file_is_read_again_when_it_changed(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("first\n")
    secret = Secret(file=file)
    assert secret.reveal() == "first"
    file.write_text("second\r\n")
    assert secret.reveal() == "second"


def test_a_file_replaced_by_a_rename_is_read_again(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("aaaa")
    secret = Secret(file=file)
    assert secret.reveal() == "aaaa"
    before = file.stat()
    other = tmp_path / "new"
    other.write_text("bbbb")
    os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns))
    other.replace(file)
    assert secret.reveal() == "bbbb"


def test_an_unchanged_file_is_not_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "token"
    file.write_text("first")
    secret = Secret(file=file)
    secret.reveal()
    monkeypatch.setattr(Path, "read_text", lambda *_a, **_k: pytest.fail("read again"))
    assert secret.reveal() == "first"


@pytest.mark.parametrize("content", [None, "", "\n", b"\xff"])
def test_a_file_gone_or_empty_for_a_moment_leaves_the_last_value(tmp_path: Path, content: str | bytes | None) -> None:
    file = tmp_path / "token"
    file.write_text("first")
    secret = Secret(file=file)
    secret.reveal()
    file.unlink()
    if content is not None:
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
    assert secret.reveal() == "first"


def test_a_file_that_never_held_a_value(tmp_path: Path) -> None:
    with pytest.raises(SecretUnreadable, match=r"cannot read .*/none: No such file or directory"):
        Secret(file=tmp_path / "none").reveal()
    (tmp_path / "empty").write_text("\n")
    with pytest.raises(SecretUnreadable, match="empty is empty"):
        Secret(file=tmp_path / "empty").reveal()


def test_only_the_newline_at_the_end_is_cut(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("  a b  \n")
    assert Secret(file=tmp_path / "token").reveal() == "  a b  "


def test_secrets_compare_by_what_they_are() -> None:
    assert Secret("a") == Secret("a")
    assert Secret("a") != Secret("b")
    assert Secret(file=Path("a")) == Secret(file=Path("a"))
    assert Secret("a") != Secret(file=Path("a"))
    assert copy.deepcopy(Secret("a")) == Secret("a")
    assert len({Secret("a"), Secret("a"), Secret("b")}) == 2


def test_no_text_form_of_a_configuration_shows_a_secret(loads: Loader) -> None:
    config = loads(CANARIES)
    without_query = config.model_copy(update={"callbacks": ()})
    shown = [
        repr(without_query),
        str(without_query),
        without_query.model_dump_json(),
        str(without_query.model_dump()),
        repr(config.http),
        f"{config.http.token}",
        repr(summary(config)),
    ]
    assert not [text for text in shown for canary in HIDDEN if canary in text]


def test_the_summary_says_that_a_secret_is_configured(loads: Loader) -> None:
    shown = summary(loads(CANARIES))
    assert shown["http"]["token"] == "configured"
    assert shown["sources"][0]["auth"] == {"type": "basic", "username": "me", "password": "configured"}
    assert shown["callbacks"][0]["secrets"] == ["configured"]
    assert shown["callbacks"][0]["url"] == "https://billing.internal/hook?configured"
    assert shown["journal"]["url"] == "sqlite:////tmp/relay.db"


def test_a_secret_is_not_pickled() -> None:
    with pytest.raises(TypeError):
        pickle.dumps(Secret("canary"))


def test_everything_secret_is_told_to_the_log(loads: Loader) -> None:
    texts = set(secret_texts(loads(CANARIES)))
    assert {
        "canary-one",
        "me:canary-one",
        "canary-two",
        "canary-three",
        "key=canary-four",
        "canary-four",
        "whsec_Y2FuYXJ5LWZpdmU=",
        "Y2FuYXJ5LWZpdmU=",
        "Bearer canary-six",
        "canary-six",
        "canary-seven",
    } <= texts


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("password: canary-one", "password: canary-one, tokn: canary-eight"),
        ("password: canary-three", "password: [canary-three]"),
        ("{token: canary-seven}", "{token: {fil: canary-seven}}"),
        ("port", "port"),
        ("proxy: http", "proxy: ftp"),
        ("whsec_Y2FuYXJ5LWZpdmU=", "whsec_canary"),
        ("Bearer canary-six", '"Bearer\\ncanary-six"'),
        ("name: billing", "name: billing\n    name: canary-nine"),
        ("https://xyz.api", "https://me:canary@xyz.api"),
        ("sqlite:////tmp/relay.db", "postgresql://me:canary@db/relay"),
        ("journal:", " journal: canary"),
    ],
)
def test_no_error_and_no_traceback_shows_a_secret(loads: Loader, before: str, after: str) -> None:
    broken = CANARIES.replace(before, after) + "nonsense: canary-ten\n"
    with pytest.raises(ConfigError) as caught:
        loads(broken)
    shown = "".join(traceback.format_exception(caught.value)) + str(caught.value) + repr(caught.value)
    frames_of_relay = shown.split("ConfigError", 1)[-1]
    assert not [canary for canary in HIDDEN if canary in frames_of_relay]
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
