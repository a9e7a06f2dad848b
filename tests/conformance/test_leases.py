import pytest

from relay.domain.report import GapCause
from relay.journal.sqlite import SqliteJournal
from relay.ports import LeaseLost
from tests.conformance.journals import SMS, T0, Relay, delivered, fetch, own


async def test_each_owner_gets_a_greater_token(journal: SqliteJournal) -> None:
    first = await journal.acquire_lease("stream/acme/sms")
    second = await journal.acquire_lease("stream/acme/sms")
    other = await journal.acquire_lease("stream/acme/voice")

    assert (first.name, first.token, second.token, other.token) == ("stream/acme/sms", 1, 2, 1)


async def test_an_owner_that_was_replaced_changes_nothing(relay: Relay) -> None:
    await relay.receive_many(2)
    await relay.subscribe("billing")
    old, old_callback = relay.lease, relay.callbacks["billing"]
    await relay.journal.acquire_lease("stream/acme/sms")
    await relay.journal.acquire_lease("callback/billing/acme/sms")

    for late in (
        relay.journal.open_stream(old, SMS, T0),
        relay.journal.mark_poll(old, SMS, T0),
        relay.journal.end_poll(old, SMS, T0, GapCause.TIMEOUT, success=False),
        relay.journal.note_unread(old, SMS, T0),
        relay.journal.confirm_cursor(old, SMS, 7, "c", T0),
        relay.journal.confirm_without_kafka(old, SMS),
        relay.journal.advance(old, SMS, 2, "c", T0),
        relay.journal.refuse_record(old, SMS, 1, "too large", T0),
        relay.journal.record_attempts(old_callback, "billing", SMS, [delivered(1)], 1),
        relay.journal.store_deliveries(old_callback, "billing", SMS, [], 1, T0),
    ):
        with pytest.raises(LeaseLost, match="no longer ours"):
            await late

    cursor = await relay.journal.local_cursor(SMS)
    assert cursor is not None
    assert cursor.position == 0
    assert await relay.journal.list_gaps() == []
    assert [entry.refused for entry in await relay.journal.read_stream(SMS, 0, 10, 1000)] == [False, False]


async def test_a_body_in_hand_is_kept_whoever_owns_the_stream(relay: Relay) -> None:
    new = await own(relay.journal)
    await relay.journal.mark_poll(new.lease, SMS, T0)

    await relay.journal.append_fetch(relay.lease, SMS, fetch(b"late"), None)

    claimed = await relay.journal.claim_fetch(SMS, T0)
    assert claimed is not None
    assert claimed.fetch.body == b"late"
    state = await relay.journal.open_stream(new.lease, SMS, T0 + 5)
    assert state.interrupted_poll_at_ms == T0, "the mark of the new owner was not the old one's to clear"


async def test_what_was_confirmed_under_a_lease_is_open_again_with_the_next(relay: Relay) -> None:
    await relay.journal.append_fetch(relay.lease, SMS, fetch(), None)
    lease = await relay.journal.acquire_lease("stream/acme/sms")

    assert await relay.journal.claim_fetch(SMS, T0) is None
    await relay.journal.confirm_cursor(lease, SMS, 0, "c", T0)
    assert await relay.journal.claim_fetch(SMS, T0) is not None
