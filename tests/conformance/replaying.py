"""A replay begun, fed and looked at, on any journal."""

from relay.domain.replay import ReplayRequest, ReplayRun
from relay.ports import Fed, Wanted
from tests.conformance.journals import (
    ALL,
    HOUR_MS,
    T0,
    Relay,
    delivered,
    report,
)

NOW = T0 + HOUR_MS
ALWAYS = ReplayRequest("billing", 0, NOW)


async def start(relay: Relay, request: ReplayRequest = ALWAYS, at_ms: int = NOW) -> ReplayRun:
    run = await relay.journal.start_replay(request, at_ms)
    assert run is not None
    return run


async def feed(
    relay: Relay, run: ReplayRun, *, most: int = 1000, batch_size: int = 1, wanted: Wanted = ALL, at_ms: int = NOW
) -> Fed:
    lease = await relay.journal.acquire_lease("replays")
    return await relay.journal.feed_replay(
        lease, run, relay.stream, wanted, batch_size=batch_size, most_reports=most, at_ms=at_ms
    )


async def seqs_due(relay: Relay) -> list[tuple[int, ...]]:
    return [seqs for _, seqs in await relay.due("billing", NOW)]


async def followed(relay: Relay, count: int, *, position: int | None = None) -> None:
    """So many reports, delivered to billing up to `position`, each a second after the one before."""
    for n in range(1, count + 1):
        await relay.receive(report(f"m-{n}", group=n), at_ms=T0 + n * 1000)
    await relay.subscribe("billing", earliest=True)
    position = count if position is None else position
    await relay.attempt("billing", *(delivered(seq) for seq in range(1, position + 1)), position=position)
