"""A gate whose clock is moved by hand, for the tests of all that it does."""

from relay.config import CallbackConfig
from relay.domain.pausing import Pause
from relay.observe import Health, Telemetry
from relay.stages.deliver import Gate


def config(**keys: object) -> CallbackConfig:
    return CallbackConfig.model_validate({"name": "billing", "url": "http://localhost/", **keys})


class Told:
    """A gate by a clock that stands still, without jitter, and what it shows."""

    def __init__(self, *, pause: Pause | None = None, **keys: object) -> None:
        self.health, self.telemetry, self.now = Health(), Telemetry(), 100.0
        self.gate = Gate(
            config(**keys),
            self.health,
            self.telemetry,
            pause=pause,
            monotonic=lambda: self.now,
            uniform=lambda: 1.0,
        )

    @property
    def metric(self) -> float | None:
        return self.telemetry.registry.get_sample_value("relay_callback_paused", {"callback": "billing"})

    def enter(self) -> bool:
        return self.gate.enter(nobody)

    def fail(self, times: int, reason: str = "HTTP 500") -> None:
        """So many that were in flight together."""
        for _ in range(times):
            assert self.enter()
        for _ in range(times):
            self.gate.failed(reason)

    def probe(self) -> float:
        """Wait until one attempt is let in, which fails; how long that took."""
        began = self.now
        while not self.enter():
            self.now += 0.01
        assert not self.enter()  # one at a time
        self.gate.failed("HTTP 500")
        return self.now - began


def gate(concurrency: int = 2) -> Gate:
    return Told(concurrency=concurrency).gate


def nobody() -> None:
    """A waiter that does nothing."""
