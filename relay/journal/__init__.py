"""The one durable log. Its invariant: what a method has answered is on the disk, whole, or the method raised.

`sqlite` is the journal; its methods are transactions named by meaning. `writer` commits them in groups in one thread,
`reader` answers from the last commit in others. What a transaction does stands in a module for each concern
(`streams`, `fetches`, `recording`, `cursors`, `deliveries`, `pruning`, …), its statements in `sql/`.

Thousands of rows move in a statement, never one by one: SQLite's caller gives up the interpreter lock for each step,
and must wait for it again (up to the switch interval, 5 ms) whenever the event loop is busy.
"""
