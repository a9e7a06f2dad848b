"""The runner of all suites: counts what happened, closes with one line, and is never green by accident."""

from collections import Counter
from pathlib import Path

import pytest

from tests.suites import SUITES, Outcome, _close, _environment, _read, _split

REPORT = """<testsuites><testsuite name="pytest">
<testcase name="a"/><testcase name="b"/>
<testcase name="c"><failure message="no"/></testcase>
<testcase name="d"><error message="no"/></testcase>
<testcase name="e"><skipped message="Kafka is not on this machine"/></testcase>
<testcase name="f"><skipped message="Kafka is not on this machine"/></testcase>
</testsuite></testsuites>"""


def outcome(*, failed: int = 0, exit_code: int = 0) -> Outcome:
    return Outcome("unit", 3, failed, Counter({"no Java": 2}), exit_code)


def test_counts_come_from_the_report(tmp_path: Path) -> None:
    (tmp_path / "unit.xml").write_text(REPORT)
    read = _read("unit", tmp_path / "unit.xml", 1)
    assert read == Outcome("unit", 2, 2, Counter({"Kafka is not on this machine": 2}), 1)


def test_a_suite_that_left_no_report_has_failed(tmp_path: Path) -> None:
    assert _read("unit", tmp_path / "none.xml", 0) == Outcome("unit", 0, 1, Counter(), 1)


def test_the_last_line_counts_everything(capsys: pytest.CaptureFixture[str]) -> None:
    assert _close([outcome(), outcome()]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == "total: 6 passed, 0 failed, 4 skipped"
    assert "skipped 2: no Java" in lines[-2]


@pytest.mark.parametrize("bad", [outcome(failed=1, exit_code=1), outcome(exit_code=5), outcome(exit_code=-9)])
def test_whatever_pytest_does_not_end_well_is_a_failure(bad: Outcome, capsys: pytest.CaptureFixture[str]) -> None:
    assert _close([outcome(), bad, outcome()]) == 1
    assert capsys.readouterr().out.splitlines()[-1] == "total: 9 passed, 1 failed, 6 skipped"


def test_one_suite_can_be_chosen() -> None:
    assert _split(["--only", "crash", "-k", "sigkill"]) == (("crash",), ["-k", "sigkill"])
    assert _split(["-x"]) == (SUITES, ["-x"])


def test_a_suite_that_does_not_exist_is_refused() -> None:
    with pytest.raises(SystemExit, match="unit, deploy, conformance"):
        _split(["--only", "smoke"])


def test_what_is_compiled_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    monkeypatch.setenv("RELAY_REQUIRE_SERVERS", "1")
    assert "PYTHONDONTWRITEBYTECODE" not in _environment()
    assert _environment()["RELAY_REQUIRE_SERVERS"] == "1"


def test_every_folder_of_tests_is_a_suite(root: Path) -> None:
    folders = {path.relative_to(root / "tests").parts[0] for path in (root / "tests").rglob("test_*.py")}
    assert folders - set(SUITES) == set()
