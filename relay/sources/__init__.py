"""Clients of the one-time APIs; a destructive read is sent once and its body returned as received, or the reason why not."""
