"""Takes up what changes in the configuration file while the relay runs: callbacks and secrets."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, Protocol

import structlog

from relay.config import (
    CallbackChanges,
    CallbackConfig,
    Config,
    ConfigError,
    ConfigFile,
    OtherChanges,
    Stamp,
    advice,
    broken_secrets,
    key_path,
    other_changes,
    stamp_of,
    tls_stamps,
)
from relay.observe import Health, Telemetry
from relay.sinks.callback import TlsFilesUnusable

log = structlog.get_logger(__name__)

CHECK_SECONDS = 2.0
"""So often the file is looked at. A change is taken up when it looks the same twice: who writes it may not be done."""

RETRY_SECONDS = 30.0
"""A file that was refused for another one that it names is tried again by itself."""

COMPONENT = "configuration"


TlsFiles = Mapping[str, tuple[Stamp | None, ...]]


class Look(NamedTuple):
    """What can change: the file itself, certificates and keys by callback, and whether secrets' files are usable."""

    file: Stamp | None
    tls_files: TlsFiles
    broken_secrets: tuple[str, ...] = ()
    """Key paths. To load the file again then tells what is wrong, and once more that all is well."""


class Changeable(Protocol):
    """The callbacks that run."""

    @property
    def tls_files(self) -> TlsFiles: ...
    async def become(self, wanted: Sequence[CallbackConfig]) -> CallbackChanges: ...


class Reloading:
    """`step` belongs into a Stage; who sets `asked` wakes that stage.

    Invariant: a file is taken up whole, for what can be taken up, or not at all.
    """

    def __init__(
        self,
        file: ConfigFile,
        config: Config,
        *,
        asked: asyncio.Event,
        callbacks: Changeable,
        follow: Callable[[Config], None],
        telemetry: Telemetry,
        health: Health,
        now_ms: Callable[[], int],
    ) -> None:
        """`config` came from `file`. `asked`: reload, changed or not. `follow` is told of what is in use from then."""
        self._file = file
        self._config = config
        self._asked = asked
        self._callbacks = callbacks
        self._follow = follow
        self._telemetry = telemetry
        self._health = health
        self._now_ms = now_ms
        self._refused = ""
        self._retry_at = 0.0
        self._taken = self._seen = Look(file.stamp, callbacks.tls_files)
        file.use(config)

    async def step(self) -> float:
        """Reload if there is a reason to. Raises JournalError: it is to be done again."""
        look = await asyncio.to_thread(self._look)
        if not self._is_due(look):
            return CHECK_SECONDS
        asked = self._asked.is_set()
        self._asked.clear()
        try:
            await self._reload()
            look = look._replace(tls_files=self._callbacks.tls_files)
        except (ConfigError, TlsFilesUnusable) as error:
            self._refuse(str(error), again=asked)
        except BaseException:
            self._asked.set()
            raise
        self._taken = self._seen = look
        return CHECK_SECONDS

    def _look(self) -> Look:
        broken = tuple(key_path(problem.path) for problem in broken_secrets(self._config))
        return Look(stamp_of(self._file.path), tls_stamps(self._config.callbacks), broken)

    def _is_due(self, look: Look) -> bool:
        settled, self._seen = look == self._seen, look
        if self._asked.is_set():
            return True
        if look != self._taken:
            return settled
        return bool(self._refused) and time.monotonic() >= self._retry_at

    async def _reload(self) -> None:
        wanted = await asyncio.to_thread(self._file.load)
        others = other_changes(self._config, wanted)
        turn = await self._callbacks.become(wanted.callbacks)
        for secret in others.secrets:
            secret.in_use.become(secret.renewed)
        before, self._config = self._config, self._config.model_copy(update={"callbacks": wanted.callbacks})
        self._file.use(self._config)
        self._follow(self._config)
        self._telemetry.configured(self._now_ms())
        self._refused = ""
        self._tell(turn, others)
        _tell_advice(before, wanted)

    def _refuse(self, error: str, *, again: bool) -> None:
        """Told once for each reason, and to whoever asked."""
        self._retry_at = time.monotonic() + RETRY_SECONDS
        if error != self._refused or again:
            log.error("configuration refused, the one before stays in use", file=str(self._file.path), error=error)
        self._refused = error
        first, *more = error.splitlines()
        rest = f" (and {len(more)} more, see the log)" if more else ""
        self._health.degrade(COMPONENT, f"refused, the one before stays in use: {first}{rest}")
        self._telemetry.configuration_refused()

    def _tell(self, turn: CallbackChanges, others: OtherChanges) -> None:
        log.info(
            "configuration reloaded",
            file=str(self._file.path),
            added=[callback.name for callback in turn.added],
            changed=[callback.name for callback in turn.changed],
            removed=list(turn.removed),
            renewed=[secret.key for secret in others.secrets],
        )
        if others.restart:
            log.warning("configuration needs a restart for what else changed", keys=list(others.restart))
            self._health.degrade(COMPONENT, f"needs a restart for {', '.join(others.restart)}")
        else:
            self._health.recover(COMPONENT)


def _tell_advice(before: Config, after: Config) -> None:
    """What was not said at the start, or at the reload before."""
    told = {problem.message for problem in advice(before)}
    for problem in advice(after):
        if problem.message not in told:
            log.warning("configuration advice", key=key_path(problem.path), advice=problem.message)
