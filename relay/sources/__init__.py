"""Clients of the one-time APIs: a destructive read is sent once; its body comes back as received, or the reason."""
