"""Poll, journal, publish, crash: a small model in which every interleaving is tried, up to a bound of mishaps.

One stream. The API hands a report out once. The relay marks the poll, asks, commits the body (which clears the mark),
unpacks it into the stream in one transaction, and publishes the stream in batches: records, cursor, EndTxn. Mishaps, a
few of each: the process dies between any two steps; an answer of the API is lost; the answer to an EndTxn is lost; an
EndTxn is held back in the network and arrives at any later time, also after its sender is gone.

What is assumed, and where the rest is looked after:

- A transaction of the journal is atomic and durable when it returns; one process holds the journal. (The journal's own
  tests: full disk, failing fsync, a second process.)
- The network may lose a request or an answer and may hold back a request for ever; it makes no copies. A request that
  was answered is not under way any more. Only who sends again makes a second one.
- The coordinator acts on an EndTxn if it bears the current epoch, on whatever transaction is open then: in the
  protocol before KIP-890 all transactions of one producer session share an epoch, so an EndTxn that comes late commits
  half of the *next* transaction. A client that sends EndTxn again when it hears nothing (aiokafka does by itself) can
  have the second answered and go on while the first is still under way. The relay sends one EndTxn a transaction: if it
  is not answered, the outcome is unknown, the producer is abandoned, and the next one gets a new epoch, which
  fences whatever is under way. The variant `sends_again` shows what happens otherwise.
- Opening a producer aborts what its predecessor left open, and the cursor is read only after that. The broker ends a
  transaction in all partitions or in none; that a broker which is killed may forget to write the end into some of them
  is looked after by the sink, and not part of this model.
- The same producer never sends a record twice into one transaction (idempotence), and a refused record is not modelled.
"""

from collections import deque
from collections.abc import Iterator
from typing import NamedTuple

BATCH = 2


class Rules(NamedTuple):
    """How the relay is built; each `False`, or `True` of the last two, is a mistake that the model must find."""

    marks_before_asking: bool = True
    clears_mark_with_body: bool = True
    cursor_in_transaction: bool = True
    unpacks_once: bool = True
    sends_again: bool = False
    trusts_own_copy: bool = False


class Budget(NamedTuple):
    """How much may go wrong on one way through."""

    crashes: int = 2
    lost_answers: int = 1
    doubts: int = 2
    """EndTxns that nobody waits for any longer, or that are sent again."""


class State(NamedTuple):
    """What is where. Reports are numbers; a seq is a place in `stream`, from 1 on."""

    # the API and the network
    queue: tuple[int, ...]
    answer: int | None = None
    under_way: tuple[int, ...] = ()
    """Epochs of EndTxns that have not arrived."""
    heard: bool = False
    """The answer to the EndTxn is there to be read."""
    lost: frozenset[int] = frozenset()
    # durable
    mark: bool = False
    gap: bool = False
    fetches: tuple[int, ...] = ()
    stream: tuple[int, ...] = ()
    copy: int = 0
    # the process
    up: bool = True
    intake: str = "idle"
    hand: int | None = None
    publisher: str = "closed"
    position: int = 0
    sent: int = 0
    until: int = 0
    mine: int = 0
    # the brokers
    epoch: int = 0
    open_records: tuple[int, ...] = ()
    open_cursor: int | None = None
    log: tuple[int, ...] = ()
    cursor: int = 0
    # what may still go wrong
    left: Budget = Budget()

    @property
    def transaction_open(self) -> bool:
        return bool(self.open_records) or self.open_cursor is not None


Step = tuple[str, State]


class Violation(NamedTuple):
    """What does not hold, and the shortest way to it."""

    what: str
    way: tuple[str, ...]
    state: State


class Explored(NamedTuple):
    states: int
    violation: Violation | None


def explore(reports: tuple[int, ...], rules: Rules, budget: Budget) -> Explored:
    """Every state that can be reached, nearest first; ends at the first violation."""
    start = State(queue=reports, left=budget)
    came_from: dict[State, tuple[State, str] | None] = {start: None}
    waiting = deque([start])
    while waiting:
        state = waiting.popleft()
        progress = list(_progress(state, rules))
        what = _broken(state, reports) or ("" if progress else _unfinished(state))
        if what:
            return Explored(len(came_from), Violation(what, _way(state, came_from), state))
        for name, following in (*progress, *_mishaps(state, rules)):
            if following not in came_from:
                came_from[following] = (state, name)
                waiting.append(following)
    return Explored(len(came_from), None)


# --- what must hold ---


def _broken(state: State, reports: tuple[int, ...]) -> str:
    """In every state."""
    if state.log != tuple(range(1, len(state.log) + 1)):
        return "Kafka does not hold every seq once, in order"
    if state.cursor > len(state.log):
        return "the cursor is ahead of the records"
    if len(set(state.stream)) != len(state.stream):
        return "a report is in the stream twice"
    if state.lost - {*state.stream, *state.fetches, *state.queue} and not (state.gap or state.mark):
        return "a report is lost and nothing tells of it"
    somewhere = {*state.queue, state.answer, state.hand, *state.fetches, *state.stream, *state.lost}
    return "" if somewhere.issuperset(reports) else "a report is nowhere"


def _unfinished(state: State) -> str:
    """Where nothing more can happen by itself, everything has arrived."""
    done = not state.queue and not state.fetches and not state.mark
    published = len(state.log) == len(state.stream) == state.cursor
    return "" if done and published else "the relay has come to rest too early"


# --- what happens by itself ---


def _progress(state: State, rules: Rules) -> Iterator[Step]:
    if not state.up:
        yield "start", state._replace(up=True, gap=state.gap or state.mark, mark=False)
        return
    yield from _polling(state, rules)
    yield from _unpacking(state, rules)
    yield from _publishing(state, rules)
    yield from _arriving(state)


