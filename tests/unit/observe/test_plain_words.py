"""Why a connection failed, told without Python's words for it."""

import errno
import socket
import ssl
from pathlib import Path

import pytest

from relay.observe.plain_words import plain_words, speaks_no_tls


def tls(reason: str) -> ssl.SSLError:
    error = ssl.SSLError(1, f"[SSL: {reason}] something (_ssl.c:1006)")
    error.reason = reason
    return error


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (ConnectionRefusedError(errno.ECONNREFUSED, "Connect call failed ('127.0.0.1', 1)"), "connection refused"),
        (ConnectionResetError(errno.ECONNRESET, "whatever"), "connection reset by peer"),
        (
            OSError(
                "Multiple exceptions: [Errno 111] Connect call failed ('::1', 1, 0, 0), "
                "[Errno 111] Connect call failed ('127.0.0.1', 1)"
            ),
            "connection refused",
        ),
        (
            OSError("Multiple exceptions: [Errno 101] Connect call failed (1), [Errno 111] Connect call failed (2)"),
            "network is unreachable, connection refused",
        ),
        (socket.gaierror(socket.EAI_NONAME, "Name or service not known"), "unknown host name"),
        (
            socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution"),
            "temporary failure in name resolution",
        ),
        (tls("WRONG_VERSION_NUMBER"), "TLS failed: no TLS is spoken there (wrong version number)"),
        (tls("TLSV1_ALERT_UNKNOWN_CA"), "TLS failed: tlsv1 alert unknown ca"),
        (ssl.SSLError(1, "some words"), "TLS failed: some words"),
        (OSError("words alone"), "words alone"),
        (ConnectionResetError(), "ConnectionResetError"),
    ],
)
def test_words(error: OSError, expected: str) -> None:
    assert plain_words(error) == expected


def test_a_certificate_nobody_vouches_for() -> None:
    error = ssl.SSLCertVerificationError(1, "[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed")
    error.verify_message = "self-signed certificate"
    assert plain_words(error) == "TLS failed: the certificate is not trusted (self-signed certificate)"


def test_a_file_that_openssl_cannot_read(tmp_path: Path) -> None:
    with pytest.raises(OSError) as caught:  # noqa: PT011 - its words are what is looked at
        ssl.create_default_context(cafile=tmp_path / "none.pem")
    assert plain_words(caught.value) == "no such file or directory"


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (tls("WRONG_VERSION_NUMBER"), True),
        (tls("TLSV1_ALERT_UNKNOWN_CA"), False),
        (ssl.SSLCertVerificationError(1, "no"), False),
        (ConnectionRefusedError(errno.ECONNREFUSED, "no"), False),
    ],
)
def test_whether_tls_is_spoken_at_all(error: OSError, expected: bool) -> None:
    assert speaks_no_tls(error) is expected
