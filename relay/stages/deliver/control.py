"""What people do with a callback of a running relay: look at it, pause it, resume it, send it a sample."""

import secrets
from collections.abc import Callable, Sequence

import structlog

from relay.config import CallbackConfig
from relay.config.summary import without_secrets
from relay.domain.envelope import webhook_id
from relay.domain.pausing import Pause, PausedBy, Standing
from relay.domain.report import Stream
from relay.domain.sample import sample_entry
from relay.ports import CallbackSender, PauseJournal, SampleSent
from relay.stages.deliver.gate import Gate

log = structlog.get_logger(__name__)


class CallbackControl:
    """One callback; what it does is in force when it returns, and outlives the process."""

    def __init__(
        self,
        config: CallbackConfig,
        *,
        gate: Gate,
        sender: CallbackSender,
        journal: PauseJournal,
        streams: Sequence[Stream],
        now_ms: Callable[[], int],
    ) -> None:
        """`streams` are those that it follows."""
        self.url = without_secrets(config.url)
        self.streams = tuple(streams)
        self._gate = gate
        self._sender = sender
        self._journal = journal
        self._now_ms = now_ms

    @property
    def standing(self) -> Standing:
        return self._gate.standing

    async def pause(self, reason: str) -> bool:
        """Whether it was paused before: then it still is since then, and for the same reason unless another is given.

        Raises JournalError: it is paused, but would not be after a restart; that is tried again.
        """
        before = self._gate.standing.pause
        pause = Pause(PausedBy.HAND, reason, self._now_ms())
        if before is not None:
            known = before.reason if before.by is PausedBy.HAND else before.told
            pause = pause._replace(reason=reason or known, at_ms=before.at_ms)
        if pause != before:
            self._gate.pause(pause)
        await self._gate.keep(self._journal)
        return before is not None

    async def resume(self) -> bool:
        """Whether it was paused or half open. Raises JournalError: it would be paused again after a restart."""
        resumed = self._gate.resume()
        await self._gate.keep(self._journal)
        return resumed

    async def test(self, stream: Stream) -> SampleSent:
        """Send one signed sample, paused or not; it counts neither as a success nor as a failure."""
        at_ms = self._now_ms()
        entry = sample_entry(stream.kind, secrets.token_hex(8), at_ms)
        result = await self._sender.post(stream, [entry], at_ms)
        log.info("callback tested", callback=self._gate.name, status=result.status, error=result.error)
        return SampleSent(entry.message_id, webhook_id(stream, [entry]), result)
