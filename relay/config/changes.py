"""What another configuration changes in the one that runs, and how it can take effect."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from relay.config.callback import CallbackConfig
from relay.config.error import KeyPath, key_path
from relay.config.fields import Section
from relay.config.model import Config
from relay.config.secret import Secret
from relay.config.source import SourceConfig


class CallbackChanges(NamedTuple):
    """What becomes of callbacks."""

    added: tuple[CallbackConfig, ...]
    changed: tuple[CallbackConfig, ...]
    """As they are to be."""
    removed: tuple[str, ...]


class RenewedSecret(NamedTuple):
    """Another secret for the same purpose: the one in use can become the other while it is used."""

    key: str
    in_use: Secret
    renewed: Secret


class OtherChanges(NamedTuple):
    """Outside of the callbacks. Key paths are those of the new file; of what it lacks, those of the running one."""

    secrets: tuple[RenewedSecret, ...]
    restart: tuple[str, ...]
    """What waits for a restart."""


class _Difference(NamedTuple):
    """None where one of them has nothing."""

    path: KeyPath
    before: Any
    after: Any


def callback_changes(running: Iterable[CallbackConfig], wanted: Iterable[CallbackConfig]) -> CallbackChanges:
    """By name; their order does not matter."""
    before = {callback.name: callback for callback in running}
    after = {callback.name: callback for callback in wanted}
    return CallbackChanges(
        added=tuple(callback for name, callback in after.items() if name not in before),
        changed=tuple(callback for name, callback in after.items() if name in before and callback != before[name]),
        removed=tuple(name for name in before if name not in after),
    )


def other_changes(running: Config, wanted: Config) -> OtherChanges:
    """The order of sources and endpoints does not matter.

    A secret waits with what changes beside it: with the credentials of another account, or for other brokers, the relay
    would lock itself out of those that it still uses.
    """
    secrets: list[RenewedSecret] = []
    restart: list[str] = []
    for together in _units(running, wanted):
        renewals = [_renewal(difference) for difference in together]
        known = [renewal for renewal in renewals if renewal is not None]
        if len(known) == len(renewals):
            secrets += known
        else:
            restart += [key_path(difference.path) for difference in together]
    return OtherChanges(tuple(secrets), tuple(dict.fromkeys(restart)))


def _units(running: Config, wanted: Config) -> Iterator[list[_Difference]]:
    """What differs, by section; each source is one of its own."""
    before = [_as_written(source) for source in running.sources]
    after = [_as_written(source) for source in wanted.sources]
    for path, old, new in _paired(("sources",), before, after):
        yield list(_differences(path, old, new))
    for key in Config.model_fields:
        if key not in {"sources", "callbacks"}:
            yield list(_differences((key,), getattr(running, key), getattr(wanted, key)))


def _as_written(source: SourceConfig) -> SourceConfig:
    """Without what its endpoints take over from it: one change is one difference."""
    endpoints = [
        endpoint.model_copy(update={"poll": None}) if endpoint.poll == source.poll else endpoint
        for endpoint in source.endpoints
    ]
    return source.model_copy(update={"endpoints": tuple(endpoints)})


def _differences(path: KeyPath, before: Any, after: Any) -> Iterator[_Difference]:
    if before == after:
        return
    if isinstance(before, Section) and type(before) is type(after):
        for key in type(before).model_fields:
            yield from _differences((*path, key), getattr(before, key), getattr(after, key))
    elif isinstance(before, tuple) and isinstance(after, tuple):
        for below, old, new in _paired(path, before, after):
            yield from _differences(below, old, new)
    else:
        yield _Difference(path, before, after)


def _paired(path: KeyPath, before: Sequence[Any], after: Sequence[Any]) -> Iterator[_Difference]:
    """Sources by their name, endpoints by their kind; None where there is none."""
    old = {_name(item): item for item in before}
    for index, item in enumerate(after):
        yield _Difference((*path, index), old.pop(_name(item), None), item)
    for index, item in enumerate(before):
        if _name(item) in old:
            yield _Difference((*path, index), item, None)


def _name(item: Any) -> str:
    return str(item.name if isinstance(item, SourceConfig) else item.kind)


def _renewal(difference: _Difference) -> RenewedSecret | None:
    if isinstance(difference.before, Secret) and isinstance(difference.after, Secret):
        return RenewedSecret(key_path(difference.path), difference.before, difference.after)
    return None
