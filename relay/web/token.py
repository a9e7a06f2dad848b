"""The bearer token of the API: from the configuration, or made once beside the journal."""

import os
import secrets
from pathlib import Path

from relay.config import Config, Secret

TOKEN_FILE = "relay.token"  # noqa: S105 - the file's name
TOKEN_BYTES = 32


def api_token(config: Config) -> Secret:
    """The configured token, else the one in `relay.token` in the journal's directory, made if it is not there.

    Raises OSError if it cannot be made.
    """
    if config.http.token is not None:
        return config.http.token
    file = token_file(config)
    if not file.exists() or not file.read_text(encoding="ascii").strip():
        _write_token(file)
    return Secret(file=file)


def token_file(config: Config) -> Path:
    return config.journal.path.parent / TOKEN_FILE


def _write_token(file: Path) -> None:
    """Whole or not at all, and never readable by others, not even for a moment."""
    unfinished = file.with_name(f"{file.name}.{os.getpid()}")
    unfinished.unlink(missing_ok=True)
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as stream:
        stream.write(secrets.token_urlsafe(TOKEN_BYTES) + "\n")
        stream.flush()
        os.fsync(stream.fileno())
    unfinished.replace(file)
