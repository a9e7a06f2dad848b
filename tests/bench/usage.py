"""What a process has used so far, from /proc; and the delay that its histogram shows."""

import os
import re
from bisect import bisect_left
from pathlib import Path
from typing import NamedTuple, Self

_TICKS = os.sysconf("SC_CLK_TCK")
_BUCKET = re.compile(r'^relay_publish_delay_seconds_bucket\{.*le="([^"]+)".*\} (\S+)$', re.MULTILINE)


class Usage(NamedTuple):
    """Totals since the process began. `written_bytes` is what it caused to be sent to the disk."""

    cpu_seconds: float
    written_bytes: int

    @classmethod
    def of(cls, pid: int) -> Self:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        user_ticks, system_ticks = int(fields[11]), int(fields[12])
        return cls((user_ticks + system_ticks) / _TICKS, _field(pid, "io", "write_bytes"))

    def since(self, before: Self) -> "Usage":
        return Usage(self.cpu_seconds - before.cpu_seconds, self.written_bytes - before.written_bytes)


def peak_bytes(pid: int) -> int:
    """The most memory it ever held."""
    return _field(pid, "status", "VmHWM") << 10


def resident_bytes(pid: int) -> int:
    """The memory it holds now."""
    return _field(pid, "status", "VmRSS") << 10


class Delays(NamedTuple):
    """Cumulative buckets of all kinds together: how many took at most so many seconds."""

    bounds_seconds: tuple[float, ...]
    counts: tuple[float, ...]

    @classmethod
    def read(cls, exposition: str) -> Self:
        """From the text of /metrics."""
        totals: dict[float, float] = {}
        for bound, count in _BUCKET.findall(exposition):
            totals[float(bound)] = totals.get(float(bound), 0.0) + float(count)
        bounds = tuple(sorted(totals))
        return cls(bounds, tuple(totals[bound] for bound in bounds))

    def since(self, before: Self) -> "Delays":
        if not before.bounds_seconds:
            return self
        counts = tuple(now - then for now, then in zip(self.counts, before.counts, strict=True))
        return Delays(self.bounds_seconds, counts)

    def quantile(self, share: float) -> float:
        """Seconds, interpolated within its bucket as Prometheus does; the last finite bound if it lies beyond."""
        wanted = share * self.counts[-1]
        place = bisect_left(self.counts, wanted)
        if place >= len(self.bounds_seconds) - 1:
            return self.bounds_seconds[-2]
        lower, below = (self.bounds_seconds[place - 1], self.counts[place - 1]) if place else (0.0, 0.0)
        inside = self.counts[place] - below
        share_inside = (wanted - below) / inside if inside else 1.0
        return lower + (self.bounds_seconds[place] - lower) * share_inside


def _field(pid: int, file: str, name: str) -> int:
    found = re.search(rf"^{name}:\s+(\d+)", Path(f"/proc/{pid}/{file}").read_text(), re.MULTILINE)
    assert found is not None, f"/proc/{pid}/{file} has no {name}"
    return int(found[1])
