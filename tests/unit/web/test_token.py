"""The API's token: configured, or made once beside the journal."""

import stat
from pathlib import Path

import pytest

from relay.config import Config, Secret
from relay.web import api_token


def config(directory: Path, **http: object) -> Config:
    return Config.model_validate(
        {
            "sources": [{"name": "a", "base_url": "http://x", "auth": {"type": "bearer", "token": "t"}}],
            "journal": {"url": f"sqlite:///{directory}/relay.db"},
            "http": http,
        }
    )


def test_the_configured_token(tmp_path: Path) -> None:
    assert api_token(config(tmp_path, token="mine")) == Secret("mine")
    assert list(tmp_path.iterdir()) == []


def test_a_token_is_made_once_and_readable_by_its_owner_only(tmp_path: Path) -> None:
    first = api_token(config(tmp_path)).reveal()
    file = tmp_path / "relay.token"
    assert file.read_text() == first + "\n"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert len(first) >= 40
    assert api_token(config(tmp_path)).reveal() == first
    assert [path.name for path in tmp_path.iterdir()] == ["relay.token"]


def test_two_journals_have_two_tokens(tmp_path: Path) -> None:
    tokens = set()
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        tokens.add(api_token(config(tmp_path / name)).reveal())
    assert len(tokens) == 2


def test_an_empty_file_left_by_a_crash_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "relay.token").write_text("")
    assert api_token(config(tmp_path)).reveal()


def test_a_replaced_token_is_used_without_a_restart(tmp_path: Path) -> None:
    token = api_token(config(tmp_path))
    token.reveal()
    (tmp_path / "relay.token").write_text("renewed\n")
    assert token.reveal() == "renewed"


def test_no_directory(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        api_token(config(tmp_path / "none"))