def _polling(state: State, rules: Rules) -> Iterator[Step]:
    match state.intake:
        case "idle" if state.queue:
            yield "mark", state._replace(intake="marked", mark=rules.marks_before_asking)
        case "marked":
            yield "ask", state._replace(intake="asked", answer=state.queue[0], queue=state.queue[1:])
        case "asked":
            yield "receive", state._replace(intake="holding", hand=state.answer, answer=None, mark=_still(state, rules))
        case "holding":
            assert state.hand is not None
            fetches = (*state.fetches, state.hand)
            yield "commit body", state._replace(intake="idle", fetches=fetches, hand=None, mark=False)
        case "broken":
            yield "commit gap", state._replace(intake="idle", gap=True, mark=False)


def _still(state: State, rules: Rules) -> bool:
    return state.mark and rules.clears_mark_with_body


def _unpacking(state: State, rules: Rules) -> Iterator[Step]:
    """Only once the cursor was read; what is known already is dropped."""
    if state.fetches and state.publisher not in ("closed", "opened"):
        report, *rest = state.fetches
        known = report in state.stream and rules.unpacks_once
        yield "unpack", state._replace(fetches=tuple(rest), stream=state.stream if known else (*state.stream, report))


def _publishing(state: State, rules: Rules) -> Iterator[Step]:
    match state.publisher:
        case "closed":
            yield (
                "open",
                state._replace(
                    publisher="opened",
                    epoch=state.epoch + 1,
                    mine=state.epoch + 1,
                    open_records=(),
                    open_cursor=None,
                    heard=False,
                ),
            )
        case "opened":
            position = state.copy if rules.trusts_own_copy else state.cursor
            yield "read cursor", state._replace(publisher="ready", position=position, sent=position)
        case "ready" if len(state.stream) > state.position:
            until = min(len(state.stream), state.position + BATCH)
            yield "begin", state._replace(publisher="sending", sent=state.position, until=until)
        case "sending" if state.sent < state.until:
            sent = state.sent + 1
            yield "send", state._replace(sent=sent, open_records=(*state.open_records, sent))
        case "sending":
            cursor = state.until if rules.cursor_in_transaction else None
            yield "send cursor", state._replace(publisher="ending", open_cursor=cursor)
        case "ending":
            under_way = (*state.under_way, state.mine)
            yield "send EndTxn", state._replace(publisher="waiting", under_way=under_way)
        case _:
            yield from _ending(state, rules)


def _ending(state: State, rules: Rules) -> Iterator[Step]:
    if state.publisher == "waiting" and state.heard:
        yield "hear", state._replace(publisher="committed", position=state.until, heard=False)
    elif state.publisher == "waiting" and not state.under_way:  # no answer will ever come
        yield _given_up(state, rules)
    elif state.publisher == "committed":
        yield _committed(state, rules)


def _given_up(state: State, rules: Rules) -> Step:
    if rules.sends_again:
        return "send EndTxn again", state._replace(under_way=(*state.under_way, state.mine))
    return "abandon producer", state._replace(publisher="closed")


def _committed(state: State, rules: Rules) -> Step:
    if not rules.cursor_in_transaction and state.cursor < state.position:
        return "commit cursor", state._replace(cursor=state.position)
    return "keep copy", state._replace(publisher="ready", copy=state.position)


def _arriving(state: State) -> Iterator[Step]:
    for place, epoch in enumerate(state.under_way):
        yield "EndTxn arrives", _ended(state, place, epoch, heard=True)


def _ended(state: State, place: int, epoch: int, *, heard: bool) -> State:
    under_way = state.under_way[:place] + state.under_way[place + 1 :]
    state = state._replace(under_way=under_way)
    if epoch != state.epoch:
        return state  # fenced
    told = state.heard or (heard and state.publisher == "waiting" and state.mine == epoch)
    if not state.transaction_open:
        return state._replace(heard=told)  # done already, said so once more
    cursor = state.cursor if state.open_cursor is None else state.open_cursor
    return state._replace(
        log=state.log + state.open_records, cursor=cursor, open_records=(), open_cursor=None, heard=told
    )


# --- what goes wrong ---


def _mishaps(state: State, rules: Rules) -> Iterator[Step]:
    left = state.left
    if left.crashes and state.up:
        yield "crash", _crashed(state, left._replace(crashes=left.crashes - 1))
    if left.lost_answers:
        less = left._replace(lost_answers=left.lost_answers - 1)
        if state.intake == "asked" and state.answer is not None:
            lost = state.lost | {state.answer}
            yield "lose answer", state._replace(intake="broken", answer=None, lost=lost, left=less)
        for place, epoch in enumerate(state.under_way):
            yield "EndTxn arrives, unheard", _ended(state, place, epoch, heard=False)._replace(left=less)
    if left.doubts and state.up and state.publisher == "waiting" and not state.heard:
        name, following = _given_up(state, rules)
        yield name, following._replace(left=left._replace(doubts=left.doubts - 1))
    if not state.up:  # what is under way arrives all the same
        yield from _arriving(state)


def _crashed(state: State, left: Budget) -> State:
    gone = {report for report in (state.answer, state.hand) if report is not None}
    return state._replace(
        up=False, intake="idle", answer=None, hand=None, publisher="closed", heard=False, position=0, sent=0, until=0,
        mine=0, lost=state.lost | gone, left=left,
    )  # fmt: skip


def _way(state: State, came_from: dict[State, tuple[State, str] | None]) -> tuple[str, ...]:
    names: list[str] = []
    step = came_from[state]
    while step is not None:
        state, name = step
        names.append(name)
        step = came_from[state]
    return tuple(reversed(names))
