"""A configuration whose addresses are here or nowhere, and the command line to give it to."""

import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from relay.cli.commands import app
from tests.logging_state import logging_restored

CONFIG = """\
instance: relay-0
sources:
  - name: acme
    base_url: http://127.0.0.1:{port}
    auth: {{type: basic, username: me, password: canary-password}}
journal: {{url: "sqlite:///{directory}/relay.db"}}
callbacks:
  - name: billing
    url: http://127.0.0.1:{port}/hook?key=canary-key
    secrets: [whsec_Y2FuYXJ5LXdlYmhvb2stb2YtdGhpcnR5LWJ5dGVz]
http: {{host: 127.0.0.1, port: 0, token: canary-token-for-the-api}}
log: {{level: info, format: json}}
"""


@pytest.fixture(autouse=True)
def _logging_as_before() -> Iterator[None]:
    with logging_restored():
        yield


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        yield listening


@pytest.fixture
def config_file(tmp_path: Path, listener: socket.socket) -> Path:
    file = tmp_path / "relay.yaml"
    file.write_text(CONFIG.format(port=listener.getsockname()[1], directory=tmp_path), encoding="utf-8")
    return file


@pytest.fixture
def relay_command() -> Callable[..., Result]:
    def invoke(*arguments: str | Path, **environ: str) -> Result:
        return CliRunner().invoke(app, [str(argument) for argument in arguments], env=environ)

    return invoke
