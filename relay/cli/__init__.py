"""The command line. Commands are thin: what they start is imported when they run, so that `--help` is quick.

Exit codes: 0 done, 1 failed, 2 wrong use or configuration.
"""

from relay.cli.commands import main

__all__ = ["main"]
