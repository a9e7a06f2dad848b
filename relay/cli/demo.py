"""`relay demo`."""

import asyncio

from rich.console import Console

from relay.cli.output import FAILED, complain
from relay.observe import configure_logging

MISSING = "relay demo needs confluent-kafka, for an embedded Kafka: pip install 'infobip-relay[demo]'"


def run_demo(*, seconds: float, rate: float, bootstrap_servers: str | None) -> int:
    """Run the demo to its verdict; the exit code says whether it passed."""
    try:
        from confluent_kafka import KafkaException  # noqa: PLC0415 - it need not be installed
    except ImportError:
        return complain(MISSING)
    from relay.demo.scene import DemoOptions, run  # noqa: PLC0415 - it needs confluent_kafka

    configure_logging(level="warning", style="console")
    options = DemoOptions(seconds=seconds, rate=rate, bootstrap_servers=bootstrap_servers)
    try:
        return asyncio.run(run(options, Console()))
    except KeyboardInterrupt:
        return FAILED
    except KafkaException as error:
        reason = error.args[0].str() if error.args and hasattr(error.args[0], "str") else error
        where = bootstrap_servers or "an embedded broker"
        return complain(f"relay demo: Kafka at {where} does not answer, is it running there? {reason}")
