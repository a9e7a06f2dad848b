"""Signs a callback's body by Standard Webhooks: with every secret that is configured, so that they can be rotated."""

from collections.abc import Sequence
from datetime import UTC, datetime

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
        self._webhooks: tuple[Webhook, ...] = ()
        self._checked_ms = -_RECHECK_MS
        self._second = -1
        self._moment = datetime.fromtimestamp(0, UTC)

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
        moment = self._moment_of(at_ms // 1000)
        text = body.decode()
        if len(self._webhooks) == 1:
            return self._webhooks[0].sign(webhook_id, moment, text)
        return " ".join([webhook.sign(webhook_id, moment, text) for webhook in self._webhooks])

    def _reveal(self) -> None:
        revealed = tuple(secret.reveal() for secret in self._secrets)
        if revealed != self._revealed:
            self._webhooks = tuple(_webhook(secret, place) for place, secret in enumerate(revealed))
            self._revealed = revealed

    def _moment_of(self, second: int) -> datetime:
        if second != self._second:
            self._second, self._moment = second, datetime.fromtimestamp(second, UTC)
        return self._moment


def _webhook(secret: str, place: int) -> Webhook:
    try:
        return Webhook(secret.strip())
    except Exception:  # noqa: BLE001 - base64 and the library raise what they like; none of it may show the secret
        raise SecretUnusable(
            f"secrets[{place}] is not whsec_ followed by base64; make one with 24 to 64 bytes"
        ) from None
