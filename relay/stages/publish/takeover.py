"""Finding where to go on, after a start and after every doubt: Kafka's cursor, the journal's copy, the topics' tail."""

import structlog

from relay.domain.adoption import adopted
from relay.domain.cursor import AskTail, Kept, OtherCluster, Resume, Tail, place_cursor
from relay.domain.report import Stream
from relay.ports import AdoptedRecord, EventSink, Lease, LocalCursor, PublishJournal, StreamBlocked

log = structlog.get_logger(__name__)

SCAN_ENTRIES = 1000
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
    """Enter what Kafka holds up to `position` and the journal does not, because it comes from a backup."""
    known = await _known_up_to(stream, journal, position, local.position if local else 0)
    if known >= position:
        return
    log.warning("the journal is behind Kafka: reading back", stream=str(stream), journal=known, kafka=position)
    while known < position:
        records = await sink.read_published(known)
        if not records:
            break
        found = [AdoptedRecord(*adopted(record, reports_topic=reports_topic)) for record in records]
        await journal.adopt_published(lease, stream, found)
        known = records[-1].seq


async def _known_up_to(stream: Stream, journal: PublishJournal, position: int, known: int) -> int:
    """The last seq up to `position` that the journal has given; it has all up to `known`, and seqs are gapless."""
    if known < position and await journal.read_stream(stream, position - 1, 1, SCAN_BYTES):
        return position
    while known < position:
        entries = await journal.read_stream(stream, known, SCAN_ENTRIES, SCAN_BYTES)
        if not entries:
            break
        known = entries[-1].seq
    return known


def _kept(local: LocalCursor | None) -> Kept | None:
    return None if local is None else Kept(local.position, local.cluster_id)
