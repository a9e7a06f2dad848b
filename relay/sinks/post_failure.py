"""Why a POST failed, in a few words that an operator can act on: `dns: …`, `address: …`, `tls: …`, `timeout: …`, …"""

import ssl

import aiohttp
from aiohttp.http import HttpProcessingError

from relay.config import SecretUnreadable
from relay.observe.plain_words import plain_words, plain_words_of_http
from relay.sinks.connector import AddressRefused, AnswerTooLarge
from relay.sinks.request_head import HeaderUnusable
from relay.sinks.signing import SecretUnusable

_LONGEST = 200


def describe(error: BaseException, timeout_seconds: float) -> str:
    """One line without secrets: aiohttp's errors name host and port, never path, headers or body."""
    kind, text = _classify(error, timeout_seconds)
    printable = "".join(character if character.isprintable() else " " for character in text)
    return f"{kind}: {printable}"[:_LONGEST]


def is_refused_address(error: BaseException) -> bool:
    """Whether nothing was sent because the address must not be posted to."""
    return isinstance(error, aiohttp.ClientConnectorError) and isinstance(error.os_error, AddressRefused)


def _classify(error: BaseException, timeout_seconds: float) -> tuple[str, str]:
    match error:
        case aiohttp.ClientConnectorError(os_error=AddressRefused()):
            return "address", _reason(error)
        case aiohttp.ClientConnectorDNSError():
            return "dns", plain_words(error.os_error)
        case aiohttp.ClientConnectorCertificateError():
            return "tls", str(error.certificate_error)
        case aiohttp.ClientSSLError() | ssl.SSLError():
            return "tls", _reason(error)
        case TimeoutError():
            return "timeout", f"no whole answer within {timeout_seconds:g} s"
        case _:
            return _classify_by_connection(error)


def _classify_by_connection(error: BaseException) -> tuple[str, str]:
    match error:
        case aiohttp.ServerDisconnectedError():
            return "connection", "closed without an answer"
        case aiohttp.ClientConnectionError() | OSError():
            return "connection", _reason(error)
        case AnswerTooLarge():
            return "protocol", f"the answer does not end: {error}"
        case HttpProcessingError() | aiohttp.ClientPayloadError():
            return "protocol", "the answer is not HTTP, or broke off"
        case _:
            return _classify_by_configuration(error)


def _classify_by_configuration(error: BaseException) -> tuple[str, str]:
    match error:
        case SecretUnusable() | SecretUnreadable():
            return "signing", str(error)
        case HeaderUnusable():
            return "request", str(error)
        case aiohttp.InvalidURL():  # 127.1, 2130706433
            return "address", "the host is neither a name nor an address in full; correct url"
        case _:
            return "request", type(error).__name__


def _reason(error: Exception) -> str:
    """In plain words; some errors carry a number alone, some nothing."""
    if isinstance(error, aiohttp.ClientConnectorError):
        return _reason(error.os_error)
    if isinstance(error, OSError) and not isinstance(error, AddressRefused):
        return plain_words_of_http(error)
    return str(error) or type(error).__name__
