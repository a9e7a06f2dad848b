"""The header lines of a callback's POSTs. What does not change from one to the next is made once."""

import re
from collections.abc import Mapping

from yarl import URL

import relay
from relay.config import Secret
from relay.domain.envelope import ce_headers, ce_id_header
from relay.domain.report import Entry, Origin, Stream

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", re.ASCII)
_UNSAFE = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_CONTRACT = re.compile(r"webhook-.*|ce-.*|content-length|transfer-encoding|connection|expect", re.ASCII)
"""Names that the configuration cannot set: what they say is the contract's, or the connection's."""


class HeaderUnusable(Exception):
    """A configured header cannot be sent. Names it, never shows its value."""


class RequestHead:
    """Makes the lines of one callback."""

    def __init__(self, url: URL, configured: Mapping[str, Secret]) -> None:
        self._configured = {
            name: secret for name, secret in configured.items() if not _CONTRACT.fullmatch(name.lower())
        }
        self._defaults = {
            "Host": _host(url),
            "User-Agent": f"infobip-relay/{relay.__version__}",
            "Accept": "*/*",
            "Accept-Encoding": "identity",
            "Content-Type": "application/json",
        }
        self._revealed: tuple[str, ...] | None = None
        self._constant = ""
        self._ce_lines: dict[Stream, tuple[int, Origin, str]] = {}

    def constant(self) -> str:
        """The lines that are the same for all POSTs until a secret changes. Raises HeaderUnusable."""
        revealed = tuple([secret.reveal() for secret in self._configured.values()])
        if revealed != self._revealed:
            self._constant = self._lines(dict(zip(self._configured, revealed, strict=True)))
            self._revealed = revealed
        return self._constant

    def cloud_event(self, stream: Stream, entry: Entry) -> str:
        """The CloudEvents lines of a single report. Neighbours in a stream share all but the id."""
        known = self._ce_lines.get(stream)
        if known is None or known[0] != entry.received_at_ms or known[1] is not entry.origin:
            known = self._ce_lines[stream] = entry.received_at_ms, entry.origin, _ce_lines(stream, entry)
        return f"{known[2]}ce-id: {ce_id_header(entry)}\r\n"

    def _lines(self, configured: Mapping[str, str]) -> str:
        taken = {name.lower() for name in configured}
        headers = {name: value for name, value in self._defaults.items() if name.lower() not in taken}
        for name, value in configured.items():
            if not _TOKEN.fullmatch(name) or _UNSAFE.search(value):
                raise HeaderUnusable(f"headers: {name!r} is no header, or its value holds control characters")
            headers[name] = value.strip()
        return "".join([f"{name}: {value}\r\n" for name, value in headers.items()])


def _ce_lines(stream: Stream, entry: Entry) -> str:
    """All but the id."""
    headers = ce_headers(stream, entry)
    del headers["ce-id"]
    return "".join([f"{name}: {value}\r\n" for name, value in headers.items()])


def _host(url: URL) -> str:
    host = url.host_port_subcomponent
    if host is None:  # not from a valid configuration
        raise HeaderUnusable("url: names no host")
    return host
