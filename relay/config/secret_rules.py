"""What secrets must be, checked on their values without ever naming them."""

import base64
import binascii
import re
from collections.abc import Callable, Iterator
from contextlib import suppress

from relay.config.error import KeyPath, Problem
from relay.config.fields import http_url
from relay.config.model import Config
from relay.config.secret import SecretUnreadable

FEWEST_KEY_BYTES, MOST_KEY_BYTES = 24, 64
"""Of a signing key, by Standard Webhooks; receivers' libraries may refuse others."""

FEWEST_TOKEN_CHARACTERS = 16
"""Shorter tokens can be guessed by trying."""

NEW_KEY = "make one: echo whsec_$(openssl rand -base64 32)"

HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
OWN_HEADERS = {"content-type", "content-length", "host", "transfer-encoding", "connection"}
OWN_PREFIXES = ("webhook-", "ce-")


def broken_secrets(config: Config) -> Iterator[Problem]:
    """Secrets that cannot be read (any more) or cannot be what they are for; those of a disabled section are left
    alone."""
    for path, secret in config.secrets():
        if _disabled(config, path):
            continue
        try:
            value = secret.reveal()
        except SecretUnreadable as error:
            yield Problem(path, f"{error}; mount the file or correct the path")
            continue
        if secret.unread:
            yield Problem(path, f"{secret.unread}; its last value is in use: mount the file again")
        message = _judge(path)(value)
        if message:
            yield Problem(path, message)
    for index, callback in enumerate(config.callbacks):
        for name in callback.headers:
            yield from _header_problems(name, ("callbacks", index, "headers", name))


def weak_secrets(config: Config) -> Iterator[Problem]:
    """Secrets that work and could be guessed, or that receivers may refuse."""
    for path, secret in config.secrets():
        if _disabled(config, path):
            continue
        with suppress(SecretUnreadable):
            weakness = _weakness(path, secret.reveal())
            if weakness:
                yield Problem(path, weakness)


def _disabled(config: Config, path: KeyPath) -> bool:
    return path[0] == "sources" and path[2] == "push" and not config.sources[int(path[1])].push.enabled


def _judge(path: KeyPath) -> Callable[[str], str]:
    if path[-1] == "proxy":
        return _proxy
    if path[0] == "callbacks" and path[2] == "secrets":
        return _signing_secret
    return _one_line


def _one_line(value: str) -> str:
    return "" if value.isprintable() else "must be one line without control characters"


def _proxy(value: str) -> str:
    try:
        http_url(value, userinfo=True)
    except ValueError as error:
        return str(error)
    return ""


def _signing_secret(value: str) -> str:
    """Standard Webhooks: base64 of 24 to 64 random bytes, usually after `whsec_`."""
    try:
        key = _signing_key(value)
    except (binascii.Error, ValueError):
        return f"must be whsec_ and base64; {NEW_KEY}"
    return "" if key else f"holds no key; {NEW_KEY}"


def _signing_key(value: str) -> bytes:
    return base64.b64decode(value.removeprefix("whsec_"), validate=True)


def _weakness(path: KeyPath, value: str) -> str:
    if path[0] == "callbacks" and path[2] == "secrets":
        length = len(_signing_key(value))
        if not FEWEST_KEY_BYTES <= length <= MOST_KEY_BYTES:
            wanted = f"Standard Webhooks asks for {FEWEST_KEY_BYTES} to {MOST_KEY_BYTES}"
            return f"holds a key of {length} bytes, {wanted}; {NEW_KEY}"
    relays_own = path == ("http", "token") or path[2:] == ("push", "token")
    if relays_own and len(value) < FEWEST_TOKEN_CHARACTERS:
        wanted = f"has fewer than {FEWEST_TOKEN_CHARACTERS} characters and can be guessed"
        return f"{wanted}; make one: openssl rand -hex 32"
    return ""


def _header_problems(name: str, path: KeyPath) -> Iterator[Problem]:
    if not HEADER_NAME.fullmatch(name):
        yield Problem(path, "is not a header name")
    elif name.lower() in OWN_HEADERS or name.lower().startswith(OWN_PREFIXES):
        yield Problem(path, "is a header that the relay sets itself; leave it out")
