"""What a simulator is told: where to listen, who may log in, what traffic to make, which faults to inject."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from relay.simulator.faults import Fault


@dataclass(frozen=True, kw_only=True)
class TrafficOptions:
    """Generated reports of one kind."""

    rate: float = 0.0
    """Reports that become available each second, after the backlog. 0 with a `total`: all of them at once."""
    total: int | None = None
    """How many in all, the backlog included; None: without end, if there is a rate, else only the backlog."""
    backlog: int = 0
    """Waiting from the start."""
    duplicate_rate: float = 0.0
    """Share of reports that repeat an earlier one, id and outcome."""
    revision_rate: float = 0.0
    """Share of reports that bring another outcome for an earlier id."""
    final_only: bool = False
    """No report says that its message is still on its way: such a one, lost, is in no final row of the logs."""


@dataclass(frozen=True, kw_only=True)
class Credentials:
    """Any of them is accepted: Basic, `App` key, and one token for Bearer and IBSSO."""

    username: str = "simulator"
    password: str = field(default="simulator", repr=False)
    api_key: str = field(default="simulator-key", repr=False)
    token: str = field(default="simulator-token", repr=False)


@dataclass(frozen=True, kw_only=True)
class LogsOptions:
    """The logs endpoints."""

    retention_seconds: float = 48 * 3600.0
    """So long after sending a message is in the logs; shorter to compress time."""
    per_minute: int | None = None
    """Requests in any minute, all kinds together, above which the answer is 429; None: as many as you like."""
    most: int | None = None
    """Rows in one answer, whatever `limit` asks for, without a word about it."""


@dataclass(frozen=True, kw_only=True)
class SimulatorOptions:
    """One simulator."""

    host: str = "127.0.0.1"
    port: int = 0
    """0 takes a free one; `Simulator.base_url` tells which."""
    seed: int = 1
    traffic: Mapping[str, TrafficOptions] = field(default_factory=dict)
    """By kind: `sms`, `voice`."""
    credentials: Credentials = field(default_factory=Credentials)
    ledger: Path | None = None
    """JSON lines are appended to it; None: only counts are kept."""
    faults: tuple[Fault, ...] = ()
    compress: bool = False
    """Send gzip to clients that accept it."""
    logs: LogsOptions = field(default_factory=LogsOptions)
