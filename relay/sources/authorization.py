"""The Authorization header of each way to log in, made anew for each request: secrets may have been rotated."""

from aiohttp import encode_basic_auth

from relay.config import AuthConfig, Secret

TOKEN_SCHEMES = {"api_key": "App", "bearer": "Bearer", "ibsso": "IBSSO"}


def authorization(auth: AuthConfig) -> str:
    """The header's value as of now. Raises SecretUnreadable."""
    if auth.type == "basic":
        return encode_basic_auth(auth.username or "", _revealed(auth.password), encoding="utf-8")
    return f"{TOKEN_SCHEMES[auth.type]} {_revealed(auth.token)}"


def _revealed(secret: Secret | None) -> str:
    return "" if secret is None else secret.reveal()
