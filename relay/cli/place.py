"""Which running relay a command means."""

from pathlib import Path

from relay.cli.remote import RunningRelay, running_relay

Place = tuple[str | None, Path | None, Path | None, str | None]
"""URL, configuration, token file, token."""


def relay_at(place: Place) -> RunningRelay:
    """Raises Refused, wrong use, if the options do not say enough."""
    url, config, token_file, token = place
    return running_relay(url=url, config=config, token_file=token_file, token=token)
