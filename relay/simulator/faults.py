"""Faults on request: what may go wrong with a response, how often, and which one strikes next."""

import random
from collections import Counter
from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Any, NamedTuple

LOGS = "logs"
"""The kind that a rule names to strike the logs endpoints."""
FILES = "files"
"""The kind that a rule names to strike recordings."""


class What(StrEnum):
    """What goes wrong."""

    DELAY = "delay"
    """The answer comes `seconds` late, whether the client is still there or not."""
    DRIP = "drip"
    """The body takes `seconds`, a little at a time."""
    HANG = "hang"
    """No answer at all, the connection stays open."""
    STATUS = "status"
    """An error answer with `status`, and `retry_after` as the Retry-After header."""
    RESET_BEFORE = "reset_before"
    """The connection is reset before the first byte of the answer."""
    CLOSE_BEFORE = "close_before"
    """The same with an orderly close."""
    RESET_IN_BODY = "reset_in_body"
    """The connection is reset after the share `cut` of the body."""
    CLOSE_IN_BODY = "close_in_body"
    """The same with an orderly close."""
    TRUNCATED_GZIP = "truncated_gzip"
    """A complete answer whose gzip data ends after the share `cut`."""
    HTML = "html"
    """A web page with status 200."""
    ANSWER = "answer"
    """`body` with `status` and `content_type`, whatever they are."""


CARRYING = frozenset({What.DELAY, What.DRIP, What.RESET_IN_BODY, What.CLOSE_IN_BODY, What.TRUNCATED_GZIP})
"""These start a response that holds reports. The others leave the queue alone unless told otherwise."""


class Fault(NamedTuple):
    """One rule: `what` strikes with probability `rate`, on `kind` only if given, `times` times at most if given."""

    what: What
    rate: float = 1.0
    times: int | None = None
    kind: str | None = None
    seconds: float = 1.0
    status: int = 500
    retry_after: str | None = None
    location: str | None = None
    cut: float = 0.5
    consumes: bool | None = None
    """Whether reports are taken from the queue, and so lost if the answer does not hold them; None: as `what` is."""
    body: str = ""
    content_type: str = "application/json"

    @property
    def takes_reports(self) -> bool:
        return self.what in CARRYING if self.consumes is None else self.consumes


CASTS: Mapping[str, Any] = {
    "what": What,
    "rate": float,
    "times": int,
    "kind": str,
    "seconds": float,
    "status": int,
    "retry_after": str,
    "location": str,
    "cut": float,
    "consumes": bool,
    "body": str,
    "content_type": str,
}


def parse_fault(given: Any) -> Fault:
    """A rule from JSON, keys as in `Fault`. Raises ValueError with what is wrong."""
    if not isinstance(given, dict) or "what" not in given:
        raise ValueError("a fault is an object with at least `what`")
    if unknown := set(given) - set(CASTS):
        raise ValueError(f"unknown keys {sorted(unknown)}; known are {sorted(CASTS)}")
    try:
        fault = Fault(**{key: CASTS[key](value) for key, value in given.items() if value is not None})
    except (TypeError, ValueError) as error:
        raise ValueError(f"bad fault: {error}") from error
    if not (0 <= fault.rate <= 1 and 0 <= fault.cut <= 1 and fault.seconds >= 0 and 100 <= fault.status <= 599):
        raise ValueError("rate and cut are between 0 and 1, seconds not negative, status between 100 and 599")
    return fault


class Faults:
    """The rules in force. Rules are asked in order; the first that strikes wins. Seeded: same requests, same faults."""

    def __init__(self, rules: Iterable[Fault], seed: int) -> None:
        self._random = random.Random(f"faults {seed}")
        self._rules: list[Fault] = list(rules)
        self.injected: Counter[str] = Counter()

    @property
    def rules(self) -> tuple[Fault, ...]:
        """Those still in force; `times` is what is left."""
        return tuple(self._rules)

    def add(self, *rules: Fault) -> None:
        self._rules.extend(rules)

    def clear(self) -> None:
        self._rules.clear()

    def draw(self, kind: str) -> Fault | None:
        """The fault that strikes the next response of this kind, if any; a used-up rule is dropped.

        The logs have the kind LOGS, and only rules that name it strike them: what goes wrong with one-time reads is
        counted apart.
        """
        meant = (kind,) if kind == LOGS else (None, kind)
        for index, rule in enumerate(self._rules):
            if rule.kind in meant and self._random.random() < rule.rate:
                self._use(index, rule)
                self.injected[rule.what.value] += 1
                return rule
        return None

    def _use(self, index: int, rule: Fault) -> None:
        if rule.times is None:
            return
        if rule.times <= 1:
            del self._rules[index]
        else:
            self._rules[index] = rule._replace(times=rule.times - 1)
