"""The journal's figures as gauges: what it last said, so that nothing lingers of a stream or callback that is gone."""

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from relay.domain.figures import CallbackFigures, JournalFigures, StreamFigures
from relay.domain.report import Stream


class JournalMetrics(Collector):
    """The figures of one scrape. The time of what does not exist has no series, so that `time() - x` never lies."""

    def __init__(self) -> None:
        self.figures: JournalFigures | None = None

    def collect(self) -> Iterator[Metric]:
        figures = self.figures
        if figures is None:
            return
        pending = sum(stream.fetches_pending for stream in figures.streams.values())
        yield _gauge("relay_fetches_pending", "Fetches journaled and not yet unpacked", pending)
        yield _gauge("relay_journal_size_bytes", "Bytes that the journal takes", figures.size_bytes)
        yield _gauge("relay_journal_free_bytes", "Bytes free where the journal lies", figures.free_bytes)
        yield from _stream_gauges(figures)
        yield from _callback_gauges(figures)


def _gauge(name: str, documentation: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, documentation, value=value)


def _stream_gauges(figures: JournalFigures) -> Iterator[GaugeMetricFamily]:
    unpublished = _by_stream(
        "relay_unpublished_reports", "Entries received and not yet in Kafka; without Kafka not yet at any callback"
    )
    oldest = _by_stream("relay_oldest_unpublished_timestamp_seconds", "When the oldest of them was received")
    gaps = _by_stream("relay_gaps_open", "Spans of time in which a read may have been lost")
    oldest_gap = _by_stream("relay_oldest_open_gap_timestamp_seconds", "When the oldest of them began")
    quarantine = _by_stream("relay_quarantine_entries", "What could not be made into a report and is kept")
    for stream, figure in figures.streams.items():
        _add_stream(stream, figure, unpublished, gaps, quarantine)
        _add_time(oldest, list(stream), figure.oldest_unpublished_at_ms)
        _add_time(oldest_gap, list(stream), figure.oldest_open_gap_at_ms)
    yield from (unpublished, oldest, gaps, oldest_gap, quarantine)


def _by_stream(name: str, documentation: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, documentation, labels=["source", "kind"])


def _add_stream(
    stream: Stream,
    figure: StreamFigures,
    unpublished: GaugeMetricFamily,
    gaps: GaugeMetricFamily,
    quarantine: GaugeMetricFamily,
) -> None:
    labels = list(stream)
    unpublished.add_metric(labels, figure.unpublished)
    gaps.add_metric(labels, figure.gaps_open)
    quarantine.add_metric(labels, figure.quarantine_entries)


def _callback_gauges(figures: JournalFigures) -> Iterator[Metric]:
    backlog = _by_callback("relay_callback_backlog_reports", "Reports due at the callback")
    oldest = _by_callback("relay_callback_oldest_backlog_timestamp_seconds", "When the oldest of them was received")
    dead = _by_callback("relay_dead_letters", "Deliveries given up and kept")
    ended = CounterMetricFamily(
        "relay_dead_letters_ended",
        "Reports in dead letters that were dropped or expired",
        labels=["callback", "result"],
    )
    for name, figure in figures.callbacks.items():
        _add_callback(name, figure, backlog, dead)
        ended.add_metric([name, "dropped"], figure.dropped)
        ended.add_metric([name, "expired"], figure.expired)
        _add_time(oldest, [name], figure.oldest_backlog_at_ms)
    yield from (backlog, oldest, dead, ended)


def _by_callback(name: str, documentation: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, documentation, labels=["callback"])


def _add_callback(name: str, figure: CallbackFigures, backlog: GaugeMetricFamily, dead: GaugeMetricFamily) -> None:
    backlog.add_metric([name], figure.backlog)
    dead.add_metric([name], figure.dead_letters)


def _add_time(family: GaugeMetricFamily, labels: list[str], at_ms: int | None) -> None:
    if at_ms is not None:
        family.add_metric(labels, at_ms / 1000)
