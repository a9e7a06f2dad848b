"""`relay demo`."""

import asyncio

from rich.console import Console

from relay.cli.output import FAILED, complain
from relay.observe import configure_logging

MISSING = "relay demo needs confluent-kafka, for an embedded Kafka: pip install 'infobip-relay[demo]'"


def run_demo(*, seconds: float, rate: float, bootstrap_servers: str | None) -> int:
    """Run the demo to its verdict; the exit code says whether it passed."""
    try:
        from relay.demo.scene import DemoOptions, run  # noqa: PLC0415 - what it needs may not be installed
    except ModuleNotFoundError as error:
        if error.name != "confluent_kafka":
            raise
        return complain(MISSING)
    configure_logging(level="warning", style="console")
    options = DemoOptions(seconds=seconds, rate=rate, bootstrap_servers=bootstrap_servers)
    try:
        return asyncio.run(run(options, Console()))
    except KeyboardInterrupt:
        return FAILED
