"""Signs a callback's body by Standard Webhooks: with every secret that is configured, so that they can be rotated."""

import hmac
from base64 import b64encode
from collections.abc import Sequence

from standardwebhooks.webhooks import Webhook

from relay.config import Secret

_RECHECK_MS = 1000
"""A secret in a file is looked at this often: a rotation is noticed within a second, without a stat() for each POST."""


class SecretUnusable(Exception):
    """A secret is not what Standard Webhooks asks for. Says which and why, never the secret."""


class Signer:
    """The signature header of one callback; the first secret signs first."""

    def __init__(self, secrets: Sequence[Secret]) -> None:
        self._secrets = tuple(secrets)
        self._revealed: tuple[str, ...] = ()
        self._webhooks: tuple[_Webhook, ...] = ()
        self._checked_ms = -_RECHECK_MS

    @property
    def signs(self) -> bool:
        """False without secrets: the callback gets its POSTs unsigned."""
        return bool(self._secrets)

    def signature(self, webhook_id: str, at_ms: int, body: bytes) -> str:
        """The value of `webhook-signature` for the timestamp `at_ms // 1000`; empty without secrets.

        Raises SecretUnusable, or SecretUnreadable if a secret's file was never readable.
        """
        if abs(at_ms - self._checked_ms) >= _RECHECK_MS:
            self._reveal()
            self._checked_ms = at_ms
        signed = f"{webhook_id}.{at_ms // 1000}.".encode() + body
        return " ".join([webhook.signature_of(signed) for webhook in self._webhooks])

    def _reveal(self) -> None:
        revealed = tuple(secret.reveal() for secret in self._secrets)
        if revealed != self._revealed:
            self._webhooks = tuple(_webhook(secret, place) for place, secret in enumerate(revealed))
            self._revealed = revealed


class _Webhook(Webhook):
    """The library's; but it takes text and a datetime, and to make these of what we have is most of its cost."""

    def signature_of(self, signed: bytes) -> str:
        """As `sign` makes it. `signed` is ``{id}.{seconds}.{body}``."""
        return f"v1,{b64encode(hmac.digest(self._whsecret, signed, 'sha256')).decode()}"


def _webhook(secret: str, place: int) -> _Webhook:
    try:
        return _Webhook(secret.strip())
    except Exception:  # noqa: BLE001 - base64 and the library raise what they like; none of it may show the secret
        raise SecretUnusable(
            f"secrets[{place}] is not whsec_ followed by base64; make one with 24 to 64 bytes"
        ) from None
