"""What was handed out, in which response, and how much of it can have left: the truth for an independent check.

JSON lines, each response has two:

``{"event":"handed_out","response":7,"at_ms":…,"kind":"sms","ids":[…],"outcomes":["5:0",…]}``
    before the response is started; ids and outcomes in the order of the body. Left out if it holds no reports.
``{"event":"ended","response":7,"at_ms":…,"kind":"sms","status":200,"fault":null,"body_bytes":…,"sent_bytes":…,
"whole_reports":…,"completed":true}``
    `sent_bytes` of the body were handed to the socket at most, so reports after the first `whole_reports` certainly
    did not arrive whole. `completed`: all of it was handed to the kernel; the reader may still not have got it.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import IO, NamedTuple

import orjson

from relay.simulator.traffic import Item


class Ended(NamedTuple):
    """How a response ended. `status` None: no status line was sent."""

    response: int
    at_ms: int
    kind: str
    status: int | None
    fault: str | None
    body_bytes: int
    sent_bytes: int
    whole_reports: int
    completed: bool


class Ledger:
    """Appends to its file at once (no fsync: it must outlive the relay, not the machine)."""

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self._file: IO[bytes] | None = None if path is None else path.open("ab", buffering=0)
        self._responses = 0

    def next_response(self) -> int:
        self._responses += 1
        return self._responses

    def handed_out(self, response: int, at_ms: int, kind: str, items: Sequence[Item]) -> None:
        if items:
            self._write(
                {
                    "event": "handed_out",
                    "response": response,
                    "at_ms": at_ms,
                    "kind": kind,
                    "ids": [item.message_id for item in items],
                    "outcomes": [item.outcome for item in items],
                }
            )

    def ended(self, ended: Ended) -> None:
        self._write({"event": "ended", **ended._asdict()})

    def close(self) -> None:
        """May be called twice."""
        file, self._file = self._file, None
        if file is not None:
            file.close()

    def _write(self, line: dict[str, object]) -> None:
        if self._file is not None:
            self._file.write(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE))
