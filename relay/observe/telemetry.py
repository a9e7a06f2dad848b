"""What happened, as metrics. Labels are names from the configuration and fixed words, nothing from a report."""

import platform
from collections.abc import Mapping, Sequence
from typing import Generic, TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics
from prometheus_client.exposition import generate_latest
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.process_collector import ProcessCollector

import relay
from relay.domain.figures import JournalFigures, Recorded
from relay.domain.report import Origin, Stream
from relay.observe.attempt_metrics import AttemptMetrics
from relay.observe.delay import DelayHistogram
from relay.observe.journal_metrics import JournalMetrics

REQUEST_BOUNDS_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 15.0, 30.0, 60.0)

MetricT = TypeVar("MetricT", bound=MetricWrapperBase)


class _ByLabels(Generic[MetricT]):
    """The children of a metric; asking prometheus-client for one costs 2 µs and a lock, a dictionary a tenth of one."""

    __slots__ = ("_children", "_metric")

    def __init__(self, metric: MetricT) -> None:
        self._metric = metric
        self._children: dict[tuple[str, ...], MetricT] = {}

    def of(self, *labels: str) -> MetricT:
        child = self._children.get(labels)
        if child is None:
            child = self._children[labels] = self._metric.labels(*labels)
        return child

    def drop(self, *labels: str) -> None:
        if self._children.pop(labels, None) is not None:
            self._metric.remove(*labels)

    def drop_all_of(self, first: str) -> None:
        """Those whose first label this is."""
        for labels in [labels for labels in self._children if labels[0] == first]:
            self.drop(*labels)


