"""What a request presents in its Authorization header, compared in constant time."""

import base64
import binascii
import hashlib
import hmac

from aiohttp import web

from relay.config import Secret


def bearer(request: web.Request) -> bytes | None:
    """The token of ``Authorization: Bearer …``; None if there is none."""
    given = _credentials(request, "bearer")
    return None if given is None else given.encode("utf-8", "surrogateescape")


def basic_password(request: web.Request) -> bytes | None:
    """The password of ``Authorization: Basic …``, whatever the user name; None if there is none."""
    given = _credentials(request, "basic")
    if given is None:
        return None
    try:
        _, colon, password = base64.b64decode(given, validate=True).partition(b":")
    except (binascii.Error, ValueError):
        return None
    return password if colon else None


def matches(given: bytes | None, expected: Secret) -> bool:
    """Takes as long for a token that is nearly right, or of another length, as for any other."""
    if given is None:
        return False
    digests = (hashlib.sha256(text).digest() for text in (given, expected.reveal().encode()))
    return hmac.compare_digest(*digests)


def _credentials(request: web.Request, wanted: str) -> str | None:
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    return given.strip() if scheme.lower() == wanted and given.strip() else None
