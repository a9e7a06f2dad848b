"""relay: reads Infobip's one-time report queues and publishes each report exactly once."""

__version__ = "0.1.0"
