"""What a report is and what is decided about it: pure functions and frozen records, no I/O, no clock of its own."""
