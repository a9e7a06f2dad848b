"""Every metric of the contract exists, under its name and with its labels."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from relay.domain.figures import CallbackFigures, JournalFigures, Recorded, StreamFigures
from relay.domain.report import Origin, Stream
from relay.observe import Telemetry

README = Path(__file__).parents[3] / "README.md"
SMS = Stream("acme", "sms")

CONTRACT = {
    "relay_polls_total": {"source", "kind", "outcome"},
    "relay_poll_duration_seconds": set(),
    "relay_last_successful_poll_timestamp_seconds": {"source", "kind"},
    "relay_polling_paused": {"source", "kind", "reason"},
    "relay_fetches_pending": set(),
    "relay_reports_total": {"source", "kind", "origin", "outcome"},
    "relay_records_published_total": {"topic"},
    "relay_kafka_transactions_total": {"outcome"},
    "relay_kafka_transaction_duration_seconds": set(),
    "relay_unpublished_reports": {"source", "kind"},
    "relay_oldest_unpublished_timestamp_seconds": {"source", "kind"},
    "relay_publish_delay_seconds": {"kind"},
    "relay_callback_attempts_total": {"callback", "outcome"},
    "relay_callback_attempt_duration_seconds": {"callback"},
    "relay_callback_backlog_reports": {"callback"},
    "relay_callback_oldest_backlog_timestamp_seconds": {"callback"},
    "relay_callback_paused": {"callback"},
    "relay_dead_letters": {"callback"},
    "relay_dead_letters_ended_total": {"callback", "result"},
    "relay_gaps_open": {"source", "kind"},
    "relay_oldest_open_gap_timestamp_seconds": {"source", "kind"},
    "relay_gaps_ended_total": {"source", "kind", "result"},
    "relay_quarantine_entries": {"source", "kind"},
    "relay_source_authorized": {"source"},
    "relay_recordings_total": {"source", "outcome"},
    "relay_journal_size_bytes": set(),
    "relay_journal_free_bytes": set(),
    "relay_config_last_reload_successful": set(),
    "relay_config_last_reload_success_timestamp_seconds": set(),
    "relay_build_info": {"version", "python"},
}

FIGURES = JournalFigures(
    streams={
        SMS: StreamFigures(
            fetches_pending=2,
            unpublished=7,
            oldest_unpublished_at_ms=1_700_000_000_500,
            gaps_open=1,
            oldest_open_gap_at_ms=1_700_000_001_000,
            quarantine_entries=3,
            last_success_at_ms=1_700_000_002_000,
            last_seq=50,
            kafka_position=43,
        ),
        Stream("acme", "voice"): StreamFigures(
            fetches_pending=1,
            unpublished=0,
            oldest_unpublished_at_ms=None,
            gaps_open=0,
            oldest_open_gap_at_ms=None,
            quarantine_entries=0,
            last_success_at_ms=None,
            last_seq=0,
            kafka_position=None,
        ),
    },
    callbacks={
        "billing": CallbackFigures(
            backlog=5, oldest_backlog_at_ms=1_700_000_003_000, dead_letters=4, dropped=2, expired=1
        )
    },
    size_bytes=8192,
    free_bytes=1_000_000,
    writable=True,
)


@pytest.fixture
def telemetry() -> Telemetry:
    return Telemetry()


def samples(telemetry: Telemetry) -> dict[str, float]:
    """Value by sample, labels in the order of their names: `relay_polls_total{kind="sms",…}`."""
    return {
        sample.name + _labels(sample.labels): sample.value
        for family in text_string_to_metric_families(telemetry.exposition().decode())
        for sample in family.samples
    }


def _labels(labels: dict[str, str]) -> str:
    return "{" + ",".join(f'{name}="{value}"' for name, value in sorted(labels.items())) + "}" if labels else ""


def tell_everything(telemetry: Telemetry) -> None:
    telemetry.poll_finished(SMS, "ok", 0.2)
    telemetry.poll_succeeded(SMS, 1_700_000_000_000)
    telemetry.polling_paused(SMS, "disk")
    telemetry.source_authorized("acme", authorized=True)
    telemetry.fetch_unpacked(SMS, Origin.POLL, Recorded(new=5, duplicates=4, revisions=3, quarantined=2))
    telemetry.transaction_finished("committed", 0.01)
    telemetry.records_published("infobip.sms.reports", 8)
    telemetry.published(SMS, [1000, 1000], 1100)
    telemetry.attempt_finished("billing", "delivered", 0.3)
    telemetry.callback_paused("billing", paused=True)
    telemetry.gap_ended(SMS, "closed")
    telemetry.recording_finished("acme", "stored")
    telemetry.figures(FIGURES)


def families(telemetry: Telemetry) -> Iterator[tuple[str, set[str]]]:
    for family in text_string_to_metric_families(telemetry.exposition().decode()):
        labels = {name for sample in family.samples for name in sample.labels} - {"le"}
        name = family.name + "_total" if family.type == "counter" else family.name
        yield name, labels


def test_every_metric_of_the_contract_exists_with_its_labels(telemetry: Telemetry) -> None:
    tell_everything(telemetry)
    found = {name: labels for name, labels in families(telemetry) if name.startswith("relay_")}
    assert found == CONTRACT


def test_every_metric_is_documented() -> None:
    readme = README.read_text(encoding="utf-8")
    assert [name for name in CONTRACT if f"`{name}`" not in readme] == []


def test_the_process_is_measured_too(telemetry: Telemetry) -> None:
    assert samples(telemetry)["process_cpu_seconds_total"] > 0


def test_polls_are_counted_by_outcome(telemetry: Telemetry) -> None:
    telemetry.poll_finished(SMS, "ok", 0.2)
    telemetry.poll_finished(SMS, "ok", 0.4)
    telemetry.poll_finished(SMS, "timeout", 30.0)
    shown = samples(telemetry)
    assert shown['relay_polls_total{kind="sms",outcome="ok",source="acme"}'] == 2
    assert shown['relay_polls_total{kind="sms",outcome="timeout",source="acme"}'] == 1
    assert shown['relay_poll_duration_seconds_bucket{le="0.25"}'] == 1
    assert shown["relay_poll_duration_seconds_count"] == 3


def test_what_became_of_a_fetch(telemetry: Telemetry) -> None:
    telemetry.fetch_unpacked(SMS, Origin.POLL, Recorded(new=5, duplicates=4, revisions=3, quarantined=2))
    telemetry.fetch_unpacked(SMS, Origin.POLL, Recorded(new=1))
    shown = samples(telemetry)
    reports = {
        outcome: shown[f'relay_reports_total{{kind="sms",origin="poll",outcome="{outcome}",source="acme"}}']
        for outcome in ("new", "duplicate", "revision", "quarantined")
    }
    assert reports == {"new": 6, "duplicate": 4, "revision": 3, "quarantined": 2}


def test_a_pause_shows_only_its_present_reason(telemetry: Telemetry) -> None:
    paused = "relay_polling_paused"
    telemetry.polling_paused(SMS, "disk")
    telemetry.polling_paused(SMS, "disk")
    telemetry.polling_paused(SMS, "journal")
    shown = {name: value for name, value in samples(telemetry).items() if name.startswith(paused)}
    assert shown == {'relay_polling_paused{kind="sms",reason="journal",source="acme"}': 1}
    telemetry.polling_paused(SMS, None)
    telemetry.polling_paused(SMS, None)
    assert not [name for name in samples(telemetry) if name.startswith(paused)]


def test_the_last_success_never_goes_back(telemetry: Telemetry) -> None:
    name = 'relay_last_successful_poll_timestamp_seconds{kind="sms",source="acme"}'
    telemetry.figures(FIGURES)
    assert samples(telemetry)[name] == 1_700_000_002
    telemetry.poll_succeeded(SMS, 1_700_000_009_000)
    telemetry.figures(FIGURES)
    assert samples(telemetry)[name] == 1_700_000_009


def test_the_journals_figures(telemetry: Telemetry) -> None:
    telemetry.figures(FIGURES)
    shown = samples(telemetry)
    assert shown["relay_fetches_pending"] == 3
    assert shown['relay_unpublished_reports{kind="sms",source="acme"}'] == 7
    assert shown['relay_oldest_unpublished_timestamp_seconds{kind="sms",source="acme"}'] == 1_700_000_000.5
    assert shown['relay_callback_backlog_reports{callback="billing"}'] == 5
    assert shown['relay_callback_oldest_backlog_timestamp_seconds{callback="billing"}'] == 1_700_000_003
    assert shown['relay_dead_letters{callback="billing"}'] == 4
    assert shown['relay_dead_letters_ended_total{callback="billing",result="dropped"}'] == 2
    assert shown['relay_dead_letters_ended_total{callback="billing",result="expired"}'] == 1
    assert (shown["relay_journal_size_bytes"], shown["relay_journal_free_bytes"]) == (8192, 1_000_000)


def test_a_time_of_nothing_has_no_series(telemetry: Telemetry) -> None:
    telemetry.figures(FIGURES)
    shown = samples(telemetry)
    assert shown['relay_unpublished_reports{kind="voice",source="acme"}'] == 0
    assert 'relay_oldest_unpublished_timestamp_seconds{kind="voice",source="acme"}' not in shown
    assert 'relay_oldest_open_gap_timestamp_seconds{kind="voice",source="acme"}' not in shown


def test_nothing_old_is_shown_of_a_journal_that_cannot_be_asked(telemetry: Telemetry) -> None:
    telemetry.figures(FIGURES)
    telemetry.figures(None)
    assert "relay_journal_size_bytes" not in samples(telemetry)


def test_callbacks_and_transactions(telemetry: Telemetry) -> None:
    telemetry.attempt_finished("billing", "server_error", 1.0)
    telemetry.callback_paused("billing", paused=True)
    telemetry.callback_paused("billing", paused=False)
    telemetry.transaction_finished("committed", 0.02)
    telemetry.records_published("t", 3)
    telemetry.records_published("t", 4)
    telemetry.gap_ended(SMS, "expired")
    shown = samples(telemetry)
    assert shown['relay_callback_attempts_total{callback="billing",outcome="server_error"}'] == 1
    assert shown['relay_callback_attempt_duration_seconds_sum{callback="billing"}'] == 1
    assert shown['relay_callback_paused{callback="billing"}'] == 0
    assert shown['relay_kafka_transactions_total{outcome="committed"}'] == 1
    assert shown['relay_records_published_total{topic="t"}'] == 7
    assert shown['relay_gaps_ended_total{kind="sms",result="expired",source="acme"}'] == 1


def test_attempts_by_outcome_and_duration(telemetry: Telemetry) -> None:
    for outcome, seconds in (("delivered", 0.005), ("delivered", 0.0051), ("no_answer", 60.0), ("no_answer", 60.5)):
        telemetry.attempt_finished("billing", outcome, seconds)
    telemetry.attempt_finished("audit", "delivered", 0.0)
    shown = samples(telemetry)
    assert shown['relay_callback_attempts_total{callback="billing",outcome="delivered"}'] == 2
    assert shown['relay_callback_attempts_total{callback="billing",outcome="no_answer"}'] == 2
    assert shown['relay_callback_attempts_total{callback="audit",outcome="delivered"}'] == 1
    bucket = 'relay_callback_attempt_duration_seconds_bucket{callback="billing",le='
    bounds = ("0.005", "0.01", "30.0", "60.0", "+Inf")
    assert [shown[f'{bucket}"{bound}"}}'] for bound in bounds] == [1, 2, 2, 3, 4]
    assert shown['relay_callback_attempt_duration_seconds_count{callback="billing"}'] == 4
    assert shown['relay_callback_attempt_duration_seconds_sum{callback="billing"}'] == pytest.approx(120.5101)


def test_two_relays_in_one_process_count_apart() -> None:
    one, other = Telemetry(), Telemetry()
    one.poll_finished(SMS, "ok", 0.1)
    assert 'relay_polls_total{kind="sms",outcome="ok",source="acme"}' not in samples(other)


def test_delays_of_a_batch(telemetry: Telemetry) -> None:
    # 5 ms, 6 ms, 1 s, 1.001 s, two days, and one that came from the future
    at_ms = 200_000_000
    telemetry.published(SMS, [at_ms - 5, at_ms - 1000, at_ms - 6, at_ms - 172_800_000, at_ms - 1001, at_ms + 50], at_ms)
    shown = samples(telemetry)
    assert shown['relay_publish_delay_seconds_bucket{kind="sms",le="0.005"}'] == 2
    assert shown['relay_publish_delay_seconds_bucket{kind="sms",le="0.01"}'] == 3
    assert shown['relay_publish_delay_seconds_bucket{kind="sms",le="1.0"}'] == 4
    assert shown['relay_publish_delay_seconds_bucket{kind="sms",le="2.5"}'] == 5
    assert shown['relay_publish_delay_seconds_bucket{kind="sms",le="86400.0"}'] == 5
    assert shown['relay_publish_delay_seconds_bucket{kind="sms",le="+Inf"}'] == 6
    assert shown['relay_publish_delay_seconds_count{kind="sms"}'] == 6
    assert shown['relay_publish_delay_seconds_sum{kind="sms"}'] == pytest.approx(172_801.962)


def test_delays_add_up_over_batches_and_apart_by_kind(telemetry: Telemetry) -> None:
    telemetry.published(SMS, [0, 0], 100)
    telemetry.published(Stream("other", "sms"), [0], 100)
    telemetry.published(Stream("acme", "voice"), [], 100)
    shown = samples(telemetry)
    assert shown['relay_publish_delay_seconds_count{kind="sms"}'] == 3
    assert shown['relay_publish_delay_seconds_count{kind="voice"}'] == 0


def test_of_a_callback_that_is_gone_no_series_is_left(telemetry: Telemetry) -> None:
    tell_everything(telemetry)
    telemetry.attempt_finished("audit", "delivered", 0.3)
    telemetry.forget_callback("billing")
    telemetry.figures(None)
    labels = [name for name in samples(telemetry) if "callback=" in name]
    assert labels
    assert [name for name in labels if 'callback="audit"' not in name] == []
    telemetry.forget_callback("never-seen")
    telemetry.attempt_finished("billing", "delivered", 0.3)
    assert samples(telemetry)['relay_callback_attempts_total{callback="billing",outcome="delivered"}'] == 1


def test_a_refused_configuration_shows_until_one_is_taken(telemetry: Telemetry) -> None:
    telemetry.configured(1_700_000_000_000)
    telemetry.configuration_refused()
    shown = samples(telemetry)
    assert shown["relay_config_last_reload_successful"] == 0
    assert shown["relay_config_last_reload_success_timestamp_seconds"] == 1_700_000_000
    telemetry.configured(1_700_000_100_000)
    shown = samples(telemetry)
    assert shown["relay_config_last_reload_successful"] == 1
    assert shown["relay_config_last_reload_success_timestamp_seconds"] == 1_700_000_100
