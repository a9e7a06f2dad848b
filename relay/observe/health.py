"""What is degraded right now."""

from relay.observe.redact import mask

MAX_REASON_CHARACTERS = 500


class Health:
    """What is degraded right now, by component: named in /readyz, never a reason to stop.

    Reasons often hold the text of an error and are shown to whoever asks, so they are masked like the log.
    """

    def __init__(self) -> None:
        self._degraded: dict[str, str] = {}

    def degrade(self, component: str, reason: str) -> None:
        self._degraded[component] = mask(reason)[:MAX_REASON_CHARACTERS]

    def recover(self, component: str) -> None:
        self._degraded.pop(component, None)

    @property
    def degraded(self) -> dict[str, str]:
        return dict(self._degraded)
