"""A simulator of the one-time API: queues that forget what they handed out, faults, a ledger that does not forget."""
