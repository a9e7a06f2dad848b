"""The only place that wires: journal, sources, sinks and stages from a configuration; runs them and stops them.

`web`, `streams` and `callbacks` wire one part each on the ground that they share; `relay` starts and stops them in the
order of the flow.
"""

from relay.app.ground import now_ms
from relay.app.relay import Relay
from relay.app.running import run

__all__ = ["Relay", "now_ms", "run"]
