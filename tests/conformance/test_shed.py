from collections.abc import Collection

from relay.domain.report import EntryType, Rejected
from relay.ports import Shed, Wanted
from tests.conformance.journals import ALL, SMS, T0, Relay, delivered, report


async def shed(
    relay: Relay,
    *,
    wanted: Wanted = ALL,
    max_backlog: int = 10**6,
    created_before_ms: int = 0,
    limit: int = 1000,
    skip: Collection[int] = (),
) -> Shed:
    return await relay.journal.shed_backlog(
        relay.callbacks["billing"],
        "billing",
        SMS,
        wanted,
        max_backlog=max_backlog,
        created_before_ms=created_before_ms,
        at_ms=T0 + 99,
        limit=limit,
        skip=skip,
    )


async def test_within_its_bounds_nothing_is_shed(relay: Relay) -> None:
    await relay.receive_many(5)
    await relay.subscribe("billing", earliest=True)
    await relay.store("billing", (1,), (2, 3), position=3)
    assert await shed(relay, max_backlog=5) == Shed(0, 3)
    assert await relay.dead() == []


async def test_stored_deliveries_go_first_oldest_first_then_what_is_unread(relay: Relay) -> None:
    await relay.receive_many(6)
    await relay.subscribe("billing", earliest=True)
    await relay.store("billing", (1,), (2, 3), position=3)

    assert await shed(relay, max_backlog=5) == Shed(1, 3)
    assert await shed(relay, max_backlog=1) == Shed(4, 5)
    assert [ids for ids, _ in await relay.dead()] == [("m-1",), ("m-2", "m-3"), ("m-4",), ("m-5",)]
    assert (await relay.journal.list_dead_letters())[0].dead_at_ms == T0 + 99
    figures = await relay.journal.figures(T0)
    assert figures.callbacks["billing"][:3] == (1, T0, 5)


async def test_what_is_in_flight_stays(relay: Relay) -> None:
    await relay.receive_many(3)
    await relay.subscribe("billing", earliest=True)
    first, _ = await relay.store("billing", (1,), (2,), position=2)
    assert await shed(relay, max_backlog=2, skip={first}) == Shed(1, 2)
    assert [ids for ids, _ in await relay.dead()] == [("m-2",)]


async def test_too_old_goes_however_few(relay: Relay) -> None:
    await relay.receive_many(2, at_ms=T0)
    await relay.receive_many(2, at_ms=T0 + 1000, prefix="new")
    await relay.subscribe("billing", earliest=True)
    await relay.store("billing", (1,), position=1, at_ms=T0 + 10)
    assert await shed(relay, created_before_ms=T0 + 11) == Shed(2, 2)
    assert [ids for ids, _ in await relay.dead()] == [("m-1",), ("m-2",)]


async def test_no_more_than_the_limit_at_once(relay: Relay) -> None:
    await relay.receive_many(9)
    await relay.subscribe("billing", earliest=True)
    await relay.store("billing", (1,), (2,), position=2)
    assert [await shed(relay, max_backlog=0, limit=4) for _ in range(4)] == [
        Shed(4, 4),
        Shed(4, 8),
        Shed(1, 9),
        Shed(0, 9),
    ]


async def test_only_what_the_callback_wants_counts_and_dies(relay: Relay) -> None:
    await relay.receive(
        report("a", group=3),
        Rejected("odd", b"?"),
        report("b", group=5),
        report("c", group=None),
        report("d", group=5),
        report("d", "6:6", group=5),
    )
    await relay.subscribe("billing", earliest=True)
    failures = Wanted(frozenset({EntryType.REPORT}), frozenset({5}))

    assert await shed(relay, wanted=failures, max_backlog=2) == Shed(0, 0)
    assert await shed(relay, wanted=failures, max_backlog=1) == Shed(1, 3)
    assert await relay.dead() == [(("b",), "backlog too large")]
    assert await shed(relay, wanted=ALL, max_backlog=2) == Shed(1, 4)


async def test_a_filtered_backlog_is_counted_over_many_entries(relay: Relay) -> None:
    for n in range(5):
        await relay.receive(*(report(f"m-{n}-{i}", group=5 if i % 10 == 0 else 3) for i in range(2000)))
    await relay.subscribe("billing", earliest=True)
    failures = Wanted(frozenset({EntryType.REPORT}), frozenset({5}))
    await relay.attempt("billing", position=100)

    assert await shed(relay, wanted=failures, max_backlog=990) == Shed(0, 100)
    assert await shed(relay, wanted=failures, max_backlog=987) == Shed(3, 121)


async def test_a_revision_behind_a_shed_delivery_is_due(relay: Relay) -> None:
    await relay.receive(report("a", "1:0"), report("a", "2:0"))
    await relay.subscribe("billing", earliest=True)
    await relay.store("billing", (1,), position=1)
    (waiting,) = await relay.store("billing", (2,), waits=True, position=2)
    await shed(relay, max_backlog=1)
    assert await relay.due("billing") == [(waiting, (2,))]


async def test_who_waited_behind_what_is_shed_waits_for_what_that_waited_for(relay: Relay) -> None:
    for outcome in ("1:1", "1:2", "1:3", "1:4"):
        await relay.receive(report("a", outcome, final=False))
    await relay.subscribe("billing", earliest=True)
    (first,) = await relay.store("billing", (1,), position=1)
    await relay.store("billing", (2,), (3,), position=3, waits=True)
    (last,) = await relay.store("billing", (4,), position=4, waits=True)
    assert await shed(relay, max_backlog=2, skip={first}) == Shed(2, 4)
    assert await relay.due("billing") == [(first, (1,))]
    assert await relay.attempt("billing", delivered(1, id_=first)) == 1
    assert await relay.due("billing") == [(last, (4,))]
