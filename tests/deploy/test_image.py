"""Dockerfile and compose file: linted, and what they name is there."""

import re
from pathlib import Path

from ruamel.yaml import YAML

from relay.config import load
from tests.deploy.conftest import Run


def instructions(root: Path) -> list[str]:
    text = (root / "Dockerfile").read_text().replace("\\\n", " ")
    return [line for line in text.splitlines() if line and not line.startswith("#")]


def test_hadolint_finds_nothing(hadolint: Run) -> None:
    done = hadolint("Dockerfile")
    assert done.returncode == 0, done.stdout


def test_the_last_stage_is_nobody_and_holds_no_build_tool(root: Path) -> None:
    lines = instructions(root)
    start = max(index for index, line in enumerate(lines) if line.startswith("FROM "))
    last = lines[start:]
    assert "USER 10001:10001" in last
    assert "STOPSIGNAL SIGTERM" in last
    assert not any("pip" in line for line in last)


def test_everything_that_is_copied_is_let_through(root: Path) -> None:
    copied = [line.split()[1:-1] for line in instructions(root) if re.match(r"COPY (?!--from)", line)]
    allowed = {line[1:] for line in (root / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    sources = {source for names in copied for source in names}
    assert sources <= allowed
    assert all((root / source).exists() for source in allowed)


def test_what_the_image_installs_is_pinned_by_hash(root: Path) -> None:
    installs = [line for line in instructions(root) if "--requirement" in line]
    assert len(installs) == 2
    assert all("--require-hashes" in line for line in installs)


def test_relay_takes_the_configuration_of_the_compose_file(root: Path) -> None:
    compose = YAML(typ="safe").load(root / "compose.yaml")
    config = load(root / ".compose/relay.yaml", compose["services"]["relay"]["environment"])
    assert config.sources[0].base_url == "http://simulator:8081"
    assert "./.compose/relay.yaml:/etc/relay/relay.yaml:ro" in compose["services"]["relay"]["volumes"]


def test_the_compose_file_names_what_exists(root: Path) -> None:
    compose = YAML(typ="safe").load(root / "compose.yaml")
    services = compose["services"]
    for service in services.values():
        assert set(service.get("depends_on", [])) <= set(services)
        for volume in service.get("volumes", []):
            name = volume.split(":")[0]
            assert (root / name).exists() if name.startswith(".") else name in compose["volumes"]


def test_the_compose_file_opens_no_port_to_the_network(root: Path) -> None:
    compose = YAML(typ="safe").load(root / "compose.yaml")
    ports = [port for service in compose["services"].values() for port in service.get("ports", [])]
    assert len(ports) == 5
    assert all(port.startswith("127.0.0.1:") for port in ports)
