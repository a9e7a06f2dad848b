"""What recovering one stream's reports takes, whoever asks for it."""

from collections.abc import Callable
from dataclasses import dataclass

from relay.config import JournalConfig, ReconcileConfig
from relay.domain.gaps import RecoveryPolicy
from relay.domain.report import Stream
from relay.observe import Health, Telemetry
from relay.ports import Lease, LogSource, ReconcileJournal


@dataclass(frozen=True, kw_only=True)
class Recovery:
    """One stream with its journal and logs. `logs` is None where nobody knows a logs endpoint of the kind."""

    stream: Stream
    lease: Lease
    journal: ReconcileJournal
    logs: LogSource | None
    config: ReconcileConfig
    limits: JournalConfig
    telemetry: Telemetry
    health: Health
    now_ms: Callable[[], int]
    wake_subscribers: Callable[[], None]

    @property
    def policy(self) -> RecoveryPolicy:
        return RecoveryPolicy(int(self.config.settle_seconds * 1000), int(self.config.lookback_hours * 3_600_000))