class Telemetry:
    """Counts what stages tell. What they call is cheap, returns nothing and never fails for what it is told."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry()
        self._paused_for: dict[Stream, str] = {}
        self._last_success_ms: dict[Stream, int] = {}
        self._make_intake_metrics()
        self._make_publish_metrics()
        self._make_callback_metrics()
        self._journal = JournalMetrics()
        self.registry.register(self._journal)
        self._config_good = Gauge(
            "relay_config_last_reload_successful",
            "0 while the configuration file is refused and the one before stays in use",
            registry=self.registry,
        )
        self._configured_at = Gauge(
            "relay_config_last_reload_success_timestamp_seconds",
            "When the configuration in use was taken from its file",
            registry=self.registry,
        )
        build = self._gauge("build_info", "Version of relay and of Python; always 1", "version", "python")
        build.of(relay.__version__, platform.python_version()).set(1)
        ProcessCollector(registry=self.registry)

    # --- intake and unpack ---

    def poll_finished(self, stream: Stream, outcome: str, seconds: float) -> None:
        self._polls.of(*stream, outcome).inc()
        self._poll_duration.observe(seconds)

    def poll_succeeded(self, stream: Stream, at_ms: int) -> None:
        if at_ms > self._last_success_ms.get(stream, -1):
            self._last_success_ms[stream] = at_ms
            self._last_success.of(*stream).set(at_ms / 1000)

    def polling_paused(self, stream: Stream, reason: str | None) -> None:
        """`reason` is a fixed word; None: polling goes on."""
        before = self._paused_for.pop(stream, None)
        if before is not None and before != reason:
            self._polling_paused.drop(*stream, before)
        if reason is not None:
            self._paused_for[stream] = reason
            self._polling_paused.of(*stream, reason).set(1)

    def source_authorized(self, source: str, authorized: bool) -> None:
        self._source_authorized.of(source).set(authorized)

    def fetch_unpacked(self, stream: Stream, origin: Origin, recorded: Recorded) -> None:
        outcomes = ("new", "duplicate", "revision", "quarantined")
        for outcome, count in zip(outcomes, recorded, strict=True):
            self._reports.of(*stream, origin, outcome).inc(count)

    def gap_ended(self, stream: Stream, result: str) -> None:
        self._gaps_ended.of(*stream, result).inc()

    # --- publish ---

    def transaction_finished(self, outcome: str, seconds: float) -> None:
        self._transactions.of(outcome).inc()
        self._transaction_duration.observe(seconds)

    def records_published(self, topic: str, count: int) -> None:
        self._published.of(topic).inc(count)

    def published(self, stream: Stream, received_at_ms: Sequence[int], at_ms: int) -> None:
        """One delay for each record of a batch; costs well below 0.1 µs a record."""
        self._publish_delay.observe(stream.kind, received_at_ms, at_ms)

    # --- deliver ---

    def attempt_finished(self, callback: str, outcome: str, seconds: float) -> None:
        self._attempts.count(callback, outcome, seconds)

    def callback_paused(self, callback: str, paused: bool) -> None:
        self._callback_paused.of(callback).set(paused)

    def forget_callback(self, callback: str) -> None:
        """It is no longer configured: its series end."""
        self._attempts.forget(callback)
        self._callback_paused.drop_all_of(callback)

    # --- configuration ---

    def configured(self, at_ms: int) -> None:
        """The configuration file, as it is now, is in use."""
        self._config_good.set(1)
        self._configured_at.set(at_ms / 1000)

    def configuration_refused(self) -> None:
        """The configuration file cannot be used as it is now; the one before stays in use."""
        self._config_good.set(0)

    # --- recordings ---

    def recordings_wanted(self, source: str) -> None:
        """From now on there are such fetches: what never happened shows as 0, so that its first time is an increase."""
        for outcome in ("stored", "retried", "given_up"):
            self._recordings.of(source, outcome)

    def recording_finished(self, source: str, outcome: str) -> None:
        self._recordings.of(source, outcome).inc()

    # --- scrape ---

    def figures(self, figures: JournalFigures | None) -> None:
        """What the journal says now; shown until told again. None: it cannot be asked, so nothing old is shown."""
        self._journal.figures = figures
        if figures is None:
            return
        for stream, figure in figures.streams.items():
            if figure.last_success_at_ms is not None:
                self.poll_succeeded(stream, figure.last_success_at_ms)

    @property
    def last_success_ms(self) -> Mapping[Stream, int]:
        """When the last good answer of each stream had come, as far as is known; the journal knows when it unpacks."""
        return self._last_success_ms

    def exposition(self) -> bytes:
        """All metrics in Prometheus' text format 0.0.4."""
        return generate_latest(self.registry)

    # --- names ---

    def _make_intake_metrics(self) -> None:
        stream = ("source", "kind")
        self._polls = self._counter("polls", "Polls, by how they ended", *stream, "outcome")
        self._poll_duration = self._histogram("poll_duration_seconds", "From sending a poll to the end of its answer")
        self._last_success = self._gauge(
            "last_successful_poll_timestamp_seconds", "When a poll last brought a whole answer", *stream
        )
        self._polling_paused = self._gauge(
            "polling_paused", "1 while the stream is not polled, by reason", *stream, "reason"
        )
        self._source_authorized = self._gauge(
            "source_authorized", "0 while the source refuses the credentials", "source"
        )
        self._reports = self._counter(
            "reports", "Reports unpacked, by how they came and what became of them", *stream, "origin", "outcome"
        )
        self._gaps_ended = self._counter("gaps_ended", "Gaps, by how they ended", *stream, "result")

    def _make_publish_metrics(self) -> None:
        self._published = self._counter("records_published", "Records committed in Kafka", "topic")
        self._transactions = self._counter("kafka_transactions", "Kafka transactions, by how they ended", "outcome")
        self._transaction_duration = self._histogram(
            "kafka_transaction_duration_seconds", "From beginning a transaction to its end"
        )
        self._publish_delay = DelayHistogram(
            "relay_publish_delay_seconds", "From receiving a report to its commit in Kafka"
        )
        self.registry.register(self._publish_delay)

    def _make_callback_metrics(self) -> None:
        self._attempts = AttemptMetrics(REQUEST_BOUNDS_SECONDS)
        self.registry.register(self._attempts)
        self._callback_paused = self._gauge("callback_paused", "1 while the callback is paused", "callback")
        self._recordings = self._counter(
            "recordings", "Fetches of calls' recordings, by how they ended", "source", "outcome"
        )

    def _counter(self, name: str, documentation: str, *labels: str) -> _ByLabels[Counter]:
        return _ByLabels(Counter(f"relay_{name}_total", documentation, labels, registry=self.registry))

    def _gauge(self, name: str, documentation: str, *labels: str) -> _ByLabels[Gauge]:
        return _ByLabels(Gauge(f"relay_{name}", documentation, labels, registry=self.registry))

    def _histogram(self, name: str, documentation: str, *labels: str) -> Histogram:
        return Histogram(f"relay_{name}", documentation, labels, buckets=REQUEST_BOUNDS_SECONDS, registry=self.registry)
