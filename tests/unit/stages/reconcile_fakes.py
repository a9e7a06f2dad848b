"""A stream's gaps and logs for reconcile, written by hand: each keeps what it was told, each can be made to fail."""

from collections.abc import Sequence

from relay.config import JournalConfig, ReconcileConfig
from relay.domain.figures import Recorded
from relay.domain.gaps import EndedGap, GapEnding, OpenGap, Scan, StreamGaps
from relay.domain.log_rows import FoundRow
from relay.domain.report import Decoded, Rejected, Report, Stream
from relay.domain.timestamps import rfc3339_from_epoch_ms
from relay.observe import Health
from relay.ports import (
    JournalError,
    Lease,
    LogQuery,
    LogSource,
    LogsRecorded,
    NewScan,
    Pressure,
    ScanProgress,
)
from relay.stages.reconcile import Comparison, Reconcile, Recovery
from tests.unit.stages.intake_fakes import FakeTelemetry

STREAM = Stream("acme", "sms")
LEASE = Lease("reconcile/acme/sms", "relay-0", 1)
MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
NOW_MS = 1_700_000_000_000
EASY = Pressure(unpublished=0, free_bytes=10**9)


def row(
    message_id: str, *, sent_ms: int, done_ms: int | None = None, outcome: str = "5:0", final: bool = True
) -> Report:
    """A row as the logs client decodes it; done a second after it was sent."""
    sent, done = (rfc3339_from_epoch_ms(at_ms) for at_ms in (sent_ms, sent_ms + 1000 if done_ms is None else done_ms))
    value = f'{{"messageId":"{message_id}","sentAt":"{sent}","doneAt":"{done}"}}'.encode()
    return Report(message_id, outcome, 3 if final else 1, final, value)


class FakeLogs:
    """Answers with the latest rows of the asked span, both bounds within; `errors` are raised first, one a call."""

    def __init__(self) -> None:
        self.rows: list[tuple[int, Report | Rejected]] = []
        self.errors: list[BaseException] = []
        self.queries: list[LogQuery] = []
        self.most = 1000

    def add(self, *reports: Report, sent_ms: int) -> None:
        self.rows += [(sent_ms, report) for report in reports]

    async def fetch_logs(self, kind: str, query: LogQuery) -> Decoded:
        assert kind == STREAM.kind
        self.queries.append(query)
        if self.errors:
            raise self.errors.pop(0)
        assert query.sent_since_ms is not None
        assert query.sent_until_ms is not None
        inside = [
            (sent_ms, report) for sent_ms, report in self.rows if query.sent_since_ms <= sent_ms <= query.sent_until_ms
        ]
        inside.sort(key=lambda found: -found[0])
        return Decoded([report for _, report in inside[: min(query.limit or 50, self.most)]], complete=True)


