"""Clients of the API: one request, one answer, never a repeat.

Invariant: a one-time endpoint sees exactly one GET for each call of `fetch_reports`, and every byte that came of the
answer is given back, however the exchange ended.
"""
