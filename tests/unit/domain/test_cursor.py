"""Where publishing goes on: every combination of Kafka's cursor, the journal's copy and the tail."""

import pytest

from relay.domain.cursor import (
    AskTail,
    Begin,
    KafkaCursor,
    Kept,
    OtherCluster,
    Resume,
    Tail,
    Unended,
    begin_after,
    place_cursor,
    should_commit,
)
from relay.domain.report import Stream


@pytest.mark.parametrize(
    ("committed", "kept", "tail", "expected"),
    [
        # Kafka and the copy agree, or Kafka is ahead (the copy lags, or the journal comes from a backup): Kafka.
        (7, 7, None, Resume(7)),
        (7, 5, None, Resume(7)),
        (7, None, None, Resume(7)),
        (0, None, None, Resume(0)),
        # Kafka has none: the tail has to be read, and decides if it holds anything.
        (None, None, None, AskTail()),
        (None, 7, None, AskTail()),
        (None, None, Tail(None), Resume(0)),
        (None, None, Tail(4), Resume(4)),
        (None, 7, Tail(9), Resume(9)),
        (None, 7, Tail(7), Resume(7)),
        (None, 7, Tail(5), Resume(5)),
        # Cursor and records have expired: the copy is all that is left. No flood.
        (None, 7, Tail(None), Resume(7)),
        # Kafka is behind what was seen committed: it lost something; what its topics still hold is not sent again.
        (3, 7, None, AskTail()),
        (3, 7, Tail(7), Resume(7)),
        (3, 7, Tail(5), Resume(5)),
        (3, 7, Tail(2), Resume(3)),
        (3, 7, Tail(None), Resume(3)),
    ],
)
def test_position(committed: int | None, kept: int | None, tail: Tail | None, expected: object) -> None:
    copy = None if kept is None else Kept(kept, "cluster-1")

    assert place_cursor(cluster_id="cluster-1", committed=committed, kept=copy, tail=tail) == expected


def test_another_cluster_is_never_guessed_about() -> None:
    found = place_cursor(cluster_id="new", committed=9, kept=Kept(7, "old"), tail=Tail(9))

    assert found == OtherCluster("old", "new")


@pytest.mark.parametrize(("known", "found"), [(None, "new"), ("old", None), (None, None)])
def test_a_cluster_without_id_is_not_another(known: str | None, found: str | None) -> None:
    assert place_cursor(cluster_id=found, committed=9, kept=Kept(7, known), tail=None) == Resume(9)


@pytest.mark.parametrize(
    ("committed", "tail", "expected"),
    [
        # A cluster that has nothing of the stream: as the operator says.
        (None, Tail(None), Resume(7)),
        # One that had some of it before: never again, and what came since is not left out.
        (9, None, Resume(9)),
        (4, Tail(4), Resume(4)),
        (None, Tail(4), Resume(4)),
        # One that mirrors the former: behind its newest record.
        (None, Tail(12), Resume(12)),
    ],
)
def test_where_an_operator_begins_what_the_cluster_has_counts_for_more(
    committed: int | None, tail: Tail | None, expected: object
) -> None:
    assert place_cursor(cluster_id="new", committed=committed, kept=Kept(7, None), tail=tail) == expected


@pytest.mark.parametrize(
    ("begin", "position"),
    [(Begin.KEPT, 7), (Begin.EARLIEST, 3), (3, 3), (5, 5), (9, 9), (2, None), (10, None), (0, None)],
)
def test_where_an_operator_may_begin(begin: int | Begin, position: int | None) -> None:
    cursor = KafkaCursor(Stream("acme", "sms"), position=7, cluster_id="old", at_ms=0, last_seq=9, earliest=3)
    assert begin_after(cursor, begin) == position


@pytest.mark.parametrize(("kept", "last_seq"), [(2, 9), (10, 9)])
def test_a_copy_from_before_what_is_kept_or_beyond_the_end_is_no_place_to_begin(kept: int, last_seq: int) -> None:
    cursor = KafkaCursor(Stream("acme", "sms"), position=kept, cluster_id="old", at_ms=0, last_seq=last_seq, earliest=3)
    assert begin_after(cursor, Begin.KEPT) is None


@pytest.mark.parametrize(
    ("unended", "commit"),
    [
        # The cursor moved with it: it was committed.
        (Unended(committed=9, cursor_hangs=False, open_seqs=[8, 9], seen=None), True),
        # The cursor did not: it was aborted.
        (Unended(committed=7, cursor_hangs=False, open_seqs=[8, 9], seen=None), False),
        (Unended(committed=None, cursor_hangs=False, open_seqs=[1, 2], seen=None), False),
        # The cursor hangs, but records of it were seen committed in another partition.
        (Unended(committed=7, cursor_hangs=True, open_seqs=[9], seen=8), True),
        (Unended(committed=7, cursor_hangs=True, open_seqs=[], seen=9), True),
        (Unended(committed=None, cursor_hangs=True, open_seqs=[], seen=2), True),
        # No part of it says how it ended: nobody has read anything of it.
        (Unended(committed=7, cursor_hangs=True, open_seqs=[8, 9], seen=7), False),
        (Unended(committed=7, cursor_hangs=True, open_seqs=[], seen=None), False),
    ],
)
def test_a_transaction_whose_end_was_lost(unended: Unended, commit: bool) -> None:
    assert should_commit(unended) is commit
