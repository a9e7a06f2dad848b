"""Generated reports: endless, seeded, without memory. Report number n is always the same, whenever it is made."""

import random
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterator, Sequence
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
NO_TEMPLATE = -1
_HEX = frozenset("0123456789abcdef")


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
        self.templates = prepare(kind, seed, final_only=options.final_only)
        self._options = options
        self._started_at_ms = started_at_ms
        self._order = [chance.randrange(len(self.templates)) for _ in range(ROLES)]
        self._roles = [_role(chance, options) for _ in range(ROLES)]
        self._revised = _other_outcomes(self.templates)
        self._revisions: Sequence[tuple[int, ...]] | None = None
        self._contents: list[tuple[int, int]] = []
        self._message_prefix = _uuid_prefix(chance)
        self._bulk_prefix = _uuid_prefix(chance)
        self._rendered: dict[int, list[bytes]] = {}
        self._rendered_ms = -1

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
                bulk_id = self.bulk_id(root)
                head = HEAD % bulk_id.encode()
            message_id = self.message_id(root)
            id_bytes = message_id.encode()
            body = head + id_bytes + id_bytes.join(self._rendered_at(number, variant))
            yield Item(message_id, bulk_id, self.templates[variant].outcome, body)

    def saying(self, first: int, last: int, made: int, variants: frozenset[int]) -> Iterator[tuple[int, int, int]]:
        """Which of the reports `last` down to `first` are made from one of these templates and have the last word on
        their message among the first `made` reports: (report, message, template)."""
        pattern = self._pattern()
        for number in range(last, first - 1, -1):
            root_before, variant = pattern[number if number < ROLES else ROLES + number % ROLES]
            if variant in variants and self._is_last(number, number - root_before, made):
                yield number, number - root_before, variant

    def _is_last(self, number: int, root: int, made: int) -> bool:
        revisions = self._revisions_of(root)
        return not revisions or number == max(
            (root + later for later in revisions if root + later < made), default=root
        )

    def numbers(self, first_ms: int, last_ms: int, made: int) -> range:
        """Which of the first `made` reports carry times made from a moment between these two."""
        low = bisect_left(range(made), first_ms, key=self.moment_ms)
        return range(low, bisect_right(range(made), last_ms, lo=low, key=self.moment_ms))

    def moment_ms(self, number: int) -> int:
        """From when the times in report `number` are counted back."""
        return self._available_at_ms(number) // TIME_STEP_MS * TIME_STEP_MS

    def about(self, root: int) -> list[int]:
        """The reports that may have the last word on this message."""
        return [root, *(root + offset for offset in self._revisions_of(root))]

    def root_of(self, message_id: str) -> int | None:
        """The message with this id, if it can be one of ours."""
        return _numbered(message_id, self._message_prefix)

    def roots_of(self, bulk_id: str) -> range:
        """The messages with this bulkId."""
        bulk = _numbered(bulk_id, self._bulk_prefix)
        return range(0) if bulk is None else range(bulk * BULK_SIZE, (bulk + 1) * BULK_SIZE)

    def message_id(self, root: int) -> str:
        return f"{self._message_prefix}{root:012x}"

    def bulk_id(self, root: int) -> str:
        return f"{self._bulk_prefix}{root // BULK_SIZE:012x}"

    def _revisions_of(self, root: int) -> tuple[int, ...]:
        """How many reports later each revision of this message comes."""
        if self._revisions is None:
            offsets: defaultdict[int, list[int]] = defaultdict(list)
            for number in range(2 * ROLES + ROLES // 2):
                if self._roles[number % ROLES][0] == REVISION and (found := self._content(number)[0]) != number:
                    offsets[found].append(number - found)
            self._revisions = [tuple(offsets.get(found, ())) for found in range(2 * ROLES)]
        return self._revisions[root if root < ROLES else ROLES + root % ROLES]

    def _pattern(self) -> Sequence[tuple[int, int]]:
        """For each report how many reports earlier its message's first one was, and its template; NO_TEMPLATE if it
        only repeats what was said. The second half repeats for ever; the beginning differs."""
        if not self._contents:
            for number in range(2 * ROLES):
                role, distance = self._roles[number % ROLES]
                root, variant = self._content(number)
                repeats = role == DUPLICATE and number >= distance
                self._contents.append((number - root, NO_TEMPLATE if repeats else variant))
        return self._contents

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
        moment_ms = self.moment_ms(number)
        if moment_ms != self._rendered_ms:
            self._rendered_ms = moment_ms
            self._rendered.clear()
        rendered = self._rendered.get(variant)
        if rendered is None:
            rendered = self._rendered[variant] = self.templates[variant].at(moment_ms)
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


def _numbered(id_: str, prefix: str) -> int | None:
    digits = id_.removeprefix(prefix)
    return int(digits, 16) if len(digits) == 12 and _HEX.issuperset(digits) else None


def _uuid_prefix(chance: random.Random) -> str:
    digits = f"{chance.getrandbits(80):020x}"
    return f"{digits[:8]}-{digits[8:12]}-4{digits[12:15]}-a{digits[15:18]}-"
