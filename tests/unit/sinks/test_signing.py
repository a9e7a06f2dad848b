"""Signatures as the Standard Webhooks library reads them."""

import json
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from relay.config import Secret, SecretUnreadable
from relay.sinks.signing import SecretUnusable, Signer

OLD = "whsec_b2xkIHNlY3JldCBvZiB0d2VudHktZm91cg=="
NEW = "whsec_bmV3IHNlY3JldCBvZiB0d2VudHktZm91cg=="
BODY = '{"messageId":"m-1","text":"grüß dich"}'.encode()


def now_ms() -> int:
    return int(time.time() * 1000)


def headers(signature: str, at_ms: int) -> dict[str, str]:
    return {"webhook-id": "msg_1", "webhook-timestamp": str(at_ms // 1000), "webhook-signature": signature}


def test_signature_of_a_known_message() -> None:
    # The example of the specification's libraries, with the signature that they expect.
    signer = Signer([Secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")])
    signature = signer.signature("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330_000, b'{"test": 2432232314}')
    assert signature == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@pytest.mark.parametrize("secret", [OLD, NEW, "whsec_" + "QUJD" * 40, "bm8gcHJlZml4IG5vciBwYWRkaW5n"])
def test_a_signature_is_the_one_that_the_library_makes(secret: str) -> None:
    signature = Signer([Secret(secret)]).signature("msg_1", 1_700_000_000_999, BODY)
    assert signature == Webhook(secret).sign("msg_1", datetime.fromtimestamp(1_700_000_000, UTC), BODY.decode())


def test_the_timestamp_is_the_second_in_which_it_is_sent() -> None:
    signer = Signer([Secret(NEW)])
    at_ms = now_ms()
    Webhook(NEW).verify(BODY, headers(signer.signature("msg_1", at_ms, BODY), at_ms))
    Webhook(NEW).verify(BODY, headers(signer.signature("msg_1", at_ms - 1000, BODY), at_ms - 1000))


@pytest.mark.parametrize("secret", [OLD, NEW])
def test_while_rotating_either_secret_verifies(secret: str) -> None:
    at_ms = now_ms()
    signature = Signer([Secret(NEW), Secret(OLD)]).signature("msg_1", at_ms, BODY)
    assert Webhook(secret).verify(BODY, headers(signature, at_ms)) == json.loads(BODY)


def test_the_first_secret_signs_first() -> None:
    both = Signer([Secret(NEW), Secret(OLD)]).signature("msg_1", 1_700_000_000_000, BODY)
    assert both.split(" ")[0] == Signer([Secret(NEW)]).signature("msg_1", 1_700_000_000_000, BODY)


def test_another_secret_does_not_verify() -> None:
    at_ms = now_ms()
    signature = Signer([Secret(NEW)]).signature("msg_1", at_ms, BODY)
    with pytest.raises(WebhookVerificationError):
        Webhook(OLD).verify(BODY, headers(signature, at_ms))


def test_a_secret_rotated_in_its_file_is_used_within_a_second(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text(OLD)
    signer = Signer([Secret(file=file)])
    at_ms = now_ms()
    signer.signature("msg_1", at_ms, BODY)
    (tmp_path / "next").write_text(NEW + "\n")
    (tmp_path / "next").rename(file)
    at_ms += 1000
    Webhook(NEW).verify(BODY, headers(signer.signature("msg_1", at_ms, BODY), at_ms))


def test_without_secrets_nothing_is_signed() -> None:
    signer = Signer([])
    assert not signer.signs
    assert signer.signature("msg_1", 1_700_000_000_000, BODY) == ""


@pytest.mark.parametrize("broken", ["whsec_", "whsec_!!!", "whsec_a", " "])
def test_a_broken_secret_is_named_by_its_place_and_never_shown(broken: str) -> None:
    with pytest.raises(SecretUnusable) as raised:
        Signer([Secret(NEW), Secret(broken)]).signature("msg_1", now_ms(), BODY)
    assert "secrets[1]" in str(raised.value)
    assert "!!!" not in str(raised.value)
    assert raised.value.__cause__ is None


def test_a_secret_that_was_never_readable(tmp_path: Path) -> None:
    with pytest.raises(SecretUnreadable, match="missing"):
        Signer([Secret(file=tmp_path / "missing")]).signature("msg_1", now_ms(), BODY)
