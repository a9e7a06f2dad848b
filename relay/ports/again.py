"""What is sent to a callback once more because somebody asks for it: dead letters, and replays from the journal."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from relay.domain.history import DeadLetter, DeadLetterContent, DeadLetterFilter, Revived
from relay.domain.replay import ReplayCount, ReplayRequest, ReplayRun, ReplayState
from relay.domain.report import Stream
from relay.ports.delivering import Wanted
from relay.ports.flow import Lease


class DeadLetterJournal(Protocol):
    """For people who look after what was given up."""

    async def list_dead_letters(
        self, wanted: DeadLetterFilter = ..., *, after_id: int = 0, limit: int = 100
    ) -> list[DeadLetter]:
        """By ascending id, a page that begins after `after_id`."""

    async def find_dead_letter(self, id_: int) -> DeadLetterContent | None: ...
    async def revive_dead_letters(self, ids: Sequence[int], at_ms: int) -> Revived:
        """Those among `ids` (at most a few thousand) go back among the deliveries in one transaction: due at once, age
        and attempts counted anew, behind earlier revisions that are pending too."""

    async def drop_dead_letters(self, ids: Sequence[int], at_ms: int) -> tuple[int, ...]:
        """Those among `ids` (at most a few thousand) that are gone now, counted as dropped, in one transaction."""


class ReplayTarget(NamedTuple):
    """What of a callback's configuration says how it gets reports again."""

    wanted: Wanted
    batch_size: int
    max_backlog: int


class Fed(NamedTuple):
    """One step of a replay in one stream."""

    reports: int
    """That went among the deliveries by it."""
    more: bool


class ReplayJournal(Protocol):
    """A replay is read from the stream a part at a time and never moves a cursor. Its entries are kept from pruning,
    but not longer than twice their retention."""

    async def start_replay(self, request: ReplayRequest, at_ms: int) -> ReplayRun | None:
        """Of all streams of the request that the callback follows; None if there is none. What its cursor has not come
        to is left to the live flow. Raises ReplayOpen while another one of the callback has not ended."""

    async def find_replay(self, id_: int) -> ReplayRun | None: ...
    async def list_replays(self, *, before_id: int | None = None, limit: int = 100) -> list[ReplayRun]:
        """Newest first, a page that begins before `before_id`."""

    async def unfinished_replays(self) -> list[ReplayRun]:
        """Oldest first."""

    async def set_replay_state(self, id_: int, state: ReplayState, at_ms: int) -> ReplayRun | None:
        """As it is then; one that is over stays as it is. What is among the deliveries already is still sent."""

    async def feed_replay(
        self,
        lease: Lease,
        run: ReplayRun,
        stream: Stream,
        wanted: Wanted,
        *,
        batch_size: int,
        most_reports: int,
        at_ms: int,
    ) -> Fed:
        """Look at the next entries (a few thousand at most), and put about `most_reports` of those that are meant and
        `wanted` among the deliveries, due at once, in one transaction with how far it came. Those that are pending
        already are left out, a dead letter is put back instead; members of a former batch stay together. Nothing
        happens unless the replay is running."""

    async def replay_history_from_ms(self, request: ReplayRequest) -> int | None:
        """When the oldest entry arrived that is still there, if the request begins before that: what came earlier is
        gone. None if all of it is there."""

    async def count_replay(self, request: ReplayRequest, wanted: Wanted) -> dict[Stream, ReplayCount]:
        """What a replay would send, by stream; empty if the callback follows none of the request."""
