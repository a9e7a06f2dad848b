"""Where fsync costs nothing: for tests of many commits, to which a kill is a copy of the files as they are."""

import os
import tempfile
from pathlib import Path

_MEMORY = "/dev/shm"


def directory_in_memory() -> Path:
    """A new one, if the machine has such a place; whoever made it removes it."""
    return Path(tempfile.mkdtemp(dir=_MEMORY if os.access(_MEMORY, os.W_OK) else None))
