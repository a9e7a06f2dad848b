"""Clients of the API: one-time endpoints are asked once, logs as often as it takes.

Invariant: a one-time endpoint sees exactly one GET for each call of `fetch_reports`, and every byte that came of the
answer is given back, however the exchange ended.
"""
