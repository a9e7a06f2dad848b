"""What a callback subscribes to, by its configuration."""

from relay.config import CallbackConfig
from relay.domain.report import EntryType, Stream
from relay.ports import Wanted

_ALWAYS = frozenset({EntryType.REPORT, EntryType.COMPLETION})


def subscribes(config: CallbackConfig, stream: Stream) -> bool:
    """Whether the callback follows the stream at all."""
    return (config.sources is None or stream.source in config.sources) and (
        config.kinds is None or stream.kind in config.kinds
    )


def wanted_by(config: CallbackConfig) -> Wanted:
    """Which entries of a stream it gets; never a quarantine entry."""
    return Wanted(
        types=_ALWAYS | {EntryType.REVISION} if config.revisions else _ALWAYS,
        status_groups=None if config.status_groups is None else frozenset(config.status_groups),
    )
