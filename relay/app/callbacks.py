"""Wires the callbacks: a gate and a sender for each, a deliverer for each stream that it follows."""

import asyncio

from relay.app.ground import Ground, Wakes, now_ms
from relay.config import CallbackConfig, Config
from relay.domain.report import Stream
from relay.sinks.callback import HttpCallback
from relay.stages.deliver import CallbackControl, Deliver, Gate, subscribes

GRACE_SECONDS = 5.0
"""Attempts in flight have so long to end when the relay stops."""


class Callbacks:
    """The callbacks of the configuration; `follow` is called for each stream, `close` after room "deliver" stopped."""

    def __init__(self, ground: Ground, wakes: Wakes) -> None:
        self._ground = ground
        self._wakes = wakes
        self.controls: dict[str, CallbackControl] = {}
        """What people do with them, by name."""
        self._gates: dict[str, Gate] = {}
        self._senders: dict[str, HttpCallback] = {}
        self._delivers: list[Deliver] = []

    async def open(self) -> None:
        """Make gates and senders. Raises TlsFilesUnusable."""
        ground = self._ground
        pauses = await ground.journal.kept_pauses()
        for config in ground.config.callbacks:
            gate = Gate(config, ground.health, ground.telemetry, pause=pauses.get(config.name))
            sender = HttpCallback(config)
            ground.cleanup.push_async_callback(sender.close)
            self._gates[config.name], self._senders[config.name] = gate, sender
            self.controls[config.name] = CallbackControl(
                config,
                gate=gate,
                sender=sender,
                journal=ground.journal,
                streams=[stream for stream in streams_of(ground.config) if subscribes(config, stream)],
                now_ms=now_ms,
            )

    async def follow(self, stream: Stream) -> None:
        """Start the deliverers of the stream."""
        for config in self._ground.config.callbacks:
            if subscribes(config, stream):
                await self._deliver(config, stream)

    async def close(self) -> None:
        await asyncio.gather(*(deliver.close(GRACE_SECONDS) for deliver in self._delivers))

    async def _deliver(self, config: CallbackConfig, stream: Stream) -> None:
        name = f"{config.name}/{stream}"
        deliver = Deliver(
            config=config,
            stream=stream,
            lease=await self._ground.journal.acquire_lease(f"callback/{name}"),
            journal=self._ground.journal,
            sender=self._senders[config.name],
            gate=self._gates[config.name],
            telemetry=self._ground.telemetry,
            now_ms=now_ms,
        )
        self._delivers.append(deliver)
        stage = self._ground.stages.start("deliver", f"deliver/{name}", deliver.step)
        deliver.wake = stage.wake.set
        self._wakes.follows(stream, stage.name, stage.wake.set)


def subscriptions(config: Config) -> frozenset[tuple[str, Stream]]:
    """The (callback, stream) pairs of the configuration."""
    streams = streams_of(config)
    return frozenset(
        (callback.name, stream) for callback in config.callbacks for stream in streams if subscribes(callback, stream)
    )


def streams_of(config: Config) -> list[Stream]:
    """All streams of the configuration, in its order."""
    return [Stream(source.name, endpoint.kind) for source in config.sources for endpoint in source.endpoints]
