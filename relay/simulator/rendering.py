"""How a list of reports becomes a body: JSON, or XML for whoever asks for that by `Accept`, as the API does."""

from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import Any, NamedTuple
from xml.sax.saxutils import escape

import orjson
from aiohttp import web

from relay.simulator.traffic import Item

XML_PROLOG = b'<?xml version="1.0" encoding="UTF-8"?>'


class Rendering(NamedTuple):
    """What stands before, between and after the reports of a body."""

    content_type: str
    opening: bytes
    between: bytes
    closing: bytes
    xml: bool = False

    def report(self, body: bytes) -> bytes:
        """A report, given as JSON. What is no JSON (a test's own text) stays as it is."""
        return as_xml(body) if self.xml else body

    def items(self, items: Sequence[Item]) -> Sequence[Item]:
        return [item._replace(body=as_xml(item.body)) for item in items] if self.xml else items

    def body(self, reports: Sequence[bytes]) -> bytes:
        return self.opening + self.between.join(reports) + self.closing

    def whole_reports(self, items: Sequence[Item], sent_bytes: int) -> int:
        """How many reports lie wholly within the first `sent_bytes` of the body."""
        lengths = (len(item.body) + len(self.between) for item in items)
        ends = accumulate(lengths, initial=len(self.opening) - len(self.between))
        return sum(end <= sent_bytes for end in ends) - 1 if sent_bytes >= len(self.opening) else 0


JSON = Rendering("application/json;charset=UTF-8", b'{"results":[', b",", b"]}")


def _xml(root: str) -> Rendering:
    opening = XML_PROLOG + f"<{root}><results>".encode()
    return Rendering("application/xml;charset=UTF-8", opening, b"", f"</results></{root}>".encode(), xml=True)


REPORTS_XML = _xml("reportResponse")
LOGS_XML = _xml("smsLogsResponse")


def asked_for(request: web.Request, xml: Rendering) -> Rendering:
    """JSON unless the client accepts XML and not JSON."""
    accepted = request.headers.get("Accept", "")
    return xml if "application/xml" in accepted and "application/json" not in accepted else JSON


def as_xml(report: bytes) -> bytes:
    """``<result>…</result>`` with an element for each field; of an array one for each value; nulls are left out."""
    try:
        fields = orjson.loads(report)
    except orjson.JSONDecodeError:
        return report
    return b"<result>%b</result>" % "".join(_elements(fields)).encode() if isinstance(fields, dict) else report


def _elements(fields: dict[str, Any]) -> Iterator[str]:
    for name, value in fields.items():
        for one in value if isinstance(value, list) else [value]:
            if one is not None:
                yield f"<{name}>{_content(one)}</{name}>"


def _content(value: Any) -> str:
    if isinstance(value, dict):
        return "".join(_elements(value))
    if isinstance(value, bool):
        return "true" if value else "false"
    return escape(str(value))
