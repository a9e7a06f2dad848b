"""A histogram that takes a whole batch of arrival times at once, for a price far below one observation each."""

from bisect import bisect_left
from collections.abc import Iterator, Sequence

from prometheus_client.core import HistogramMetricFamily
from prometheus_client.registry import Collector

DELAY_BOUNDS_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0, 600.0, 3600.0, 86400.0)


class _Series:
    """`at_most[i]` delays of DELAY_BOUNDS_SECONDS[i] or less, as Prometheus' buckets count."""

    __slots__ = ("at_most", "count", "sum_ms")

    def __init__(self) -> None:
        self.at_most = [0] * len(DELAY_BOUNDS_SECONDS)
        self.count = 0
        self.sum_ms = 0


class DelayHistogram(Collector):
    """Seconds between arrivals and one common end, by kind.

    A stream is nearly in order of arrival, so sorting costs next to nothing, and each bound is one bisection of the
    batch instead of each report a search among the bounds.
    """

    def __init__(self, name: str, documentation: str) -> None:
        self._name = name
        self._documentation = documentation
        self._bounds_ms = [bound * 1000 for bound in DELAY_BOUNDS_SECONDS]
        self._series: dict[str, _Series] = {}

    def observe(self, kind: str, received_at_ms: Sequence[int], at_ms: int) -> None:
        """Add one delay for each of `received_at_ms`; one in the future (the clock moved) counts as none."""
        series = self._series.get(kind)
        if series is None:
            series = self._series[kind] = _Series()
        arrivals = sorted(received_at_ms)
        count = len(arrivals)
        series.count += count
        series.sum_ms += max(0, at_ms * count - sum(arrivals))
        for index, bound_ms in enumerate(self._bounds_ms):
            series.at_most[index] += count - bisect_left(arrivals, at_ms - bound_ms)

    def collect(self) -> Iterator[HistogramMetricFamily]:
        family = HistogramMetricFamily(self._name, self._documentation, labels=["kind"])
        for kind, series in list(self._series.items()):
            buckets = [(str(bound), float(n)) for bound, n in zip(DELAY_BOUNDS_SECONDS, series.at_most, strict=True)]
            family.add_metric([kind], [*buckets, ("+Inf", float(series.count))], series.sum_ms / 1000)
        yield family
