"""The demo's live figures: a table in a terminal, a line now and then elsewhere."""

from collections.abc import Mapping
from typing import NamedTuple, Self

from prometheus_client import CollectorRegistry
from rich.console import Console
from rich.live import Live
from rich.table import Table

LINE_EVERY_SECONDS = 2.0


class Figures(NamedTuple):
    """Counts since the start; delay in milliseconds, the mean of all so far."""

    polled: int
    new: int
    duplicates: int
    revisions: int
    published: int
    called_back: int
    delay_ms: float

    def row(self) -> Mapping[str, str]:
        names = ("polled", "new", "duplicates", "revisions", "published", "called back")
        counts = {name: f"{count:,}" for name, count in zip(names, self[:6], strict=True)}
        return {**counts, "delay": f"{self.delay_ms:.0f} ms"}


def read_figures(registry: CollectorRegistry, called_back: int) -> Figures:
    """From the relay's own metrics; what was called back is counted by the receiver."""
    sums: dict[str, float] = {}
    for metric in registry.collect():
        for sample in metric.samples:
            key = f"{sample.name}:{sample.labels['outcome']}" if sample.name == "relay_reports_total" else sample.name
            sums[key] = sums.get(key, 0.0) + sample.value
    new, duplicates, revisions, quarantined = (
        int(sums.get(f"relay_reports_total:{outcome}", 0))
        for outcome in ("new", "duplicate", "revision", "quarantined")
    )
    delays = sums.get("relay_publish_delay_seconds_count", 0.0)
    return Figures(
        polled=new + duplicates + revisions + quarantined,
        new=new,
        duplicates=duplicates,
        revisions=revisions,
        published=int(sums.get("relay_records_published_total", 0)),
        called_back=called_back,
        delay_ms=1000 * sums.get("relay_publish_delay_seconds_sum", 0.0) / delays if delays else 0.0,
    )


class Display:
    """`with Display(console) as display: display.show(figures, at_seconds)`, a few times a second."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = Live(console=console, refresh_per_second=4) if console.is_terminal else None
        self._line_due_seconds = 0.0

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, *_error: object) -> None:
        if self._live is not None:
            self._live.stop()

    def show(self, figures: Figures, at_seconds: float, *, last: bool = False) -> None:
        if self._live is not None:
            self._live.update(_table(figures, at_seconds), refresh=True)
        elif last or at_seconds >= self._line_due_seconds:
            self._line_due_seconds = at_seconds + LINE_EVERY_SECONDS
            cells = "  ".join(f"{name} {value}" for name, value in figures.row().items())
            self._console.print(f"{at_seconds:4.0f} s  {cells}", highlight=False, soft_wrap=True)


def _table(figures: Figures, at_seconds: float) -> Table:
    table = Table(title=f"{at_seconds:.0f} s", title_justify="left")
    for name in figures.row():
        table.add_column(name, justify="right", no_wrap=True)
    table.add_row(*figures.row().values())
    return table
