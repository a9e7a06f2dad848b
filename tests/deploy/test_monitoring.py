"""Dashboard and alert rules speak of metrics that exist, and of all of them."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from relay.domain.figures import CallbackFigures, JournalFigures, Recorded, StreamFigures
from relay.domain.report import Origin, Stream
from relay.observe import Telemetry
from tests.deploy.conftest import Run

STREAM = Stream("acme", "sms")


@pytest.fixture(scope="module")
def samples() -> dict[str, set[str]]:
    """Every sample relay can expose, with the names of its labels."""
    telemetry = Telemetry()
    telemetry.poll_finished(STREAM, "reports", 0.1)
    telemetry.poll_succeeded(STREAM, 1_000)
    telemetry.polling_paused(STREAM, "disk")
    telemetry.source_authorized("acme", True)
    telemetry.fetch_unpacked(STREAM, Origin.POLL, Recorded(1, 1, 1, 1))
    telemetry.transaction_finished("committed", 0.1)
    telemetry.records_published("infobip.sms.reports", 1)
    telemetry.published(STREAM, [1_000], 2_000)
    telemetry.attempt_finished("billing", "delivered", 0.1)
    telemetry.callback_paused("billing", False)
    telemetry.gap_ended(STREAM, "recovered")
    telemetry.recording_finished("acme", "stored")
    stream = StreamFigures(
        fetches_pending=1,
        unpublished=1,
        oldest_unpublished_at_ms=1,
        gaps_open=1,
        oldest_open_gap_at_ms=1,
        quarantine_entries=1,
        last_success_at_ms=1,
        last_seq=1,
        kafka_position=1,
    )
    callback = CallbackFigures(backlog=1, oldest_backlog_at_ms=1, dead_letters=1)
    telemetry.figures(
        JournalFigures(
            streams={STREAM: stream}, callbacks={"billing": callback}, size_bytes=1, free_bytes=1, writable=True
        )
    )
    return {
        sample.name: set(sample.labels)
        for family in telemetry.registry.collect()
        for sample in family.samples
        if not sample.name.endswith("_created")
    }


def dashboard_expressions(root: Path) -> Iterator[str]:
    dashboard = json.loads((root / "helm/dashboards/relay.json").read_text())
    for panel in dashboard["panels"]:
        yield from (target["expr"] for target in panel.get("targets", []))
    for variable in dashboard["templating"]["list"]:
        if variable["type"] == "query":
            yield variable["definition"]


def alerts(root: Path) -> list[dict[str, Any]]:
    rules = YAML(typ="safe").load(root / "helm/rules/alerts.yaml")
    return [rule for group in rules["groups"] for rule in group["rules"]]


def metrics_in(expression: str) -> set[str]:
    return set(re.findall(r"\b(?:relay|process)_[a-z0-9_]+", expression))


def test_every_metric_of_the_dashboard_exists(root: Path, samples: dict[str, set[str]]) -> None:
    used = set().union(*map(metrics_in, dashboard_expressions(root)))
    assert used - set(samples) == set()


def test_every_metric_of_the_alerts_exists(root: Path, samples: dict[str, set[str]]) -> None:
    used = set().union(*(metrics_in(alert["expr"]) for alert in alerts(root)))
    assert used - set(samples) == set()


def test_the_dashboard_shows_every_metric(root: Path, samples: dict[str, set[str]]) -> None:
    shown = {re.sub(r"_bucket$", "", name) for text in dashboard_expressions(root) for name in metrics_in(text)}
    families = {re.sub(r"_(bucket|count|sum)$", "", name) for name in samples if name.startswith("relay_")}
    assert families - shown == set()


def test_labels_in_selectors_are_the_metrics_own(root: Path, samples: dict[str, set[str]]) -> None:
    wrong = [
        (name, label)
        for text in [*dashboard_expressions(root), *(alert["expr"] for alert in alerts(root))]
        for name, selector in re.findall(r"\b(relay_[a-z0-9_]+)\{([^}]*)\}", text)
        for label in re.findall(r"([a-z_]+)\s*[=!]", selector)
        if label != "job" and label not in samples[name]
    ]
    assert wrong == []


def test_panels_do_not_overlap(root: Path) -> None:
    taken: dict[tuple[int, int], str] = {}
    for panel in json.loads((root / "helm/dashboards/relay.json").read_text())["panels"]:
        place = panel["gridPos"]
        for x in range(place["x"], place["x"] + place["w"]):
            for y in range(place["y"], place["y"] + place["h"]):
                assert x < 24
                assert taken.setdefault((x, y), panel["title"]) == panel["title"]


def test_every_alert_says_how_bad_it_is_and_what_it_means(root: Path) -> None:
    for alert in alerts(root):
        assert alert["labels"]["severity"] in {"critical", "warning"}
        assert set(alert["annotations"]) == {"summary", "description"}


def test_every_alert_is_seen_firing_in_the_rules_own_tests(root: Path) -> None:
    tests = YAML(typ="safe").load(root / "helm/rules/alerts_test.yaml")["tests"]
    fired = {case["alertname"] for test in tests for case in test["alert_rule_test"] if case.get("exp_alerts")}
    assert {alert["alert"] for alert in alerts(root)} - fired == set()


def test_promtool_accepts_the_rules(promtool: Run) -> None:
    done = promtool("check", "rules", "helm/rules/alerts.yaml")
    assert done.returncode == 0, done.stdout + done.stderr


def test_alerts_fire_when_they_should_and_only_then(promtool: Run) -> None:
    done = promtool("test", "rules", "helm/rules/alerts_test.yaml")
    assert done.returncode == 0, done.stdout + done.stderr
