"""The API simulator: one-time queues as the API has them, faults on request, a ledger of what was handed out.

Invariant: a report is handed out in exactly one response, and stands in the ledger before that response is started.
"""
