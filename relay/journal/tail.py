"""The newest entries of each stream, as committed: who has kept up reads them from memory, at no cost to the disk."""

from collections.abc import Iterator, Sequence
from operator import attrgetter

from relay.domain.report import Entry, Stream

_ENTRY_BYTES = 500
"""About what an entry takes beside its value."""


class Tail:
    """Only what was committed is appended, and only after it was; what is not here is in the journal's file."""

    def __init__(self, max_bytes: int) -> None:
        """`max_bytes`: of all streams together; the last entry of each stays whatever its size."""
        self._max_bytes = max_bytes
        self._entries: dict[Stream, list[Entry]] = {}
        self._sizes: dict[Stream, int] = {}

    def append(self, stream: Stream, entries: Sequence[Entry]) -> None:
        if not entries:
            return
        kept = self._entries.get(stream)
        if kept is None or kept[-1].seq + 1 != entries[0].seq:
            self.forget(stream)
            kept = self._entries[stream] = []
        kept += entries
        self._sizes[stream] = self._sizes.get(stream, 0) + _size(entries)
        self._shrink(stream)

    def read(self, stream: Stream, after_seq: int, limit: int, max_bytes: int) -> list[Entry]:
        """As the journal reads; empty if the entry after `after_seq` is not here."""
        kept = self._entries.get(stream)
        if kept is None or not kept[0].seq <= after_seq + 1 <= kept[-1].seq:
            return []
        start = after_seq + 1 - kept[0].seq
        found = kept[start : start + limit]
        total = sum(_value_sizes(found))
        while total > max_bytes and len(found) > 1:
            total -= len(found.pop().value)
        return found

    def forget(self, stream: Stream) -> None:
        """What is here may no longer be what is in the file."""
        self._entries.pop(stream, None)
        self._sizes.pop(stream, None)

    def prune(self, stream: Stream, pruned_to: int) -> None:
        """The journal no longer holds what is up to there."""
        kept = self._entries.get(stream)
        if kept is None or kept[0].seq > pruned_to:
            return
        if kept[-1].seq <= pruned_to:
            self.forget(stream)
        else:
            self._cut(stream, pruned_to + 1 - kept[0].seq)

    def _shrink(self, stream: Stream) -> None:
        """Down to three quarters of its share when it is over, so that the list is cut seldom; entries are taken to be
        of one size, and looked at again if they are not."""
        share = self._max_bytes // len(self._entries)
        while (size_bytes := self._sizes[stream]) > share:
            most = len(self._entries[stream]) - 1
            if not most:
                return
            self._cut(stream, min(most, 1 + most * (size_bytes - share * 3 // 4) // size_bytes))

    def _cut(self, stream: Stream, count: int) -> None:
        kept = self._entries[stream]
        self._sizes[stream] -= _size(kept[:count])
        del kept[:count]


def _size(entries: Sequence[Entry]) -> int:
    return sum(_value_sizes(entries)) + _ENTRY_BYTES * len(entries)


def _value_sizes(entries: Sequence[Entry]) -> Iterator[int]:
    """Each entry's, without a step of Python for it: every report passes here three times."""
    return map(len, map(_value_of, entries))


_value_of = attrgetter("value")
