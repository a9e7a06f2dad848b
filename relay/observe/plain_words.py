"""Why a connection failed, in words for whoever runs the relay: neither Python's names of errors nor their numbers."""

import os
import re
import socket
import ssl

_NO_SUCH_NAME = frozenset({socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)})
_NUMBER = re.compile(r"\[Errno (\d+)\]")
_NO_TLS = frozenset({"WRONG_VERSION_NUMBER", "HTTP_REQUEST", "UNKNOWN_PROTOCOL", "PACKET_LENGTH_TOO_LONG"})
"""What OpenSSL makes of an answer that is not TLS."""


def plain_words(error: OSError) -> str:
    """`connection refused`, `unknown host name`, `TLS failed: …`; a few words without cure."""
    if isinstance(error, ssl.SSLError):
        return f"TLS failed: {_tls(error)}"
    if isinstance(error, socket.gaierror):
        return "unknown host name" if error.errno in _NO_SUCH_NAME else _lower(error.strerror or "unknown host name")
    numbers = [error.errno] if error.errno else [int(number) for number in _NUMBER.findall(str(error))]
    words = dict.fromkeys(_lower(os.strerror(number)) for number in numbers if number > 0)  # several: one per address
    return ", ".join(words) or error.strerror or str(error) or type(error).__name__


def plain_words_of_http(error: OSError) -> str:
    """The same, of a connection to an address that may have been meant to be http://."""
    return plain_words(error) + ("; was http:// meant?" if speaks_no_tls(error) else "")


def speaks_no_tls(error: BaseException) -> bool:
    """Whether TLS failed since whoever answered does not use it at all."""
    return isinstance(error, ssl.SSLError) and _reason(error) in _NO_TLS


def _tls(error: ssl.SSLError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the certificate is not trusted ({getattr(error, 'verify_message', '') or error})"
    reason = _lower(_reason(error).replace("_", " ")) or error.strerror or str(error) or type(error).__name__
    return f"no TLS is spoken there ({reason})" if speaks_no_tls(error) else reason


def _reason(error: ssl.SSLError) -> str:
    """OpenSSL's; only errors that come from there have one."""
    return getattr(error, "reason", None) or ""


def _lower(words: str) -> str:
    return words.lower() if words.isupper() else words[:1].lower() + words[1:]
