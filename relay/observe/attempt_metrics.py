"""POSTs by how they ended and how long they took: counted thousands of times a second, without the locks of
prometheus-client's own counters and histograms, which cost five times as much.

What counts and what is scraped share the event loop.
"""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import accumulate

from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector


class _Attempts:
    """Of one callback. `by_duration[i]` took up to the bound of that index and longer than the one before."""

    __slots__ = ("by_duration", "by_outcome", "seconds")

    def __init__(self, bounds: int) -> None:
        self.by_outcome: dict[str, int] = {}
        self.by_duration = [0] * (bounds + 1)
        self.seconds = 0.0


class AttemptMetrics(Collector):
    """`relay_callback_attempts_total` and `relay_callback_attempt_duration_seconds`."""

    def __init__(self, bounds_seconds: Sequence[float]) -> None:
        self._bounds_seconds = tuple(bounds_seconds)
        self._names = [*map(str, self._bounds_seconds), "+Inf"]
        self._callbacks: dict[str, _Attempts] = {}

    def count(self, callback: str, outcome: str, seconds: float) -> None:
        attempts = self._callbacks.get(callback)
        if attempts is None:
            attempts = self._callbacks[callback] = _Attempts(len(self._bounds_seconds))
        attempts.by_outcome[outcome] = attempts.by_outcome.get(outcome, 0) + 1
        attempts.by_duration[bisect_left(self._bounds_seconds, seconds)] += 1
        attempts.seconds += seconds

    def forget(self, callback: str) -> None:
        """Its series end; that there are none is fine."""
        self._callbacks.pop(callback, None)

    def collect(self) -> Iterator[Metric]:
        ended = CounterMetricFamily(
            "relay_callback_attempts", "POSTs, by how they ended", labels=["callback", "outcome"]
        )
        duration = HistogramMetricFamily(
            "relay_callback_attempt_duration_seconds", "From sending a POST to its answer", labels=["callback"]
        )
        for callback, attempts in self._callbacks.items():
            for outcome, count in attempts.by_outcome.items():
                ended.add_metric([callback, outcome], count)
            at_most = map(float, accumulate(attempts.by_duration))
            duration.add_metric([callback], list(zip(self._names, at_most, strict=True)), attempts.seconds)
        yield ended
        yield duration