class FakeJournal:
    """Gaps and scans as a journal keeps them, without any durability."""

    def __init__(self, *gaps: OpenGap, first_poll_ms: int = NOW_MS - 40 * HOUR_MS) -> None:
        self.gaps = {gap.id: gap for gap in gaps}
        self.scans: dict[int, Scan] = {}
        self.first_poll_ms = first_poll_ms
        self.drained_ms: int | None = NOW_MS
        self.pending_ms: int | None = None
        self.confirmed = True
        self.known: set[tuple[str, str]] = set()
        self.appended: list[FoundRow] = []
        self.recovered: dict[int, int] = {}
        self.ended: list[GapEnding] = []
        self.delays_ms: list[int] = [1000]
        self.pressure_now = EASY
        self.records = 0

    async def open_gaps(self, stream: Stream) -> StreamGaps | None:
        assert stream == STREAM
        if not self.confirmed:
            return None
        gaps, scans = tuple(self.gaps.values()), tuple(self.scans.values())
        return StreamGaps(self.first_poll_ms, self.drained_ms, self.pending_ms, gaps, scans)

    async def arrival_delays_ms(self, stream: Stream, most: int) -> list[int]:
        return self.delays_ms

    async def begin_scan(self, lease: Lease, stream: Stream, scan: NewScan) -> None:
        assert (lease, stream) == (LEASE, STREAM)
        scan_id = scan.scan_id or len(self.scans) + 1
        self.scans[scan_id] = Scan(scan_id, scan.upper_ms, scan.front_ms, scan.upper_ms)
        for gap_id in scan.gap_ids:
            self.gaps[gap_id] = self.gaps[gap_id]._replace(scan_id=scan_id)

    async def record_logs(
        self,
        lease: Lease,
        stream: Stream,
        found: Sequence[FoundRow],
        earlier: Sequence[Report],
        progress: ScanProgress | None,
        at_ms: int,
    ) -> LogsRecorded:
        assert (lease, stream) == (LEASE, STREAM)
        if not self.confirmed:
            raise JournalError("not confirmed")
        self.records += 1
        new = [one for one in found if (one.report.message_id, one.report.outcome) not in self.known]
        self.known.update((one.report.message_id, one.report.outcome) for one in new)
        self.appended += new
        for one in new:
            if one.gap_id is not None:
                self.recovered[one.gap_id] = self.recovered.get(one.gap_id, 0) + 1
        unknown = sum((report.message_id, report.outcome) not in self.known for report in earlier)
        if progress is not None:
            scan = self.scans[progress.scan_id]
            self.scans[progress.scan_id] = scan._replace(
                position_ms=progress.position_ms,
                hole_ms=scan.hole_ms or progress.hole_ms,
                earlier=scan.earlier + unknown,
            )
        return LogsRecorded(Recorded(new=len(new), duplicates=len(found) - len(new)), unknown)

    async def unknown_reports(self, stream: Stream, reports: Sequence[Report]) -> list[bool]:
        return [(report.message_id, report.outcome) not in self.known for report in reports]

    async def end_gaps(
        self, lease: Lease, stream: Stream, endings: Sequence[GapEnding], scan_id: int | None, at_ms: int
    ) -> list[EndedGap]:
        self.ended += endings
        for ending in endings:
            del self.gaps[ending.gap_id]
        if scan_id is not None:
            del self.scans[scan_id]
        return [EndedGap(one.gap_id, one.state, self.recovered.get(one.gap_id, 0)) for one in endings]

    async def pressure(self, stream: Stream) -> Pressure:
        return self.pressure_now


class Bench:
    """Reconcile and a comparison among fakes; time stands still."""

    def __init__(self, *gaps: OpenGap, first_poll_ms: int = NOW_MS - 40 * HOUR_MS, **reconcile: object) -> None:
        self.journal = FakeJournal(*gaps, first_poll_ms=first_poll_ms)
        self.logs = FakeLogs()
        self.telemetry = FakeTelemetry()
        self.health = Health()
        self.now_ms = NOW_MS
        self.wakes = 0
        self.recovery = self._recovery(self.logs, reconcile)
        self.reconcile = Reconcile(self.recovery, chance=lambda: 0.0)
        self.comparison = Comparison(self.recovery, self.logs)

    def without_logs(self) -> Reconcile:
        return Reconcile(self._recovery(None, {}), chance=lambda: 0.0)

    async def run(self) -> float:
        """Step until there is a wait; how long."""
        for _ in range(500):
            wait_seconds = await self.reconcile.step()
            if wait_seconds:
                return wait_seconds
        raise AssertionError("reconcile never comes to rest")

    def _recovery(self, logs: LogSource | None, reconcile: dict[str, object]) -> Recovery:
        return Recovery(
            stream=STREAM,
            lease=LEASE,
            journal=self.journal,
            logs=logs,
            config=ReconcileConfig.model_validate(reconcile),
            limits=JournalConfig(url="sqlite:////unused/relay.db", max_unpublished=1000, min_free_bytes=1000),
            telemetry=self.telemetry,
            health=self.health,
            now_ms=lambda: self.now_ms,
            wake_subscribers=self._woken,
        )

    def _woken(self) -> None:
        self.wakes += 1
