"""Fail points: which are armed, and that nothing happens where none is."""

import os
import signal
import subprocess
import sys

import pytest

from relay.observe import failpoints
from relay.observe.failpoints import BadFailPoint, Point, armed


def test_without_the_variable_a_point_does_nothing() -> None:
    assert failpoints.VARIABLE not in os.environ
    assert failpoints.reach is failpoints._nothing
    failpoints.reach(Point.INTAKE_MARKED)


@pytest.mark.parametrize(
    ("value", "meant"),
    [
        ("", {}),
        ("intake.marked", {Point.INTAKE_MARKED: 1}),
        ("publish.committed@3", {Point.PUBLISH_COMMITTED: 3}),
        ("publish.sent@12, unpack.claimed", {Point.PUBLISH_SENT: 12, Point.UNPACK_CLAIMED: 1}),
    ],
)
def test_the_variable_names_points_and_hits(value: str, meant: dict[Point, int]) -> None:
    assert armed({"RELAY_FAILPOINT": value}) == meant
    assert armed({}) == {}


@pytest.mark.parametrize("value", ["publish", "publish.sent@0", "publish.sent@x", "publish.sent@-1", ",", "@1"])
def test_what_names_no_point_is_refused_with_those_there_are(value: str) -> None:
    with pytest.raises(BadFailPoint, match=r"RELAY_FAILPOINT.*intake\.marked, intake\.reading"):
        armed({"RELAY_FAILPOINT": value})


def test_the_process_dies_at_the_hit_meant_and_not_before() -> None:
    program = (
        "from relay.observe.failpoints import Point, reach\n"
        "for hit in range(1, 9):\n"
        "    print(hit, flush=True)\n"
        "    reach(Point.DELIVER_POSTED)\n"
        "    reach(Point.PUBLISH_SENT)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "RELAY_FAILPOINT": "publish.sent@3"},
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert done.stdout.split() == ["1", "2", "3"]
