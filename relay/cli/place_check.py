"""What this machine offers: a place for the journal, a port to listen on."""

import errno
import os
import socket
from pathlib import Path

from relay.cli.finding import Finding, State
from relay.domain.sizes import size
from relay.journal.errors import JournalRefused
from relay.journal.files import FileLock, check_place, free_bytes
from relay.web.service import unusable_address

SQLITE_MAGIC = b"SQLite format 3\x00"


def journal_findings(file: Path) -> list[Finding]:
    """Whether the journal's place is writable, local, lockable, and holds a journal or nothing."""
    name = f"journal {file}"
    try:
        warnings = check_place(file)
    except JournalRefused as error:
        return [Finding(name, State.FAILED, _without_name(name, str(error)))]
    found = [Finding(name, State.WARNING, _without_name(name, warning)) for warning in warnings]
    return [*found, _file(name, file), _lock(name, file)]


def _without_name(name: str, text: str) -> str:
    """The finding has it already."""
    return text.removeprefix(name).lstrip(": ")


def recordings_findings(directory: Path) -> list[Finding]:
    """Whether recordings could be stored; nothing is created."""
    name = f"recordings {directory}"
    place = next(parent for parent in (directory.absolute(), *directory.absolute().parents) if parent.exists())
    if not place.is_dir() or not os.access(place, os.W_OK | os.X_OK):
        cure = "correct owner or mode, or name another in sources.recordings.directory"
        return [Finding(name, State.FAILED, f"{place} is no directory that may be written; {cure}")]
    return [
        Finding(name, State.OK, f"{'exists' if place == directory.absolute() else 'will be created'}; {_free(place)}")
    ]


def _free(place: Path) -> str:
    return f"{size(free_bytes(place))} free"


def http_findings(host: str, port: int, port_key: str = "http.port") -> list[Finding]:
    """Whether the HTTP service could listen. A port that is taken is a warning: a running relay may have it."""
    name = f"http {host}:{port}"
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0][0]
        with socket.socket(family, socket.SOCK_STREAM) as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((host, port))
    except OSError as error:
        state = State.WARNING if error.errno == errno.EADDRINUSE else State.FAILED
        return [Finding(name, state, str(unusable_address(error, host, port, port_key)))]
    return [Finding(name, State.OK, "can be listened on")]


def _file(name: str, file: Path) -> Finding:
    if not file.exists():
        return Finding(name, State.OK, f"will be created; {size(free_bytes(file.parent))} free")
    try:
        with file.open("rb") as stream:
            magic = stream.read(len(SQLITE_MAGIC))
    except OSError as error:
        return Finding(name, State.FAILED, f"cannot be read: {error.strerror}; correct its owner or mode")
    if magic not in (SQLITE_MAGIC, b""):
        return Finding(name, State.FAILED, "is not a journal of relay; keep the file and name another in journal.url")
    return Finding(name, State.OK, f"exists; {size(free_bytes(file.parent))} free")


def _lock(name: str, file: Path) -> Finding:
    try:
        FileLock.acquire(file).release()
    except JournalRefused as error:
        return Finding(name, State.WARNING, _without_name(name, str(error)))
    except OSError as error:
        return Finding(name, State.FAILED, f"cannot be locked: {error.strerror}; correct owner or mode of {file}.lock")
    return Finding(name, State.OK, "can be locked")
