"""Callbacks on a machine that has metadata services: in a network namespace whose loopback has their addresses."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
METADATA = [
    "http://169.254.169.254/",
    "http://[::ffff:169.254.169.254]/",
    "http://[::ffff:a9fe:a9fe]/",
    "http://100.100.100.200/",
    "http://[::ffff:100.100.100.200]/",
    "http://[fd00:ec2::254]/",
    "http://2852039166/",
    "http://0xa9fea9fe/",
]
NEIGHBOURS = ["http://10.1.2.3/", "http://[fd12:3456::1]/", "http://127.0.0.1/"]


def machine(*arguments: str) -> Any:
    """What `tests.receivers.metadata` told."""
    done = subprocess.run(
        ["unshare", "--net", sys.executable, "-m", "tests.receivers.metadata", *arguments],
        cwd=ROOT,
        text=True,
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(autouse=True)
def _namespaces() -> None:
    if shutil.which("ip") is None or shutil.which("unshare") is None:
        pytest.skip("ip and unshare are not on this machine")
    tried = ["unshare", "--net", "ip", "link", "set", "lo", "up"]
    if subprocess.run(tried, check=False, capture_output=True, timeout=20).returncode != 0:
        pytest.skip("network namespaces need root")


def test_a_plain_client_would_reach_them() -> None:
    told = machine("--open", *METADATA[:6])
    assert told == {"told": [[200, "", ""]] * 6, "connections": 6}


def test_no_spelling_of_them_is_connected_to() -> None:
    told = machine(*METADATA)
    assert told["connections"] == 0
    assert [status for status, _, _ in told["told"]] == [None] * 8
    assert all(error.startswith("address: ") for _, error, _ in told["told"]), told


def test_private_neighbours_on_that_machine_get_their_callbacks() -> None:
    assert machine(*NEIGHBOURS) == {"told": [[200, "", "secret"]] * 3, "connections": 3}
