"""Generated reports: endless, seeded, without memory. Report number n is always the same, whenever it is made."""

import random
from collections.abc import Iterator
from typing import NamedTuple

from relay.simulator.options import TrafficOptions
from relay.simulator.templates import HEAD, Template, prepare

BULK_SIZE = 100
"""So many messages share a bulkId."""
ROLES = 4096
"""After so many reports the pattern of repeats begins again."""
REPEATS_WITHIN = 200
TIME_STEP_MS = 1000
"""Reports that became available in the same step carry the same times: rendering them is shared."""

FRESH, DUPLICATE, REVISION = range(3)


class Item(NamedTuple):
    """One report of a queue, ready to send."""

    message_id: str
    bulk_id: str
    outcome: str
    body: bytes


class Traffic:
    """The generated reports of one kind, numbered from 0; which are due is a matter of the clock alone."""

    def __init__(self, kind: str, options: TrafficOptions, *, seed: int, started_at_ms: int) -> None:
        chance = random.Random(f"traffic {kind} {seed}")
        self._options = options
        self._started_at_ms = started_at_ms
        self._templates = prepare(kind, seed)
        self._order = [chance.randrange(len(self._templates)) for _ in range(ROLES)]
        self._roles = [_role(chance, options) for _ in range(ROLES)]
        self._revised = _other_outcomes(self._templates)
        self._message_prefix = _uuid_prefix(chance)
        self._bulk_prefix = _uuid_prefix(chance)
        self._rendered: dict[int, list[bytes]] = {}
        self._rendered_step = -1

    def due(self, now_ms: int) -> int:
        """How many have become available by now."""
        rate = self._options.rate
        if not rate:
            return self.last or 0
        made = self._options.backlog + int(rate * max(0, now_ms - self._started_at_ms) / 1000)
        return made if self.last is None else min(made, self.last)

    @property
    def last(self) -> int | None:
        """How many there will ever be; None: without end."""
        options = self._options
        if options.total is not None:
            return max(options.total, options.backlog)
        return None if options.rate else options.backlog

    def items(self, first: int, count: int) -> Iterator[Item]:
        """Reports `first` to `first + count - 1`."""
        bulk, bulk_id, head = -1, "", b""
        for number in range(first, first + count):
            root, variant = self._content(number)
            if root // BULK_SIZE != bulk:
                bulk = root // BULK_SIZE
                bulk_id = f"{self._bulk_prefix}{bulk:012x}"
                head = HEAD % bulk_id.encode()
            message_id = f"{self._message_prefix}{root:012x}"
            id_bytes = message_id.encode()
            body = head + id_bytes + id_bytes.join(self._rendered_at(number, variant))
            yield Item(message_id, bulk_id, self._templates[variant].outcome, body)

    def _content(self, number: int) -> tuple[int, int]:
        """The message that report `number` is about, and the template that it is made from."""
        role, distance = self._roles[number % ROLES]
        if role == FRESH or number < distance:
            return number, self._order[number % ROLES]
        root = self._fresh_before(number - distance)
        variant = self._order[root % ROLES]
        return root, self._revised[variant] if role == REVISION else variant

    def _fresh_before(self, number: int) -> int:
        while number > 0 and self._roles[number % ROLES][0] != FRESH and number >= self._roles[number % ROLES][1]:
            number -= 1
        return number

    def _rendered_at(self, number: int, variant: int) -> list[bytes]:
        step = self._available_at_ms(number) // TIME_STEP_MS
        if step != self._rendered_step:
            self._rendered_step = step
            self._rendered.clear()
        rendered = self._rendered.get(variant)
        if rendered is None:
            rendered = self._rendered[variant] = self._templates[variant].at(step * TIME_STEP_MS)
        return rendered

    def _available_at_ms(self, number: int) -> int:
        after_backlog = number - self._options.backlog
        if after_backlog <= 0 or not self._options.rate:
            return self._started_at_ms
        return self._started_at_ms + int(after_backlog * 1000 / self._options.rate)


def _role(chance: random.Random, options: TrafficOptions) -> tuple[int, int]:
    drawn = chance.random()
    distance = chance.randrange(1, REPEATS_WITHIN)
    if drawn < options.duplicate_rate:
        return DUPLICATE, distance
    return (REVISION, distance) if drawn < options.duplicate_rate + options.revision_rate else (FRESH, distance)


def _other_outcomes(templates: list[Template]) -> list[int]:
    """For each template the next one with another outcome."""
    count = len(templates)
    return [
        next(
            (start + step) % count
            for step in range(1, count)
            if templates[(start + step) % count].outcome != templates[start].outcome
        )
        for start in range(count)
    ]


def _uuid_prefix(chance: random.Random) -> str:
    digits = f"{chance.getrandbits(80):020x}"
    return f"{digits[:8]}-{digits[8:12]}-4{digits[12:15]}-a{digits[15:18]}-"
