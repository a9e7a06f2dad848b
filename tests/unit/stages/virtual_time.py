"""An event loop whose clock leaps to the next timer when nobody has anything to do: hours pass in milliseconds."""

import asyncio
import selectors
from typing import Any

MOST_ROUNDS = 400_000
"""A loop that turns without end would never let time pass."""

TURN_SECONDS = 1e-6
"""What each turn takes, or a wait that is too short for a float would never end."""


class LeapingSelector(selectors.DefaultSelector):  # type: ignore[misc,valid-type]
    """Instead of waiting it sets the clock forward."""

    seconds = 1000.0
    outside = 0
    """Calls that other threads work on: for them it waits in truth, and the clock stands."""
    rounds = 0

    def select(self, timeout: float | None = None) -> Any:
        self.rounds += 1
        if self.rounds > MOST_ROUNDS:
            raise AssertionError("it turns without end")
        if self.outside:
            return super().select(timeout if timeout == 0 else 0.05)
        if timeout is None:
            raise AssertionError("everybody waits for ever")
        self.seconds += max(TURN_SECONDS, timeout)
        return super().select(0)


class LeapingLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self.clock = LeapingSelector()
        super().__init__(self.clock)

    def time(self) -> float:
        return self.clock.seconds
