"""A configuration file to change one thing of."""

from collections.abc import Callable
from pathlib import Path
from textwrap import dedent

import pytest

from relay.config import Config, ConfigError, load

Loader = Callable[..., Config]

MINIMAL = """\
sources:
  - name: acme
    base_url: https://xyz.api.infobip.com
    auth: {type: api_key, token: "${INFOBIP_API_KEY}"}
journal: {url: "sqlite:////var/lib/relay/relay.db"}
kafka: {bootstrap_servers: "localhost:9092"}
"""
ENVIRON = {"INFOBIP_API_KEY": "canary-api-key"}


@pytest.fixture
def loads(tmp_path: Path) -> Loader:
    """Load YAML text with an environment."""

    def loader(text: str = MINIMAL, **environ: str) -> Config:
        file = tmp_path / "relay.yaml"
        file.write_text(dedent(text), encoding="utf-8")
        return load(file, ENVIRON | environ)

    return loader


@pytest.fixture
def refused(loads: Loader) -> Callable[..., list[str]]:
    """The lines of the error, without the file's directory."""

    def errors(text: str, **environ: str) -> list[str]:
        with pytest.raises(ConfigError) as caught:
            loads(text, **environ)
        directory = caught.value.file.removesuffix("relay.yaml")
        return [line.removeprefix(directory) for line in str(caught.value).splitlines()]

    return errors
