"""The pins: every package by hash, from no particular registry, one version in all files, and all that is asked for."""

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

FILES = ("requirements.txt", "requirements-demo.txt", "requirements-dev.txt", "requirements-build.txt")


DISTRIBUTIONS = {"ruamel": "ruamel.yaml", "pydantic_core": "pydantic", "_pytest": "pytest"}
"""Top-level modules that are called otherwise than what is installed, or come with it."""


def imports_of(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module.split(".")[0]


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


@pytest.mark.parametrize(("folder", "extras"), [("relay", ("demo",)), ("tests", ("demo", "dev"))])
def test_what_is_imported_is_asked_for(root: Path, folder: str, extras: tuple[str, ...]) -> None:
    asked = {canonicalize_name(requirement.name) for requirement in wanted(root, *extras)}
    imported = {name for file in (root / folder).rglob("*.py") for name in imports_of(file)}
    beside_each_other = {file.stem for file in (root / "tests/sabotage").glob("*.py")}
    third_party = imported - sys.stdlib_module_names - {"relay", "tests"} - beside_each_other
    assert {canonicalize_name(DISTRIBUTIONS.get(name, name)) for name in third_party} - asked == set()


def test_the_demo_installs_no_tool_for_developers(root: Path) -> None:
    assert {"pytest", "mypy", "ruff", "hypothesis"}.isdisjoint(pins(root / "requirements-demo.txt"))
