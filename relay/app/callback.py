"""Wires one callback: its gate, its sender, a deliverer for each stream that it follows."""

import asyncio

from relay.app.ground import Ground, Wakes, now_ms
from relay.config import CallbackConfig
from relay.domain.pausing import Pause
from relay.domain.report import Stream
from relay.sinks.callback import HttpCallback
from relay.stages.deliver import CallbackControl, Deliver, Gate, subscribes
from relay.stages.stage import Stage


class Callback:
    """One callback by one configuration: with another it is another one. `follow` begins it, `stop` ends it."""

    def __init__(
        self,
        config: CallbackConfig,
        ground: Ground,
        wakes: Wakes,
        *,
        sender: HttpCallback,
        pause: Pause | None,
        streams: list[Stream],
    ) -> None:
        """`streams` are all that there are, `pause` is what the journal holds."""
        self.config = config
        self._ground = ground
        self._wakes = wakes
        self._sender = sender
        self._gate = Gate(config, ground.health, ground.telemetry, pause=pause)
        self.control = CallbackControl(
            config,
            gate=self._gate,
            sender=sender,
            journal=ground.journal,
            streams=[stream for stream in streams if subscribes(config, stream)],
            now_ms=now_ms,
        )
        """What people do with it."""
        self._delivering: dict[Stream, tuple[Deliver, Stage]] = {}

    async def follow(self, stream: Stream) -> None:
        """Start the deliverer of the stream, if the callback subscribes to it. Raises JournalError."""
        if not subscribes(self.config, stream):
            return
        name = f"{self.config.name}/{stream}"
        deliver = Deliver(
            config=self.config,
            stream=stream,
            lease=await self._ground.journal.acquire_lease(f"callback/{name}"),
            journal=self._ground.journal,
            sender=self._sender,
            gate=self._gate,
            telemetry=self._ground.telemetry,
            now_ms=now_ms,
        )
        stage = self._ground.stages.start("deliver", f"deliver/{name}", deliver.step)
        deliver.wake = stage.wake.set
        self._delivering[stream] = deliver, stage
        self._wakes.follows(stream, stage.name, deliver.entries_came)

    def stored(self, stream: Stream) -> None:
        """Somebody has put deliveries of the stream into the journal, due at once."""
        if (delivering := self._delivering.get(stream)) is not None:
            delivering[0].stored_elsewhere()

    async def stop(self, grace_seconds: float) -> None:
        """No new attempts; those in flight have `grace_seconds` to end. What was not recorded by then is attempted
        again by whoever follows the streams next. May be called again, also after it was cancelled."""
        delivering = self._delivering
        for stream, (_, stage) in delivering.items():
            self._wakes.leaves(stream, stage.name)
        await self._ground.stages.end([stage for _, stage in delivering.values()])
        await asyncio.gather(*(deliver.close(grace_seconds) for deliver, _ in delivering.values()))
        await self._sender.close()
        delivering.clear()
        self._ground.health.recover(f"callback/{self.config.name}")
