"""The journal's figures for whoever asks, asked of the journal once at a time and not more than once a second."""

import asyncio
import time
from collections.abc import Callable
from typing import NamedTuple

import structlog

from relay.domain.figures import JournalFigures
from relay.ports import FiguresJournal, JournalError, JournalFatal

log = structlog.get_logger(__name__)

FRESH_SECONDS = 1.0
DEADLINE_SECONDS = 5.0


class Reading(NamedTuple):
    """The figures, or why there are none."""

    figures: JournalFigures | None
    reason: str = ""


class FiguresReader:
    """One answer serves everybody who asks within a second: pages and probes cannot load the journal."""

    def __init__(
        self, journal: FiguresJournal, now_ms: Callable[[], int], deadline_seconds: float = DEADLINE_SECONDS
    ) -> None:
        self._journal = journal
        self._now_ms = now_ms
        self._deadline_seconds = deadline_seconds
        self._one_at_a_time = asyncio.Lock()
        self._last = Reading(None, "not read yet")
        self._read_at = float("-inf")

    async def read(self) -> Reading:
        async with self._one_at_a_time:
            if time.monotonic() - self._read_at >= FRESH_SECONDS:
                self._last = await self._ask()
                self._read_at = time.monotonic()
            return self._last

    async def _ask(self) -> Reading:
        try:
            async with asyncio.timeout(self._deadline_seconds):
                figures = await self._journal.figures(self._now_ms())
        except TimeoutError:
            return Reading(None, f"the journal did not answer within {self._deadline_seconds:g} seconds")
        except (JournalError, JournalFatal, OSError) as error:
            log.warning("journal cannot be asked", error=str(error))
            return Reading(None, f"the journal cannot be read: {error}")
        except Exception:  # a bug there must not take the metrics with it
            log.exception("journal cannot be asked")
            return Reading(None, "the journal cannot be read: an unexpected error, see the log")
        if not figures.writable:
            return Reading(figures, "the journal cannot be written")
        return Reading(figures)
