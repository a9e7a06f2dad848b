"""`relay simulate`."""

import asyncio
import errno
import json
import signal
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from relay.cli.output import DONE, complain
from relay.observe import configure_logging
from relay.simulator.faults import Fault, What, parse_fault
from relay.simulator.options import LogsOptions, SimulatorOptions, TrafficOptions
from relay.simulator.server import REPORTS_PATHS, USUAL_KINDS, serve

FAULTS = "there is " + ", ".join(What)


class WrongOption(Exception):
    """An option's value cannot be used; says which option."""

    def __init__(self, option: str, message: str) -> None:
        super().__init__(message)
        self.option = option


def simulator_options(
    *,
    host: str,
    port: int,
    rate: float,
    total: int | None,
    backlog: int,
    kinds: Sequence[str],
    duplicates: float,
    revisions: float,
    final_only: bool,
    seed: int,
    ledger: Path | None,
    faults: Sequence[str],
    compress: bool,
    logs_per_minute: int | None,
) -> SimulatorOptions:
    """Raises WrongOption."""
    unknown = sorted(set(kinds) - set(REPORTS_PATHS))
    if unknown:
        raise WrongOption("--kind", f"{', '.join(unknown)}: there is {', '.join(REPORTS_PATHS)}")
    traffic = TrafficOptions(
        rate=rate,
        total=total,
        backlog=backlog,
        duplicate_rate=duplicates,
        revision_rate=revisions,
        final_only=final_only,
    )
    return SimulatorOptions(
        host=host,
        port=port,
        seed=seed,
        traffic=dict.fromkeys(kinds or USUAL_KINDS, traffic),
        ledger=ledger,
        faults=tuple(map(_fault, faults)),
        compress=compress,
        logs=LogsOptions(per_minute=logs_per_minute),
    )


def run_simulator(options: SimulatorOptions) -> int:
    """Until Ctrl-C or SIGTERM."""
    configure_logging(style="console")
    try:
        with suppress(KeyboardInterrupt):
            asyncio.run(_serve(options))
    except OSError as error:
        cure = "; use --port, 0 takes a free one" if error.errno == errno.EADDRINUSE else ""
        return complain(f"relay simulate: {error}{cure}")
    return DONE


async def _serve(options: SimulatorOptions) -> None:
    task = asyncio.current_task()
    if task is not None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    with suppress(asyncio.CancelledError):
        await serve(options)


def _fault(text: str) -> Fault:
    """`what=rate`, or an object with any of a fault's keys."""
    what, equals, rate = text.partition("=")
    try:
        given = {"what": what, "rate": rate} if equals and not text.lstrip().startswith("{") else json.loads(text)
    except ValueError as error:
        raise WrongOption("--fault", f"{text}: neither WHAT=RATE nor JSON ({error}); {FAULTS}") from None
    if isinstance(given, dict) and given.get("what") not in list(What):
        raise WrongOption("--fault", f"{text}: {FAULTS}")
    try:
        return parse_fault(given)
    except ValueError as error:
        raise WrongOption("--fault", f"{text}: {error}") from None
