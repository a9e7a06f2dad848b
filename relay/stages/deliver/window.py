"""Which entries of a stream are being dealt with, and how far the cursor may move."""

from collections.abc import Collection, Iterable


class Window:
    """Entries that were read and are not recorded yet are open; the cursor is before the first of them.

    Seqs are opened in ascending order. Nothing is finished before the journal has recorded it: `cursor(finishing)`
    tells what to record with, `finish` follows when that is durable.
    """

    __slots__ = ("_open", "_opened", "read_to")

    def __init__(self, position: int) -> None:
        self.read_to = position
        """The last seq that was read from the stream."""
        self._open: dict[int, int] = {}
        """Seq to its place among all that were opened: seqs have holes where nobody wanted the entry."""
        self._opened = 0

    def open(self, seq: int) -> None:
        self._opened += 1
        self._open[seq] = self._opened

    def finish(self, seqs: Iterable[int]) -> None:
        for seq in seqs:
            self._open.pop(seq, None)

    def unread(self, seqs: Collection[int]) -> set[int]:
        """Forget that the last ones were read, as far back as all of them are in `seqs`; which those are.

        What was read after the first of them is read again: nothing of it may be finished, nor be in anybody's hands.
        """
        last: list[int] = []
        for place, seq in zip(range(self._opened, 0, -1), reversed(self._open), strict=False):
            if self._open[seq] != place or seq not in seqs:
                break
            last.append(seq)
        if last:
            self._opened -= len(last)
            self.finish(last)
            self.read_to = last[-1] - 1
        return set(last)

    def cursor(self, finishing: Collection[int] = ()) -> int:
        """Where the cursor is once `finishing` are finished too: all entries up to it are."""
        for seq in self._open:
            if seq not in finishing:
                return seq - 1
        return self.read_to

    @property
    def overtaken(self) -> set[int]:
        """Those that are open while something read after them is finished: the cursor is before it because of them."""
        last = set()
        for place, seq in zip(range(self._opened, 0, -1), reversed(self._open), strict=False):
            if self._open[seq] != place:
                break
            last.add(seq)
        return self._open.keys() - last

    @property
    def span(self) -> int:
        """How many were opened since the oldest that is still open."""
        return self._opened - next(iter(self._open.values()), self._opened)

    def age(self, seq: int) -> int:
        """How many were opened since `seq`; 0 if it is not open."""
        return self._opened - self._open.get(seq, self._opened)
