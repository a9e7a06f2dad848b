"""Which callbacks are paused."""

from relay.domain.pausing import Pause, PausedBy
from tests.conformance.journals import SMS, T0, Opener, Relay, own

BY_HAND = Pause(PausedBy.HAND, "a new version \x00 ❤", T0)
GONE = Pause(PausedBy.GONE, "HTTP 410", T0 + 1)


async def test_a_pause_outlives_the_process_until_it_ends(reopen: Opener) -> None:
    relay = await own(await reopen())
    assert await relay.journal.kept_pauses() == {}
    await relay.journal.keep_pause("billing", BY_HAND)
    await relay.journal.keep_pause("crm", BY_HAND)
    await relay.journal.keep_pause("crm", GONE)
    await relay.journal.close()

    relay = await own(await reopen())
    assert await relay.journal.kept_pauses() == {"billing": BY_HAND, "crm": GONE}
    await relay.journal.keep_pause("billing", None)
    await relay.journal.keep_pause("nobody", None)
    await relay.journal.close()

    relay = await own(await reopen())
    assert await relay.journal.kept_pauses() == {"crm": GONE}


async def test_a_pause_goes_with_the_last_cursor_of_a_callback_that_is_no_longer_configured(relay: Relay) -> None:
    await relay.subscribe("billing")
    await relay.journal.keep_pause("billing", GONE)
    await relay.journal.keep_pause("crm", GONE)
    await relay.journal.retire_subscriptions([], T0, 60)
    assert set(await relay.journal.kept_pauses()) == {"billing", "crm"}
    assert await relay.journal.retire_subscriptions([], T0 + 60_000, 60) == [("billing", SMS)]
    assert set(await relay.journal.kept_pauses()) == {"crm"}
