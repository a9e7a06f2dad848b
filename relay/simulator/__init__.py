"""A simulator of the one-time API: queues that forget what they handed out, faults on request, a ledger that does not."""
