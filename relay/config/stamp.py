"""What tells one version of a file from the next, also through the symbolic links of a Kubernetes volume."""

from pathlib import Path
from typing import NamedTuple


class Stamp(NamedTuple):
    """Equal only for the same bytes of the same file, as far as can be known without reading them."""

    modified_ns: int
    changed_ns: int
    device: int
    inode: int
    size: int


def read_stamp(file: Path) -> Stamp:
    """Raises OSError if there is no such file, or it cannot be seen."""
    status = file.stat()
    return Stamp(status.st_mtime_ns, status.st_ctime_ns, status.st_dev, status.st_ino, status.st_size)


def stamp_of(file: Path) -> Stamp | None:
    """None if there is no such file, or it cannot be seen."""
    try:
        return read_stamp(file)
    except OSError:
        return None
