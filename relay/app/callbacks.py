"""Wires the callbacks, and lets them come, go and change while everything else runs."""

import asyncio
from collections.abc import Coroutine, Sequence

from relay.app.callback import Callback
from relay.app.ground import Ground, Wakes
from relay.config import CallbackChanges, CallbackConfig, Config, Stamp, callback_changes, tls_stamps
from relay.domain.pausing import Pause, PausedBy
from relay.domain.report import Stream
from relay.ports import ReplayTarget
from relay.sinks.callback import HttpCallback
from relay.stages.deliver import CallbackControl, subscribes, wanted_by

GRACE_SECONDS = 5.0
"""Attempts in flight have so long to end when the relay stops."""

LONGEST_GRACE_SECONDS = 30.0
"""And at most so long while it goes on without their callback, or with it changed."""


class Callbacks:
    """The callbacks that run; `follow` is called for each stream, `close` after room "deliver" stopped."""

    def __init__(self, ground: Ground, wakes: Wakes) -> None:
        self.controls: dict[str, CallbackControl] = {}
        """What people do with them, by name."""
        self.tls_files: dict[str, tuple[Stamp | None, ...]] = {}
        """As they were when they were read, by callback."""
        self._ground = ground
        self._wakes = wakes
        self._running: dict[str, Callback] = {}
        self._streams: list[Stream] = []

    async def open(self) -> None:
        """Make those of the configuration. Raises TlsFilesUnusable."""
        await self.become(self._ground.config.callbacks)

    async def follow(self, stream: Stream) -> None:
        """Start the deliverers of one more stream."""
        self._streams.append(stream)
        for callback in self._running.values():
            await callback.follow(stream)

    def target_of(self, name: str) -> ReplayTarget | None:
        """How the callback gets reports again; None if there is none of that name now."""
        if (callback := self._running.get(name)) is None:
            return None
        config = callback.config
        return ReplayTarget(wanted_by(config), config.batch_size, config.max_backlog)

    def stored(self, name: str, stream: Stream) -> None:
        """Somebody has put deliveries for it into the journal, due at once."""
        if (callback := self._running.get(name)) is not None:
            callback.stored(stream)

    async def become(self, wanted: Sequence[CallbackConfig]) -> CallbackChanges:
        """From now on these, and no others; what they were before and did not change goes on undisturbed.

        Raises TlsFilesUnusable: then nothing has changed. Raises JournalError: then some have; call it again.
        """
        tls_files = await asyncio.to_thread(tls_stamps, wanted)
        turn = self._turn(wanted, tls_files)
        senders = [await asyncio.to_thread(HttpCallback, config) for config in (*turn.added, *turn.changed)]
        self.tls_files = tls_files
        await _all(
            *(self._remove(name) for name in turn.removed),
            *(
                self._renew(config, sender)
                for config, sender in zip((*turn.added, *turn.changed), senders, strict=True)
            ),
        )
        return turn

    async def close(self) -> None:
        """Stop all; those that were about to stop, too."""
        await asyncio.gather(*(callback.stop(GRACE_SECONDS) for callback in self._running.values()))

    def _turn(
        self, wanted: Sequence[CallbackConfig], tls_files: dict[str, tuple[Stamp | None, ...]]
    ) -> CallbackChanges:
        """A certificate or key renewed in its place is a change, too."""
        turn = callback_changes([callback.config for callback in self._running.values()], wanted)
        settled = {config.name for config in (*turn.added, *turn.changed)}
        renewed = [
            config
            for config in wanted
            if config.name not in settled and tls_files[config.name] != self.tls_files[config.name]
        ]
        return turn._replace(changed=(*turn.changed, *renewed))

    async def _remove(self, name: str) -> None:
        await self._stop(name)
        self._ground.telemetry.forget_callback(name)

    async def _renew(self, config: CallbackConfig, sender: HttpCallback) -> None:
        """The old one ends before the new one begins: each delivery has one owner."""
        before = self._running.get(config.name)
        if before is not None:
            await self._stop(config.name)
        pause = await self._pause_for(config, before)
        streams = streams_of(self._ground.config)
        callback = Callback(config, self._ground, self._wakes, sender=sender, pause=pause, streams=streams)
        self._running[config.name] = callback
        self.controls[config.name] = callback.control
        try:
            for stream in self._streams:
                await callback.follow(stream)
        except Exception:
            await self._stop(config.name)  # what follows some of its streams would pass for whole
            raise

    async def _pause_for(self, config: CallbackConfig, before: Callback | None) -> Pause | None:
        """A pause outlives a change and a removal; but what said that it was gone is not asked at another URL."""
        journal = self._ground.journal
        if before is None:
            return (await journal.kept_pauses()).get(config.name)
        pause = before.control.standing.pause
        if pause is not None and pause.by is PausedBy.GONE and before.config.url != config.url:
            pause = None
        await journal.keep_pause(config.name, pause)
        return pause

    async def _stop(self, name: str) -> None:
        callback = self._running[name]
        self.controls.pop(name, None)
        await callback.stop(min(callback.config.timeout_seconds, LONGEST_GRACE_SECONDS))
        del self._running[name]


async def _all(*changes: Coroutine[None, None, None]) -> None:
    """Each as far as it comes; then the first error, if there is one."""
    ended = await asyncio.gather(*changes, return_exceptions=True)
    for error in ended:
        if error is not None:
            raise error


def subscriptions(streams: Sequence[Stream], callbacks: Sequence[CallbackConfig]) -> frozenset[tuple[str, Stream]]:
    """The (callback, stream) pairs."""
    return frozenset(
        (callback.name, stream) for callback in callbacks for stream in streams if subscribes(callback, stream)
    )


def streams_of(config: Config) -> list[Stream]:
    """All streams of the configuration, in its order."""
    return [Stream(source.name, endpoint.kind) for source in config.sources for endpoint in source.endpoints]
