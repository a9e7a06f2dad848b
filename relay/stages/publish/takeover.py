"""Finding where to go on, after a start and after every doubt: Kafka's cursor, the journal's copy, the topics' tail."""

from hashlib import blake2b

import structlog

from relay.domain.adoption import Note, adopted
from relay.domain.cursor import AskTail, Kept, OtherCluster, Resume, Tail, place_cursor
from relay.domain.report import Stream
from relay.ports import AdoptedRecord, Displaced, EventSink, Lease, LocalCursor, PublishJournal, StreamBlocked

log = structlog.get_logger(__name__)

SCAN_BYTES = 4 << 20


async def find_position(
    stream: Stream, local: LocalCursor | None, sink: EventSink, *, cluster_id: str | None, transactional: bool
) -> int:
    """After which seq publishing goes on; `local` is the journal's copy. Raises StreamBlocked if only an operator can
    say."""
    if transactional:
        committed = await sink.read_cursor()
    else:
        committed = local.position if local else 0  # the journal's copy is the cursor
    placed = place_cursor(cluster_id=cluster_id, committed=committed, kept=_kept(local), tail=None)
    if isinstance(placed, AskTail):
        tail = Tail(await sink.last_published_seq())
        log.info("cursor decided by the topics", stream=str(stream), committed=committed, tail=tail.last_seq)
        placed = place_cursor(cluster_id=cluster_id, committed=committed, kept=_kept(local), tail=tail)
    match placed:
        case Resume(position):
            return position
        case OtherCluster(known, found):
            raise StreamBlocked(
                f"the brokers belong to cluster {found}, {stream} was published to {known}: check "
                f"kafka.bootstrap_servers, or say where to begin in this cluster: `relay cursor set {stream} "
                f"--after kept` goes on after what {known} got, `--after earliest` sends all that the journal holds"
            )
        case AskTail():
            raise AssertionError("the tail was given")


async def adopt_missing(
    lease: Lease,
    stream: Stream,
    journal: PublishJournal,
    sink: EventSink,
    *,
    local: LocalCursor | None,
    position: int,
    reports_topic: str,
) -> None:
    """Enter what Kafka holds up to `position` and the journal does not, because it comes from a backup, or because
    somebody else published the stream from a copy of it. What it holds itself in the place of that is published anew.
    """
    kept = local.position if local else 0
    if kept >= position or await _is_known(stream, journal, sink, position):
        return
    log.warning(
        "the journal is not at what Kafka holds: reading back", stream=str(stream), journal=kept, kafka=position
    )
    known, displaced, published = kept, list[Displaced](), set[tuple[str, bytes]]()
    while known < position:
        records = await sink.read_published(known)
        if not records:
            break
        found = [AdoptedRecord(*adopted(record, reports_topic=reports_topic)) for record in records]
        displaced += await journal.adopt_published(lease, stream, found, position)
        if displaced:
            published.update((record.message_id, _digest(record.value)) for record in found)
        known = records[-1].seq
    if not displaced:
        return
    doubled = [entry.seq for entry in displaced if (entry.message_id, _digest(entry.value)) in published]
    await journal.pass_over(lease, stream, doubled)
    log.error(
        "somebody else published this stream from a copy of this journal: "
        "what this journal alone holds is published under new numbers; let only one relay run on a journal",
        stream=str(stream),
        reports=len(displaced) - len(doubled),
        held_by_both=len(doubled),
    )


async def _is_known(stream: Stream, journal: PublishJournal, sink: EventSink, position: int) -> bool:
    """Whether the journal has given all seqs up to `position`, and to what Kafka holds."""
    note = sink.note()
    for seq in {position, note.seq if note else position}:
        entries = await journal.read_stream(stream, seq - 1, 1, SCAN_BYTES)
        if not entries or entries[0].seq != seq:
            return False
        if note is not None and note.seq == seq and Note.of_entry(entries[0]) != note:
            return False
    return True


def _digest(value: bytes) -> bytes:
    return blake2b(value, digest_size=8).digest()


def _kept(local: LocalCursor | None) -> Kept | None:
    return None if local is None else Kept(local.position, local.cluster_id)
