"""SQLite's errors told in the words of the ports: what may be tried again, what is full, what ends the process."""

import errno

import apsw

from relay.ports import JournalError, JournalFatal, JournalFull


class JournalRefused(JournalFatal):
    """The file or its place cannot serve as a journal: nothing was changed. The message says why and what to do."""


class JournalClosed(JournalError):
    """The journal was closed; nothing was written."""


_FATAL = (apsw.IOError, apsw.CorruptError, apsw.NotADBError, apsw.ReadOnlyError, apsw.ProtocolError)


def translate(error: apsw.Error, path: str, system_errno: int = 0) -> JournalError | JournalFatal:
    """The port's error for one of SQLite's; `system_errno` tells a quota (full) from other failed writes."""
    if isinstance(error, apsw.FullError) or (isinstance(error, apsw.IOError) and system_errno == errno.EDQUOT):
        return JournalFull(f"no room for the journal {path}: {error}")
    if isinstance(error, apsw.CorruptError | apsw.NotADBError):
        return JournalFatal(f"the journal {path} is damaged: {error}; keep the file, restore a backup or another disk")
    if isinstance(error, _FATAL):
        return JournalFatal(f"the journal {path} cannot be read or written: {error}; check the disk and its log")
    return JournalError(f"journal {path}: {type(error).__name__}: {error}")


class Trust:
    """Whether the journal can still be trusted; once lost, for writer and readers alike, and for ever."""

    def __init__(self) -> None:
        self.lost: JournalFatal | None = None

    def lose(self, reason: JournalFatal) -> None:
        if self.lost is None:
            self.lost = reason

    def check(self) -> None:
        if self.lost is not None:
            raise JournalFatal(str(self.lost)) from self.lost
