"""What operators see: log, metrics and health. Stages tell what happened; only this package knows metric names.

Invariant: nothing here ever shows a secret or a phone number, and nothing here can make a stage fail.
"""

from relay.observe.health import Health
from relay.observe.log import configure_logging
from relay.observe.telemetry import Telemetry

__all__ = ["Health", "Telemetry", "configure_logging"]
