"""Where publishing of a stream goes on: what Kafka's cursor, the journal's copy and the topics' tail say together."""

from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple

from relay.domain.report import Stream


class Kept(NamedTuple):
    """The journal's copy of the cursor: entries up to `position` were seen committed in the cluster `cluster_id`."""

    position: int
    cluster_id: str | None


class Tail(NamedTuple):
    """What the newest records in the topics say; None: none of this stream is there."""

    last_seq: int | None


class Resume(NamedTuple):
    """Go on after `position`."""

    position: int


class AskTail(NamedTuple):
    """Kafka's cursor is missing, or behind what was seen committed: the tail of the topics has to be read."""


class OtherCluster(NamedTuple):
    """The cursor belongs to another cluster: nobody but an operator knows where to begin in this one."""

    known: str
    found: str


def place_cursor(
    *, cluster_id: str | None, committed: int | None, kept: Kept | None, tail: Tail | None
) -> Resume | AskTail | OtherCluster:
    """Decide from the cursor committed in Kafka (None: there is none) and the copy kept in the journal.

    Both agree, or Kafka is ahead because the copy was not written any more (or the journal comes from a backup): Kafka
    is right. Otherwise the tail decides. Where it holds nothing of the stream and Kafka no cursor either, both have
    expired, and the copy is all that is left; a cursor that Kafka still has, behind the copy, is believed.
    """
    if kept is not None and kept.cluster_id and cluster_id and kept.cluster_id != cluster_id:
        return OtherCluster(kept.cluster_id, cluster_id)
    seen = 0 if kept is None else kept.position
    if committed is not None and committed >= seen:
        return Resume(committed)
    if tail is None:
        return AskTail()
    if committed is None:
        return Resume(seen if tail.last_seq is None else tail.last_seq)
    return Resume(max(committed, tail.last_seq or 0))


class KafkaCursor(NamedTuple):
    """The journal's copy of a stream's cursor, as people see it, beside what the journal holds of the stream.

    Entries up to `earliest` are gone. `cluster_id` is None from when an operator placed it until a cluster took it up.
    """

    stream: Stream
    position: int
    cluster_id: str | None
    at_ms: int
    last_seq: int
    earliest: int


class Begin(StrEnum):
    """Where to begin in another cluster, in words."""

    KEPT = "kept"
    """After what the former cluster got."""
    EARLIEST = "earliest"
    """With all that the journal still holds."""


def begin_after(cursor: KafkaCursor, begin: int | Begin) -> int | None:
    """The position that is meant; None: the journal does not hold what would follow it, or there is no such entry."""
    match begin:
        case Begin.KEPT:
            position = cursor.position
        case Begin.EARLIEST:
            position = cursor.earliest
        case _:
            position = begin
    return position if cursor.earliest <= position <= cursor.last_seq else None


class Unended(NamedTuple):
    """A transaction whose end the broker has lost in some partitions.

    `committed` is the cursor before the commit that hangs, or the cursor as it is; `cursor_hangs`: it is part of what
    is open; `open_seqs`: the records that are; `seen`: the last seq committed in the other partitions.
    """

    committed: int | None
    cursor_hangs: bool
    open_seqs: Sequence[int]
    seen: int | None


def should_commit(unended: Unended) -> bool:
    """How that transaction was decided, as told by the parts of it whose end was written: cursor or other partitions.

    If none was, nobody has read anything of it: it is aborted and published again.
    """
    committed = unended.committed or 0
    if unended.cursor_hangs:
        return unended.seen is not None and unended.seen > committed
    return any(seq <= committed for seq in unended.open_seqs)
