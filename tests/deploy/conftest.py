"""The tools that look at what is deployed: helm, promtool, hadolint. A missing one skips, or fails where required."""

import os
import shutil
import subprocess
import sysconfig
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

ROOT = Path(__file__).resolve().parents[2]
KUBERNETES = "1.33"

Run = Callable[..., subprocess.CompletedProcess[str]]
Render = Callable[..., list[dict[str, Any]]]


@pytest.fixture(scope="session")
def root() -> Path:
    return ROOT


@pytest.fixture(scope="session")
def helm() -> Run:
    return _tool("helm")


@pytest.fixture(scope="session")
def promtool() -> Run:
    return _tool("promtool")


@pytest.fixture(scope="session")
def hadolint() -> Run:
    return _tool("hadolint")


@pytest.fixture(scope="session")
def render(helm: Run) -> Render:
    """`render(*arguments)`: the manifests of the chart; helm must succeed."""

    def manifests(*arguments: str) -> list[dict[str, Any]]:
        done = helm("template", "test", "helm", "--kube-version", KUBERNETES, *arguments)
        assert done.returncode == 0, done.stderr
        return [document for document in YAML(typ="safe").load_all(done.stdout) if document]

    return manifests


def _tool(name: str) -> Run:
    folders = [str(ROOT / ".cache" / "bin"), sysconfig.get_path("scripts"), os.environ.get("PATH", "")]
    path = shutil.which(name, path=os.pathsep.join(folders))
    if path is None:
        missing = f"{name} is not on this machine (`make tools` fetches it where it can)"
        if os.environ.get("RELAY_REQUIRE_SERVERS") == "1":
            pytest.fail(missing)
        pytest.skip(missing)

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([path, *arguments], cwd=ROOT, text=True, capture_output=True, check=False, timeout=60)

    return run
