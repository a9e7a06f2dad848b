"""The pins: every package by hash, from no particular registry, one version in all files, and all that is asked for."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

FILES = ("requirements.txt", "requirements-demo.txt", "requirements-dev.txt", "requirements-build.txt")


def pins(file: Path) -> dict[str, str]:
    return dict(re.findall(r"^([a-z0-9-]+)==(\S+)", file.read_text(), re.MULTILINE))


def wanted(root: Path, *extras: str) -> list[Requirement]:
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    texts = [*project["dependencies"], *(t for extra in extras for t in project["optional-dependencies"][extra])]
    return [Requirement(text) for text in texts]


@pytest.mark.parametrize("name", FILES)
def test_no_registry_is_named(root: Path, name: str) -> None:
    text = (root / name).read_text()
    assert re.findall(r"https?:|--(?:extra-)?index|--find-links|--trusted-host", text) == []


@pytest.mark.parametrize("name", FILES)
def test_every_package_has_hashes(root: Path, name: str) -> None:
    entries = re.split(r"^(?=[a-z0-9])", (root / name).read_text(), flags=re.MULTILINE)[1:]
    assert entries
    assert [entry.splitlines()[0] for entry in entries if "--hash=sha256:" not in entry] == []


@pytest.mark.parametrize("name", FILES)
def test_one_version_everywhere(root: Path, name: str) -> None:
    assert pins(root / name).items() <= pins(root / "requirements-dev.txt").items()


@pytest.mark.parametrize(
    ("name", "extras"),
    [("requirements.txt", ()), ("requirements-demo.txt", ("demo",)), ("requirements-dev.txt", ("demo", "dev"))],
)
def test_what_the_project_asks_for_is_pinned(root: Path, name: str, extras: tuple[str, ...]) -> None:
    pinned = pins(root / name)
    for requirement in wanted(root, *extras):
        assert requirement.specifier.contains(pinned[canonicalize_name(requirement.name)]), requirement.name


def test_the_demo_installs_no_tool_for_developers(root: Path) -> None:
    assert {"pytest", "mypy", "ruff", "hypothesis"}.isdisjoint(pins(root / "requirements-demo.txt"))
