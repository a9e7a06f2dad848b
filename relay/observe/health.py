"""What is degraded right now."""


class Health:
    """What is degraded right now, by component: named in /readyz, never a reason to stop."""

    def __init__(self) -> None:
        self._degraded: dict[str, str] = {}

    def degrade(self, component: str, reason: str) -> None:
        self._degraded[component] = reason

    def recover(self, component: str) -> None:
        self._degraded.pop(component, None)

    @property
    def degraded(self) -> dict[str, str]:
        return dict(self._degraded)
