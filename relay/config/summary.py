"""A configuration as it may be shown, and all that may not."""

from collections.abc import Iterator
from contextlib import suppress
from typing import Any
from urllib.parse import parse_qsl, urlsplit, urlunsplit

from relay.config.model import Config
from relay.config.secret import CONFIGURED, SecretUnreadable

SHORTEST_URL_SECRET = 8
"""Shorter values of a URL's query are words such as `true`, not secrets."""


def summary(config: Config) -> dict[str, Any]:
    """Every key with its value, secrets as "configured", URLs without their query."""
    shown: dict[str, Any] = config.model_dump(mode="json", exclude_none=True)
    shown["journal"]["url"] = without_secrets(config.journal.url)
    for callback in shown["callbacks"]:
        callback["url"] = without_secrets(callback["url"])
    return shown


def secret_texts(config: Config) -> Iterator[str]:
    """Every text that must not be shown, as of now: secrets, and the parts of them that turn up alone."""
    for _, secret in config.secrets():
        with suppress(SecretUnreadable):  # of a disabled section
            value = secret.reveal()
            yield value
            yield from _parts(value)
    for source in config.sources:
        if source.auth.username and source.auth.password:
            with suppress(SecretUnreadable):
                yield f"{source.auth.username}:{source.auth.password.reveal()}"
    for callback in config.callbacks:
        query = urlsplit(callback.url).query
        yield query
        yield from (value for _, value in parse_qsl(query) if len(value) >= SHORTEST_URL_SECRET)
    yield urlsplit(config.journal.url).password or ""


def without_secrets(url: str) -> str:
    """As it may be shown: without its query and its password."""
    parts = urlsplit(url)
    if not parts.query and parts.password is None:
        return url
    host = parts.netloc.rpartition("@")[2]
    netloc = host if parts.password is None else f"{parts.username}:{CONFIGURED}@{host}"
    return urlunsplit(parts._replace(netloc=netloc, query=CONFIGURED if parts.query else ""))


def _parts(value: str) -> Iterator[str]:
    yield value.removeprefix("whsec_")
    scheme, _, credentials = value.partition(" ")  # a header: Bearer …
    if credentials and scheme.isalpha():
        yield credentials
    if "://" in value:
        with suppress(ValueError):
            yield urlsplit(value).password or ""
