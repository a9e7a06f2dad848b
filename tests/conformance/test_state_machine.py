"""Any order of the journal's transactions, with a kill between any two, keeps its invariants.

The model is a few dictionaries. A kill is a copy of the files as they are on the disk at that moment, opened anew:
nothing that was not answered may be needed, nothing that was answered may be missing.
"""

import asyncio
import shutil
from pathlib import Path
from typing import NamedTuple

import hypothesis.strategies as st
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from relay.domain.dedup import Known, decide
from relay.domain.history import DeadLetterFilter
from relay.domain.report import Decoded, GapCause, Origin, Rejected, Report
from relay.journal.sqlite import SqliteJournal
from relay.ports import ClaimedFetch, NewDelivery, Retention
from tests.conformance.journals import ALL, SMALL, SMS, T0, Relay, delivered, failed, fetch, given_up, own, report
from tests.unit.journal.memory import directory_in_memory

ids = st.sampled_from(["a", "b", "c", "d"])
outcomes = st.sampled_from(["1:0", "5:0", "9:1"])
entries = st.one_of(
    st.builds(lambda id_, outcome: report(id_, outcome, final=outcome != "1:0"), ids, outcomes),
    st.just(Rejected("odd", b"\xff")),
)
CALLBACK = "billing"


class Line(NamedTuple):
    """What the model expects of an entry: messageId ("" in quarantine), type and revision."""

    message_id: str
    type: int
    revision: int


class JournalMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.root = directory_in_memory()
        self.generation = 0
        self.clock_ms = T0
        self.fetches: list[tuple[int, list[Report | Rejected]]] = []
        self.claimed: ClaimedFetch | None = None
        self.known: dict[str, Known] = {}
        self.stream: dict[int, Line] = {}
        self.position = 0
        self.refused: set[int] = set()
        self.callback_position: int | None = None
        self.stored: dict[int, tuple[int, ...]] = {}
        self.dead: set[int] = set()
        self.mark: int | None = None
        self.gaps = 0
        self.written = False
        """Something was, since the last start: else another one proves nothing."""

    # --- life ---

    @initialize(subscribed=st.booleans(), found=st.lists(entries, min_size=3, max_size=8))
    def open(self, subscribed: bool, found: list[Report | Rejected]) -> None:
        """Most of what can go wrong needs entries and a callback: begin with them."""
        self._open()
        if subscribed:
            self.subscribe()
        self.receive(found)

    @precondition(lambda self: self.written)
    @rule()
    def kill(self) -> None:
        """Whatever was not answered is lost with the process; its mark becomes a gap."""
        before = self._directory()
        self.generation += 1
        self._directory().mkdir()
        for name in ("relay.db", "relay.db-wal"):
            shutil.copy(before / name, self._directory() / name)
        self._do(self.journal.close())
        self._open()

    @precondition(lambda self: self.written)
    @rule()
    def restart(self) -> None:
        self._do(self.journal.close())
        self._open()

    def teardown(self) -> None:
        if self.generation or hasattr(self, "journal"):
            self._do(self.journal.close())
        self.loop.close()
        shutil.rmtree(self.root)

    def _directory(self) -> Path:
        return self.root / str(self.generation)

    def _open(self) -> None:
        self._directory().mkdir(exist_ok=True)
        path = self._directory() / "relay.db"
        tuning = SMALL._replace(tail_bytes=2000, checkpoint_pages=20, lap_ids=6)
        self.journal = self._do(SqliteJournal.open(path, instance="relay-0", tuning=tuning))
        self.relay: Relay = self._do(own(self.journal, position=self.position))
        self._settle_mark()
        self.claimed = None
        self.written = False
        if self.callback_position is not None:
            assert self._do(self.relay.subscribe(CALLBACK)) == self.callback_position

    def _settle_mark(self) -> None:
        if self.mark is not None:
            self.gaps += 1
            self.mark = None

    def _do(self, awaitable):  # type: ignore[no-untyped-def]
        return self.loop.run_until_complete(awaitable)

    def _now(self) -> int:
        self.clock_ms += 1000
        self.written = True
        return self.clock_ms

    # --- intake ---

    @rule()
    def mark_poll(self) -> None:
        self._settle_mark()
        self.mark = self._now()
        self._do(self.journal.mark_poll(self.relay.lease, SMS, self.mark))

    @rule(found=st.lists(entries, max_size=6))
    def append_fetch(self, found: list[Report | Rejected]) -> None:
        id_ = self._do(self.journal.append_fetch(self.relay.lease, SMS, fetch(at_ms=self._now()), None))
        self.fetches.append((id_, found))
        self.mark = None

    @rule(cause=st.sampled_from([GapCause.TIMEOUT, None]))
    def end_poll(self, cause: GapCause | None) -> None:
        self._do(self.journal.end_poll(self.relay.lease, SMS, self._now(), cause, success=cause is None))
        self.gaps += cause is not None
        self.mark = None

    # --- unpack ---

    @precondition(lambda self: self.fetches)
    @rule()
    def claim(self) -> None:
        self.claimed = self._do(self.journal.claim_fetch(SMS, self._now()))
        assert self.claimed is not None
        assert self.claimed.id == self.fetches[0][0]

    @precondition(lambda self: self.claimed is not None)
    @rule()
    def record(self) -> None:
        assert self.claimed is not None
        _, found = self.fetches.pop(0)
        recorded = self._do(self.journal.record_reports(self.claimed, Decoded(found, True), None))
        self.claimed = None
        before = len(self.stream)
        for entry in found:
            if isinstance(entry, Rejected):
                self._append(Line("", 4, 1))
            elif (decision := decide(self.known.get(entry.message_id), entry, Origin.POLL)) is not None:
                self.known[entry.message_id] = decision.known
                self._append(Line(entry.message_id, int(decision.type), decision.revision))
        assert recorded.new + recorded.revisions + recorded.quarantined == len(self.stream) - before

    @rule(found=st.lists(entries, min_size=1, max_size=6))
    def receive(self, found: list[Report | Rejected]) -> None:
        """All of it, so that there is always something to do."""
        self.append_fetch(found)
        while self.fetches:
            self.claim()
            self.record()

    def _append(self, line: Line) -> None:
        self.stream[len(self.stream) + 1] = line

    # --- publish ---

    @precondition(lambda self: self.position < len(self.stream))
    @rule(data=st.data())
    def advance(self, data: st.DataObject) -> None:
        self.position = data.draw(st.integers(self.position, len(self.stream)), label="position")
        self._do(self.relay.publish(self.position, self._now()))

    @precondition(lambda self: self.position < len(self.stream))
    @rule()
    def refuse(self) -> None:
        seq = self.position + 1
        if seq in self.refused or self.stream[seq].type == 4:
            return
        self._do(self.journal.refuse_record(self.relay.lease, SMS, seq, "too large", self._now()))
        self.refused.add(seq)
        self._append(Line("", 4, 1))

    # --- deliver ---

    @precondition(lambda self: self.callback_position is None)
    @rule()
    def subscribe(self) -> None:
        self.callback_position = self._do(self.relay.subscribe(CALLBACK))
        assert self.callback_position == len(self.stream)

    def _unread(self) -> list[int]:
        return [] if self.callback_position is None else list(range(self.callback_position + 1, len(self.stream) + 1))

    @precondition(lambda self: self._unread())
    @rule(kind=st.sampled_from(["delivered", "failed", "dead"]))
    def first_attempt(self, kind: str) -> None:
        seq = self._unread()[0]
        attempts = {
            "delivered": delivered(seq),
            "failed": failed(seq, next_ms=self._now()),
            "dead": given_up(seq),
        }
        self._do(self.relay.attempt(CALLBACK, attempts[kind], position=seq))
        self.callback_position = seq
        if kind == "failed":
            self._learn_stored((seq,))
        elif kind == "dead":
            self.dead.add(seq)

    def _learn_stored(self, seqs: tuple[int, ...]) -> None:
        due = self._do(self.relay.due(CALLBACK, self.clock_ms + 10**9))
        (id_,) = [id_ for id_, members in due if members == seqs and id_ not in self.stored]
        self.stored[id_] = seqs

    @precondition(lambda self: len(self._unread()) > 1)
    @rule()
    def store_batch(self) -> None:
        seqs = tuple(self._unread()[:3])
        lease = self.relay.callbacks[CALLBACK]
        new = [NewDelivery(seqs)]
        (id_,) = self._do(self.journal.store_deliveries(lease, CALLBACK, SMS, new, seqs[-1], self._now()))
        self.stored[id_] = seqs
        self.callback_position = seqs[-1]

    @precondition(lambda self: self.stored)
    @rule(data=st.data(), kind=st.sampled_from(["delivered", "failed", "dead"]))
    def later_attempt(self, data: st.DataObject, kind: str) -> None:
        id_ = data.draw(st.sampled_from(sorted(self.stored)), label="delivery")
        seqs = self.stored[id_]
        attempts = {
            "delivered": delivered(*seqs, id_=id_, at_ms=self._now()),
            "failed": failed(*seqs, id_=id_, next_ms=self._now(), at_ms=self._now()),
            "dead": given_up(*seqs, id_=id_, at_ms=self._now()),
        }
        self._do(self.relay.attempt(CALLBACK, attempts[kind]))
        if kind == "dead":
            self.dead.update(seqs)
        if kind != "failed":
            del self.stored[id_]

    @precondition(lambda self: self.callback_position is not None)
    @rule(max_backlog=st.integers(0, 5))
    def shed(self, max_backlog: int) -> None:
        assert self.callback_position is not None
        lease = self.relay.callbacks[CALLBACK]
        shed = self._do(
            self.journal.shed_backlog(
                lease,
                CALLBACK,
                SMS,
                ALL,
                max_backlog=max_backlog,
                created_before_ms=0,
                at_ms=self._now(),
                limit=1000,
                skip=(),
            )
        )
        backlog = self._backlog()
        dead_before = len(self.dead)
        for id_ in sorted(self.stored):
            if backlog > max_backlog:
                self.dead.update(self.stored[id_])
                backlog -= len(self.stored.pop(id_))
        for seq in self._unread():
            if backlog <= max_backlog:
                break
            if self.stream[seq].type != 4:
                self.dead.add(seq)
                backlog -= 1
            self.callback_position = seq
        assert shed == (len(self.dead) - dead_before, self.callback_position)

    def _backlog(self) -> int:
        stored = sum(len(seqs) for seqs in self.stored.values())
        return stored + sum(1 for seq in self._unread() if self.stream[seq].type != 4)

    # --- upkeep ---

    @rule()
    def prune(self) -> None:
        """With no retention: all that nobody needs goes at once; nothing else does."""
        while self._do(self.journal.prune(self._now(), Retention(0, 10**9, {}, 0))).more:
            pass
        held = self.dead.union(*self.stored.values())
        passed = min(self.position, len(self.stream) if self.callback_position is None else self.callback_position)
        for seq in range(1, passed + 1):
            if seq not in held and seq in self.stream:
                self.stream[seq] = Line("gone", 0, 0)

    # --- what always holds ---

    @invariant()
    def every_entry_is_there_once_in_order(self) -> None:
        if not hasattr(self, "journal"):
            return
        found = {}
        after = 0
        while page := self._do(self.journal.read_stream(SMS, after, 3, 1 << 20)):
            found.update({entry.seq: entry for entry in page})
            assert len(found) == len({*found})
            after = page[-1].seq
        expected = {seq: line for seq, line in self.stream.items() if line.message_id != "gone"}
        assert {
            seq: Line(entry.message_id, int(entry.type), entry.revision) for seq, entry in found.items()
        } == expected
        assert {seq for seq, entry in found.items() if entry.refused} == self.refused & set(found)

    @invariant()
    def figures_are_exact(self) -> None:
        if not hasattr(self, "journal"):
            return
        figures = self._do(self.journal.figures(self.clock_ms))
        stream = figures.streams[SMS]
        assert (stream.fetches_pending, stream.last_seq) == (len(self.fetches), len(self.stream))
        assert stream.unpublished == len(self.fetches) + len(self.stream) - self.position
        gaps = self._do(self.journal.list_gaps(SMS, limit=1000))
        assert sum(gap.reads for gap in gaps) == self.gaps
        if self.callback_position is not None:
            stored = sum(len(seqs) for seqs in self.stored.values())
            backlog = stored + len(self.stream) - self.callback_position
            assert figures.callbacks[CALLBACK][:3:2] == (backlog, len(self.dead))

    @invariant()
    def stored_deliveries_are_due_and_whole(self) -> None:
        if self.callback_position is None:
            return
        assert dict(self._do(self.relay.due(CALLBACK, self.clock_ms + 10**9))) == self.stored
        letters = self._do(self.journal.list_dead_letters(DeadLetterFilter(CALLBACK), limit=1000))
        assert all(letter.has_body for letter in letters)
        assert sum(len(letter.message_ids) for letter in letters) == len(self.dead)


TestJournalMachine = JournalMachine.TestCase
TestJournalMachine.settings = settings(
    max_examples=25,
    stateful_step_count=30,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
