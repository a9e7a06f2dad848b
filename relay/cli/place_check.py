"""What this machine offers: a place for the journal, a port to listen on."""

import errno
import os
import socket
from collections.abc import Iterator
from pathlib import Path

from relay.cli.finding import Finding, State
from relay.domain.sizes import size
from relay.journal.connection import look_at
from relay.journal.errors import JournalRefused
from relay.journal.files import FileLock, check_place, free_bytes
from relay.journal.schema import VERSION
from relay.web.service import unusable_address


def journal_findings(file: Path) -> list[Finding]:
    """Whether the journal's place is writable, local, lockable, and holds nothing or a journal that `relay run` would
    open."""
    name = f"journal {file}"
    try:
        warnings = check_place(file)
    except JournalRefused as error:
        return [Finding(name, State.FAILED, _without_name(name, str(error)))]
    found = [Finding(name, State.WARNING, _without_name(name, warning)) for warning in warnings]
    try:
        lock = FileLock.acquire(file)
    except JournalRefused as error:
        in_use = Finding(name, State.WARNING, _without_name(name, str(error)))
        return [*found, *_file(name, file, in_use=True), in_use]
    except OSError as error:
        cure = f"correct owner or mode of {file}.lock"
        return [*found, Finding(name, State.FAILED, f"cannot be locked: {error.strerror}; {cure}")]
    try:
        return [*found, *_file(name, file, in_use=False), Finding(name, State.OK, "can be locked")]
    finally:
        lock.release()


def _without_name(name: str, text: str) -> str:
    """The finding has it already."""
    return text.removeprefix(name).removeprefix(name.removeprefix("journal ")).lstrip(": ")


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


def _file(name: str, file: Path, *, in_use: bool) -> Iterator[Finding]:
    try:
        schema = look_at(file, in_use=in_use)
    except JournalRefused as error:
        yield Finding(name, State.FAILED, _without_name(name, str(error)))
        return
    except OSError as error:
        yield Finding(name, State.FAILED, f"cannot be read: {error.strerror}; correct its owner or mode")
        return
    free = f"{size(free_bytes(file.parent))} free"
    if schema is None:
        yield Finding(name, State.OK, f"will be created; {free}")
        return
    yield Finding(name, State.OK, f"exists, and its content makes sense; {free}" if not in_use else f"exists; {free}")
    if schema < VERSION:
        upgrade = f"has schema {schema}; `relay run` brings it up to {VERSION}, which an earlier relay refuses"
        yield Finding(name, State.WARNING, f"{upgrade}: back it up first")
