"""The file that a relay was started with, looked at again while it runs."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from relay.config.callback import CallbackConfig
from relay.config.load import load
from relay.config.model import Config
from relay.config.stamp import Stamp, stamp_of
from relay.config.summary import secret_texts


class ConfigFile:
    """The file and the environment that it is expanded with.

    `secret_texts` are those of the configuration in use and of the one loaded last, which may take its place.
    """

    def __init__(self, path: Path, environ: Mapping[str, str]) -> None:
        self.path = path
        self.stamp: Stamp | None = None
        """Of the file as it was loaded last."""
        self._environ = environ
        self._loaded: Config | None = None
        self._in_use: Config | None = None

    def load(self) -> Config:
        """Raises ConfigError, as `relay.config.load` does."""
        self.stamp = stamp_of(self.path)  # before: who writes it meanwhile has changed it
        self._loaded = load(self.path, self._environ)
        return self._loaded

    def use(self, config: Config) -> None:
        """From now on this one is in use."""
        self._in_use = config

    def secret_texts(self) -> Iterator[str]:
        for config in (self._in_use, self._loaded):
            if config is not None:
                yield from secret_texts(config)


def tls_stamps(callbacks: Iterable[CallbackConfig]) -> dict[str, tuple[Stamp | None, ...]]:
    """By callback: certificates and keys are read when it starts; other ones are another callback, as it were."""
    return {
        callback.name: tuple(
            stamp_of(file) for file in (callback.ca_file, callback.cert_file, callback.key_file) if file is not None
        )
        for callback in callbacks
    }
