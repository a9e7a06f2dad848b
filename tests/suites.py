"""Run every suite, quickest first, and close with one line of counts.

``python -m tests.suites [--only SUITE] [PYTEST ARGUMENTS]``; with RELAY_COVERAGE=1 branches are counted, which takes
three times as long. A failing suite does not stop the next one; an empty suite
fails, unless tests were selected by arguments. Exit code 0 only if everything passed.
"""

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / ".cache" / "results"
SUITES = ("unit", "deploy", "conformance", "integration", "crash", "e2e")
MEASURED = frozenset({"unit", "conformance", "integration"})
"""Suites that run relay inside the test process, so that measuring coverage means something."""
WORKERS = {"unit": 3, "crash": 2}
"""Of suites whose tests share nothing, not even a port. They wait a part of their time, those of crash most of it, each
worker on a broker of its own."""
NO_TESTS_COLLECTED = 5


class Outcome(NamedTuple):
    suite: str
    passed: int
    failed: int
    skipped: Counter[str]
    exit_code: int


def main(arguments: Sequence[str]) -> int:
    suites, pytest_arguments = _split(arguments)
    RESULTS.mkdir(parents=True, exist_ok=True)
    (ROOT / ".coverage").unlink(missing_ok=True)
    outcomes = [_run(suite, pytest_arguments) for suite in suites]
    if _measuring() and MEASURED.intersection(suites):
        _say("coverage")
        subprocess.run([sys.executable, "-m", "coverage", "report", "--skip-covered"], cwd=ROOT, check=False)
    return _close(outcomes)


def _split(arguments: Sequence[str]) -> tuple[Sequence[str], list[str]]:
    if arguments[:1] != ["--only"]:
        return SUITES, list(arguments)
    if arguments[1:2] and arguments[1] in SUITES:
        return (arguments[1],), list(arguments[2:])
    raise SystemExit(f"--only takes one of: {', '.join(SUITES)}")


def _run(suite: str, pytest_arguments: list[str]) -> Outcome:
    _say(suite)
    report = RESULTS / f"{suite}.xml"
    report.unlink(missing_ok=True)
    command = [sys.executable, "-m", "pytest", f"tests/{suite}", f"--junitxml={report}", *pytest_arguments]
    if suite in WORKERS:
        command += ["-n", str(WORKERS[suite]), "--dist", "worksteal"]
    if suite in MEASURED and _measuring():
        command += ["--cov", "--cov-append", "--cov-report="]
    exit_code = subprocess.run(command, cwd=ROOT, env=_environment(), check=False).returncode
    if exit_code == NO_TESTS_COLLECTED and pytest_arguments:
        exit_code = 0
    return _read(suite, report, exit_code)


def _environment() -> dict[str, str]:
    """What is compiled is kept: else every worker, and every process that a test starts, compiles it anew."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def _measuring() -> bool:
    return os.environ.get("RELAY_COVERAGE") == "1"


def _read(suite: str, report: Path, exit_code: int) -> Outcome:
    if not report.exists():
        return Outcome(suite, 0, 1, Counter(), exit_code or 1)
    passed = failed = 0
    skipped: Counter[str] = Counter()
    for case in ElementTree.parse(report).iter("testcase"):
        skip = case.find("skipped")
        if case.find("failure") is not None or case.find("error") is not None:
            failed += 1
        elif skip is not None:
            skipped[skip.get("message", "no reason given")] += 1
        else:
            passed += 1
    return Outcome(suite, passed, failed, skipped, exit_code)


def _close(outcomes: Sequence[Outcome]) -> int:
    _say("summary")
    for outcome in outcomes:
        verdict = "ok" if outcome.exit_code == 0 else f"FAILED (pytest exit code {outcome.exit_code})"
        counts = _counts(outcome.passed, outcome.failed, outcome.skipped.total())
        print(f"{outcome.suite:<12} {counts:<40} {verdict}")
        for reason, count in outcome.skipped.items():
            print(f"{'':<12} skipped {count}: {reason}")
    failed = sum(max(outcome.failed, int(outcome.exit_code != 0)) for outcome in outcomes)
    skipped = sum(outcome.skipped.total() for outcome in outcomes)
    print(f"total: {_counts(sum(outcome.passed for outcome in outcomes), failed, skipped)}", flush=True)
    return int(failed > 0)


def _counts(passed: int, failed: int, skipped: int) -> str:
    return f"{passed} passed, {failed} failed, {skipped} skipped"


def _say(title: str) -> None:
    print(f"\n=== {title} {'=' * max(0, 100 - len(title))}", flush=True)


if __name__ == "__main__":
    os.chdir(ROOT)
    sys.exit(main(sys.argv[1:]))
