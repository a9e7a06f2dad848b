"""Runs a relay in this process until it is told to stop."""

import asyncio
import signal

import structlog

from relay.app.relay import Relay
from relay.config import Config, ConfigFile

log = structlog.get_logger(__name__)

DRAIN_SECONDS = 10.0


async def run(config: Config, file: ConfigFile | None = None) -> int:
    """Run until SIGTERM or SIGINT; the exit code. SIGHUP, and a change of `file`, renews callbacks and secrets from it.

    The first signal stops polling, lets the polls in flight finish and commit, and publishes what is journaled for at
    most DRAIN_SECONDS; a second one leaves that out. Raises what ended a stage (JournalFatal), and OSError or
    JournalFatal if the relay cannot start.
    """
    stop, hurry = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    def on_signal() -> None:
        log.info("stopping", hurry=stop.is_set())
        (hurry if stop.is_set() else stop).set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal)
    relay = Relay(config, file)
    loop.add_signal_handler(signal.SIGHUP, relay.reload)
    try:
        await relay.start()
        await relay.running_until(stop)
        await relay.stop_polling()
        await relay.drained(DRAIN_SECONDS, unless=hurry)
    finally:
        await relay.stop()
    log.info("stopped")
    return 0
